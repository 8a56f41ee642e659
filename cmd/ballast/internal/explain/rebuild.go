// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
	"github.com/ballast-energy/ballast/handlers/host"
)

// snapshotWait bounds the loading of a snapshot.
const snapshotWait = time.Minute

// UnitChange is what folding a cause changed for one unit.
type UnitChange struct {
	// Before and After the cause; Before is nil for a unit that joined with it,
	// After for one that was forgotten.
	Before *dispatch.UnitWhy `json:"before,omitempty"`
	After  *dispatch.UnitWhy `json:"after,omitempty"`
}

// Replayed is what folding the journal up to a cause, and the cause, tells.
type Replayed struct {
	// From is the journal sequence after which was folded: that of a snapshot,
	// or 0.
	From uint64 `json:"from"`
	// Version and ConfigHash of the decider that folded.
	Version    string `json:"version"`
	ConfigHash string `json:"config_hash"`
	// StateBefore and StateAfter the cause, 16 hex digits.
	StateBefore string `json:"state_before"`
	StateAfter  string `json:"state_after"`
	// Before and After: why mining beneath the binding node was at its power.
	Before *dispatch.Why `json:"before"`
	After  *dispatch.Why `json:"after"`
	// Units whose setpoints the cause changed, in merit order.
	Units []UnitChange `json:"units"`
	// Same: the decision and the commands folded are those stored, byte for byte.
	Same bool `json:"same"`
}

// folded is a dispatch decider in memory, at some place of a journal.
type folded struct {
	d    *dispatch.Dispatch
	r    *decider.Runner
	from uint64
}

// fold folds the journal of site with a decider of the options given, as far as
// the message before until, or all of it for 0. It begins with the stored
// snapshot where that is of use. Nothing is written.
func (x *Explainer) fold(ctx context.Context, site string, cfg dispatch.Config, until uint64) (*folded, error) {
	fresh := func() (*folded, error) {
		d := dispatch.New(cfg)
		r, err := decider.NewRunner(x.b.Prefix(), site, d)
		return &folded{d: d, r: r}, err
	}
	f, err := fresh()
	if err != nil {
		return nil, err
	}
	openings, err := audit.Live(x.b, site).Openings(ctx)
	if err != nil {
		return nil, err
	}
	first, last, err := x.journal(ctx)
	if err != nil {
		return nil, err
	}
	loading, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	snap, err := x.b.Snapshot(loading, host.SnapshotKey(site, f.d.Identity()))
	if err != nil {
		return nil, err
	}
	if snap != nil {
		h, _, err := decider.ReadHeader(snap)
		if err == nil && (until == 0 || h.Sequence < until) && h.Sequence+1 >= first && h.Sequence <= last && x.follows(ctx, h, openings) {
			if _, err = f.r.Restore(snap); err == nil {
				f.from = h.Sequence
			} else if f, err = fresh(); err != nil {
				return nil, err
			}
		}
	}
	if f.from == 0 && first > 1 {
		return nil, fmt.Errorf("%w: the journal keeps %d to %d, and no stored snapshot of %s version %s config %s lies %s",
			ErrReplay, first, last, dispatch.Name, f.d.Identity().Version, f.d.Identity().ConfigHash, before(until))
	}
	for _, o := range openings {
		f.r.Opened(o)
	}
	return f, f.feed(ctx, x, site, until)
}

// follows reports whether a snapshot is of this journal, as far as what is kept
// can tell.
func (x *Explainer) follows(ctx context.Context, h *decider.Header, openings []decider.Opening) bool {
	m, err := x.journalMessage(ctx, h.Sequence)
	return err != nil || h.Follows(m, openings)
}

func before(until uint64) string {
	if until == 0 {
		return "in it"
	}
	return fmt.Sprintf("in it before %d", until)
}

// feed folds on to the message before until, or to the newest for 0.
func (f *folded) feed(ctx context.Context, x *Explainer, site string, until uint64) error {
	var raw decider.Raw
	r := events.ReadRequest{Stream: events.StreamJournal, Site: site, FromSequence: f.r.Sequence() + 1}
	if _, last, err := x.journal(ctx); err != nil || r.FromSequence > last {
		return err
	}
	for m, err := range x.b.RawEvents(ctx, r) {
		if err != nil {
			return fmt.Errorf("fold the journal of %s: %w", site, err)
		}
		if until > 0 && m.Sequence >= until {
			return nil
		}
		raw = decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, Arrived: m.Arrived}
		if _, err := f.r.Feed(&raw); err != nil {
			return fmt.Errorf("fold the journal of %s at %d: %w", site, m.Sequence, err)
		}
	}
	return nil
}

