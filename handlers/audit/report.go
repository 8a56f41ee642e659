// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Report is what Verify found out about one decider at one site.
type Report struct {
	// Site and Identity of the decider that folded.
	Site     string           `json:"site"`
	Identity decider.Identity `json:"identity"`
	// First kept and Last folded sequence of the journal, with its Epoch, and
	// how many Messages were folded.
	First    uint64 `json:"first"`
	Last     uint64 `json:"last"`
	Epoch    uint64 `json:"epoch"`
	Messages uint64 `json:"messages"`
	// Snapshot the fold began from, 0 when from the beginning; Anchored: the
	// message it was taken at is in the journal and the right one.
	Snapshot uint64 `json:"snapshot"`
	Anchored bool   `json:"anchored"`
	// Counts and StateHash at the end.
	Counts    decider.Counts `json:"counts"`
	StateHash string         `json:"state_hash"`

	// Stored outputs found, Compared with the fold, and Equal to it byte for
	// byte.
	Stored   uint64 `json:"stored"`
	Compared uint64 `json:"compared"`
	Equal    uint64 `json:"equal"`
	// Checkpoints compared.
	Checkpoints uint64 `json:"checkpoints"`

	// Missing: the fold says it, the stream does not have it. Extra: the
	// reverse, with the cause in the journal. Differing: both, and not alike.
	Missing   Findings `json:"missing"`
	Extra     Findings `json:"extra"`
	Differing Findings `json:"differing"`
	// Copies beyond the first of an output, under the same id.
	Copies uint64 `json:"copies"`
	// Invalid outputs that the decider asked for and nobody could publish.
	Invalid uint64 `json:"invalid"`

	// Reordered outputs stand in their stream before one of an earlier cause.
	// A worker goes by the order key: no fault.
	Reordered uint64 `json:"reordered"`
	// Pending: so young that they may still be on their way.
	Pending uint64 `json:"pending"`
	// Before: causes behind the verified range (purged, or before the
	// snapshot). Behind: causes newer than it.
	Before uint64 `json:"before"`
	Behind uint64 `json:"behind"`
	// SnapshotsUnread says why those of the source could not be read, as with
	// the rights of a viewer: states are then compared by their hashes alone.
	SnapshotsUnread string `json:"snapshots_unread,omitempty"`
	// Recorded snapshots given to Options.Record.
	Recorded uint64 `json:"recorded,omitempty"`
	// OtherVersions decided these spans; verify them with a decider of that
	// version.
	OtherVersions []*Span `json:"other_versions"`
	// Lost: outputs whose causes the journal has no more, or never had.
	Lost []*LostSpan `json:"lost"`
	// Divergence is the first difference with both outputs and both states,
	// nil when there is none.
	Divergence *Divergence `json:"divergence,omitempty"`
}

// Errors of Verify besides those of the source.
var (
	// ErrNotClean is what Report.Err returns.
	ErrNotClean = errors.New("decisions do not follow from the journal")
	// ErrNoSnapshot: none of this decider is known where a replay was to
	// begin.
	ErrNoSnapshot = errors.New("no snapshot to begin from")
)

// Findings counts one kind of difference and lists the first ones.
type Findings struct {
	Count uint64     `json:"count"`
	List  []*Finding `json:"list"`
}

// Finding is one difference.
type Finding struct {
	// Key of the output; its cause is (epoch, sequence) of the journal.
	Key events.OrderKey `json:"key"`
	// Stream and StreamSequence where it is stored; the latter 0 when it is
	// not. Subject of it.
	Stream         string `json:"stream"`
	StreamSequence uint64 `json:"stream_sequence,omitempty"`
	Subject        string `json:"subject,omitempty"`
	// What is wrong, for people.
	What string `json:"what"`
	// StoredData and Folded are both payloads, where there are two.
	StoredData string `json:"stored,omitempty"`
	Folded     string `json:"folded,omitempty"`

	checkpoint bool
	chain      bool // only the chain over the journal differs there
}

// Span of causes that another version decided.
type Span struct {
	decider.Activation
	// From and To are the first and the last cause, both included.
	From events.OrderKey `json:"from"`
	To   events.OrderKey `json:"to"`
	// Outputs stored in it.
	Outputs uint64 `json:"outputs"`
}

// LostSpan of causes that were decided on and are not in the journal.
type LostSpan struct {
	// Epoch of the causes, the first and the last of them.
	Epoch uint64 `json:"epoch"`
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
	// Causes in it, and Outputs stored.
	Causes  uint64 `json:"causes"`
	Outputs uint64 `json:"outputs"`
	// KnownCut: an epoch was opened before them, so their loss is recorded: a
	// power failure took the end of the journal. False is worse: nobody knows
	// where they came from.
	KnownCut bool `json:"known_cut"`
}

// add counts a finding and lists it when it is among the first by key.
func (f *Findings) add(most int, x Finding) {
	f.Count++
	at, _ := slices.BinarySearchFunc(f.List, &x, func(a, b *Finding) int { return a.Key.Compare(b.Key) })
	if at >= most {
		return
	}
	if len(f.List) == most {
		f.List = f.List[:most-1]
	}
	f.List = slices.Insert(f.List, at, &x)
}

// found reports whether something is known to differ.
func (r *Report) found() bool {
	return r.Missing.Count+r.Extra.Count+r.Differing.Count+r.Copies+r.Invalid > 0
}

// Clean reports whether every stored decision that could be compared follows
// from the journal and nothing is missing. Spans of other versions and recorded
// cuts are listed and do not count as faults.
func (r *Report) Clean() bool {
	for _, l := range r.Lost {
		if !l.KnownCut {
			return false
		}
	}
	return !r.found()
}

// Complete reports whether everything stored could be compared: no span of
// another version, no cause lost in a cut, nothing before the verified range,
// and the snapshot it began from, if any, proven to be of this journal.
func (r *Report) Complete() bool {
	if r.Snapshot > 0 {
		return r.Anchored && len(r.OtherVersions) == 0 && len(r.Lost) == 0
	}
	return r.Before == 0 && len(r.OtherVersions) == 0 && len(r.Lost) == 0
}

// Err is nil when the report is clean and ErrNotClean with a summary otherwise.
func (r *Report) Err() error {
	if r.Clean() {
		return nil
	}
	return fmt.Errorf("%s at %s: %w: %d missing, %d extra, %d differing, %d stored twice, %d spans without a cause",
		r.Identity.Name, r.Site, ErrNotClean, r.Missing.Count, r.Extra.Count, r.Differing.Count, r.Copies, len(r.Lost))
}

// String is the report for people, with the first divergence in full.
func (r *Report) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	verdict := "follows from the journal"
	if !r.Clean() {
		verdict = "DOES NOT FOLLOW from the journal"
	}
	line("%s %s-%s at %s: %s", r.Identity.Name, r.Identity.Version, r.Identity.ConfigHash, r.Site, verdict)
	from := "the beginning"
	if r.Snapshot > 0 {
		from = fmt.Sprintf("the snapshot at %d", r.Snapshot)
	} else if r.First > 1 {
		from = fmt.Sprintf("%d, the first kept", r.First)
	}
	line("  journal: %d messages from %s to %d (epoch %d); %d folded, %d repeated, %d unusable", r.Messages, from, r.Last, r.Epoch, r.Counts.Folded, r.Counts.Repeated, r.Counts.Unusable)
	line("  stored outputs: %d, of which compared %d, equal byte for byte %d; checkpoints %d", r.Stored, r.Compared, r.Equal, r.Checkpoints)
	if r.Snapshot > 0 && !r.Anchored {
		line("  the message the snapshot was taken at is not in the journal any more")
	}
	for _, n := range []struct {
		count uint64
		what  string
	}{
		{r.Copies, "stored more than once"}, {r.Invalid, "causes with outputs that are no valid events"},
		{r.Reordered, "stored after an output of a later cause"}, {r.Pending, "decided moments ago, not stored yet"},
		{r.Before, "of causes before the verified range"}, {r.Behind, "of causes newer than the verified range"},
	} {
		if n.count > 0 {
			line("  %d outputs %s", n.count, n.what)
		}
	}
	for _, s := range r.OtherVersions {
		line("  decided by version %s-%s: %d outputs, causes %d/%d to %d/%d", s.Version, s.ConfigHash, s.Outputs, s.From.Epoch, s.From.Sequence, s.To.Epoch, s.To.Sequence)
	}
	for _, l := range r.Lost {
		why := "lost when the journal was cut"
		if !l.KnownCut {
			why = "NOT in the journal, and no epoch explains it"
		}
		line("  causes %d/%d to %d/%d %s: %d causes, %d outputs", l.Epoch, l.From, l.Epoch, l.To, why, l.Causes, l.Outputs)
	}
	for _, f := range []struct {
		name string
		Findings
	}{{"missing", r.Missing}, {"extra", r.Extra}, {"differing", r.Differing}} {
		if f.Count > 0 {
			x := f.List[0]
			line("  %s: %d, the first %d/%d/%d in %s (%d) %s: %s", f.name, f.Count, x.Key.Epoch, x.Key.Sequence, x.Key.Ordinal, x.Stream, x.StreamSequence, x.Subject, x.What)
		}
	}
	if r.Divergence != nil {
		r.Divergence.write(line)
		if r.SnapshotsUnread != "" {
			line("    the snapshots could not be read: %s", r.SnapshotsUnread)
		}
	}
	return b.String()
}

// shown changes of each kind in a report for people.
const shown = 24

func (d *Divergence) write(line func(string, ...any)) {
	line("  first divergence: %d/%d/%d (%s): %s", d.Key.Epoch, d.Key.Sequence, d.Key.Ordinal, d.Kind, d.What)
	if c := d.Cause; c != nil {
		line("    cause: %s %s from %s at %d, arrived %s", c.Type, c.ID, c.Source, c.Sequence, c.Arrived.Format(time.RFC3339Nano))
	}
	if d.Recorded != "" {
		line("    stored: %s", d.Recorded)
	}
	if d.Replayed != "" {
		line("    fold:   %s", d.Replayed)
	}
	list := func(title string, changes []Change, more int) {
		line("    %s", title)
		for i, c := range changes {
			if i == shown {
				more += len(changes) - shown
				break
			}
			line("      %s", c)
		}
		if more > 0 {
			line("      and %d more", more)
		}
	}
	if len(d.Output) > 0 {
		list("output, stored → fold:", d.Output, d.OutputMore)
	}
	for _, s := range d.States {
		if s.Equal() {
			line("    state after %d, recorded (%s) and replayed: equal, %s", s.Sequence, s.Recorded, s.ReplayedHash)
			continue
		}
		list(fmt.Sprintf("state after %d, recorded (%s, %s) → replayed (%s):", s.Sequence, s.Recorded, s.RecordedHash, s.ReplayedHash), s.Changes, s.More)
	}
	if len(d.Effect) > 0 {
		list("what the cause changed in the replayed state, before → after:", d.Effect, d.EffectMore)
	}
	line("    %s", d.Verdict)
}