// journal is what stream JOURNAL keeps.
func (x *Explainer) journal(ctx context.Context) (first, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	s, err := x.b.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		return 0, 0, fmt.Errorf("look into %s: %w", events.StreamJournal, err)
	}
	st := s.CachedInfo().State
	return st.FirstSeq, st.LastSeq, nil
}

// Replay folds the journal up to the cause of a chain, and the cause, and keeps
// in the chain what that tells. The error wraps ErrReplay when it cannot be done:
// the journal does not go back far enough, or another version decided.
func (x *Explainer) Replay(ctx context.Context, c *Chain) error {
	_, _, key, ok := decider.ParseMessageID(c.ID)
	if !ok || c.Cause == nil {
		return fmt.Errorf("%w: %s", ErrReplay, c.NoCause)
	}
	cfg := dispatch.Config{}
	node := ""
	if c.Decision != nil {
		want := c.Decision.Data.(*events.DispatchDecided)
		var err error
		if cfg, err = configOf(want); err != nil {
			return err
		}
		node = want.BindingNode
	}
	f, err := x.fold(ctx, c.Site, cfg, key.Sequence)
	if err != nil {
		return err
	}
	id := f.d.Identity()
	p := &Replayed{From: f.from, Version: id.Version, ConfigHash: id.ConfigHash, StateBefore: f.r.StateHash()}
	before, err := f.d.WhyUnits("")
	if err != nil {
		return err
	}
	p.Before = whyAt(f.d, node)
	// The cause itself, and the outputs of that step.
	raw, err := x.journalMessage(ctx, key.Sequence)
	if err != nil {
		return err
	}
	step, err := f.r.Feed(raw)
	if err != nil {
		return fmt.Errorf("fold %s/%d: %w", events.StreamJournal, key.Sequence, err)
	}
	p.Same = c.same(step.Outputs)
	p.StateAfter = f.r.StateHash()
	p.After = whyAt(f.d, node)
	after, err := f.d.WhyUnits("")
	if err != nil {
		return err
	}
	p.Units = changes(before, after)
	c.Replayed = p
	return nil
}

// same reports whether what is stored of a cause is what was folded.
func (c *Chain) same(outs []decider.Output) bool {
	folded := make(map[uint32]string, len(outs))
	for i := range outs {
		if b, err := events.AppendPayload(nil, outs[i].Data); err == nil && outs[i].Stored {
			folded[outs[i].Ordinal] = string(b)
		}
	}
	kept := append(slices.Clone(c.Commands), c.Asked)
	if c.Decision != nil {
		kept = append(kept, c.Decision)
	}
	for _, s := range kept {
		_, _, key, _ := decider.ParseMessageID(s.ID)
		b, err := events.AppendPayload(nil, s.Data)
		if err != nil || folded[key.Ordinal] != string(b) {
			return false
		}
	}
	return true
}

// whyAt is Why at a node, or at the site where the node was not there yet.
func whyAt(d *dispatch.Dispatch, node string) *dispatch.Why {
	w, err := d.Why(node)
	if err != nil {
		w, _ = d.Why("") // which is always there
	}
	return w
}

// configOf finds the options with which this binary speaks as the one that
// decided.
func configOf(w *events.DispatchDecided) (dispatch.Config, error) {
	var ours decider.Identity
	for _, cfg := range []dispatch.Config{{NoReductions: true}, {}} {
		ours = dispatch.New(cfg).Identity()
		if ours.Version == w.Version && ours.ConfigHash == w.ConfigHash {
			return cfg, nil
		}
	}
	return dispatch.Config{}, fmt.Errorf("%w: it was decided by %s version %s config %s, and this binary is version %s config %s: use the release that decided",
		ErrReplay, dispatch.Name, w.Version, w.ConfigHash, ours.Version, ours.ConfigHash)
}

// journalMessage is one message of the journal.
func (x *Explainer) journalMessage(ctx context.Context, sequence uint64) (*decider.Raw, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	s, err := x.b.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		return nil, fmt.Errorf("look into %s: %w", events.StreamJournal, err)
	}
	m, err := s.GetMsg(ctx, sequence)
	if err != nil {
		return nil, fmt.Errorf("%w: %s/%d: %w", ErrReplay, events.StreamJournal, sequence, err)
	}
	return &decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, Arrived: m.Time.UTC()}, nil
}

// changes are the units whose setpoints differ.
func changes(before, after []dispatch.UnitWhy) []UnitChange {
	type name struct{ agent, unit string }
	was := make(map[name]*dispatch.UnitWhy, len(before))
	for i := range before {
		was[name{before[i].Agent, before[i].Unit}] = &before[i]
	}
	var out []UnitChange
	for i := range after {
		a := &after[i]
		b := was[name{a.Agent, a.Unit}]
		delete(was, name{a.Agent, a.Unit})
		if b == nil || b.SetpointWatts != a.SetpointWatts {
			out = append(out, UnitChange{Before: b, After: a})
		}
	}
	for i := range before {
		if b := &before[i]; was[name{b.Agent, b.Unit}] != nil {
			out = append(out, UnitChange{Before: b})
		}
	}
	return out
}

// Now is why a site mines as much as it does, with its newest decision and, when
// asked for, every unit.
type Now struct {
	// Site, and the place in the journal up to which was folded.
	Site     string `json:"site"`
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	// Why, as of the last event there.
	Why *dispatch.Why `json:"why"`
	// Units beneath the node, in merit order; only when asked for.
	Units []dispatch.UnitWhy `json:"units,omitempty"`
	// Version and ConfigHash that folded; Speaks: they are who decides there.
	Version    string `json:"version"`
	ConfigHash string `json:"config_hash"`
	Speaks     bool   `json:"speaks"`
	// Decision is the id of the newest one, empty when none is kept.
	Decision string `json:"decision,omitempty"`
}

// Asked is what Now is asked about a site.
type Asked struct {
	// Site; may be empty where the bus has one only.
	Site string
	// Node of its power tree; empty is the whole site, or the node of Unit.
	Node string
	// Unit to tell of alone; Units asks for all beneath the node.
	Unit  string
	Units bool
}

// Now folds the journal of a site in memory and tells why mining beneath a node
// is at its power. The error wraps ErrUnknown for a site, node or unit that is
// not there and ErrReplay where too little is kept.
func (x *Explainer) Now(ctx context.Context, q Asked) (*Now, error) {
	site, err := x.Site(ctx, q.Site)
	if err != nil {
		return nil, err
	}
	cfg := dispatch.Config{}
	active, _, err := host.Active(ctx, x.b, site, dispatch.Name)
	if err != nil {
		return nil, err
	}
	if active != nil && active.ConfigHash == dispatch.New(dispatch.Config{NoReductions: true}).Identity().ConfigHash {
		cfg.NoReductions = true
	}
	f, err := x.fold(ctx, site, cfg, 0)
	if err != nil {
		return nil, err
	}
	id := f.d.Identity()
	n := &Now{Site: site, Epoch: f.r.Epoch(), Sequence: f.r.Sequence(), Version: id.Version, ConfigHash: id.ConfigHash, Speaks: f.r.Speaks()}
	if q.Units || q.Unit != "" {
		if n.Units, err = f.d.WhyUnits(q.Node); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrUnknown, site, err)
		}
	}
	if q.Unit != "" {
		known := len(n.Units)
		n.Units = slices.DeleteFunc(n.Units, func(u dispatch.UnitWhy) bool { return u.Unit != q.Unit })
		if len(n.Units) == 0 {
			return nil, fmt.Errorf("%w: unit %q at %s, where %d units are known beneath %s: ballast why %s --units lists them", ErrUnknown, q.Unit, site, known, nodeName(cmp.Or(q.Node, events.RootNode)), site)
		}
		q.Node = cmp.Or(q.Node, n.Units[0].Node)
	}
	if n.Why, err = f.d.Why(q.Node); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnknown, site, err)
	}
	n.Decision, err = x.newest(ctx, site, []events.Type{events.TypeDispatchDecided}, "")
	return n, err
}
