// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Divergence is the first place at which what was stored and what the fold says
// part, with both outputs and both states.
type Divergence struct {
	// Key of the output, or place of the checkpoint.
	Key events.OrderKey `json:"key"`
	// Kind is missing, extra, differing, checkpoint, copy or lost.
	Kind string `json:"kind"`
	// What is wrong, for people.
	What string `json:"what"`
	// Cause is the journal message folded there; nil when it is not in the
	// journal.
	Cause *Cause `json:"cause,omitempty"`
	// Recorded and Replayed are the two payloads, Output their difference.
	Recorded   string   `json:"recorded,omitempty"`
	Replayed   string   `json:"replayed,omitempty"`
	Output     []Change `json:"output,omitempty"`
	OutputMore int      `json:"output_more,omitempty"`
	// Agreed is the newest checkpoint before it that agrees; Next the first
	// checkpoint at it or behind, and whether that agrees.
	Agreed     *events.OrderKey `json:"agreed,omitempty"`
	Next       *events.OrderKey `json:"next,omitempty"`
	NextAgrees bool             `json:"next_agrees,omitempty"`
	// States are comparisons of the state as recorded with the state as
	// replayed, one per recorded state at hand.
	States []StateDifference `json:"states,omitempty"`
	// Effect is what the cause changed in the state of the replay.
	Effect     []Change `json:"effect,omitempty"`
	EffectMore int      `json:"effect_more,omitempty"`
	// Verdict says in a sentence what the states show.
	Verdict string `json:"verdict"`
}

// Cause of an output.
type Cause struct {
	ID       string      `json:"id"`
	Type     events.Type `json:"type"`
	Source   string      `json:"source"`
	Sequence uint64      `json:"sequence"`
	Arrived  time.Time   `json:"arrived"`
}

// StateDifference compares two states of a decider after the same message.
type StateDifference struct {
	// Sequence after which both are.
	Sequence uint64 `json:"sequence"`
	// Recorded says where the recorded one comes from.
	Recorded string `json:"recorded"`
	// RecordedHash and ReplayedHash of them.
	RecordedHash string `json:"recorded_hash"`
	ReplayedHash string `json:"replayed_hash"`
	// Changes between them; none when they are equal. More than listed.
	Changes []Change `json:"changes"`
	More    int      `json:"more,omitempty"`
}

// Equal reports whether the two states are the same.
func (s *StateDifference) Equal() bool {
	return s.RecordedHash == s.ReplayedHash && len(s.Changes) == 0
}

// first finding of a report by place.
func (r *Report) first() (*Finding, string) {
	var best *Finding
	kind := ""
	for _, c := range []struct {
		kind string
		list []*Finding
	}{{"missing", r.Missing.List}, {"extra", r.Extra.List}, {"differing", r.Differing.List}} {
		if len(c.list) > 0 && (best == nil || c.list[0].Key.Compare(best.Key) < 0) {
			best, kind = c.list[0], c.kind
		}
	}
	if best != nil && best.checkpoint {
		kind = "checkpoint"
	}
	for _, l := range r.Lost {
		k := events.OrderKey{Epoch: l.Epoch, Sequence: l.From}
		if !l.KnownCut && (best == nil || k.Compare(best.Key) < 0) {
			best, kind = &Finding{Key: k, Stream: events.StreamCommands, What: "the journal does not have its cause, and no epoch explains it"}, "lost"
		}
	}
	return best, kind
}

// maxRefold messages are folded beyond a divergence to reach a recorded state.
const maxRefold = 2_000_000

// explain finds out what can be known of the first divergence.
func (t *track) explain(ctx context.Context) error {
	f, kind := t.rep.first()
	if f == nil {
		return nil
	}
	d := &Divergence{Key: f.Key, Kind: kind, What: f.What, Recorded: f.StoredData, Replayed: f.Folded}
	t.rep.Divergence = d
	at := placeOf(f.Key)
	before, after := t.around(at)
	if before != nil {
		k := before.at.key()
		d.Agreed = &k
	}
	if after != nil {
		k := after.at.key()
		d.Next, d.NextAgrees = &k, after.same
	}
	if kind != "lost" {
		if err := t.states(ctx, at, d); err != nil {
			return fmt.Errorf("the first divergence, at %d/%d: %w", at.epoch, at.sequence, err)
		}
	}
	if d.Recorded != "" && d.Replayed != "" {
		d.Output, d.OutputMore = Changes([]byte(d.Recorded), []byte(d.Replayed))
	}
	if d.Verdict = d.verdict(); f.chain {
		d.Verdict = "the state is the same, the messages it was folded from are not: the journal was changed between " + d.between()
	}
	return nil
}

// states folds the neighbourhood of a divergence again.
func (t *track) states(ctx context.Context, at place, d *Divergence) error {
	mine, err := t.returnTo(ctx, at.sequence-1)
	if err != nil {
		return err
	}
	earlier, err := state(mine)
	if err != nil {
		return err
	}
	err = t.onward(ctx, mine, at.sequence, func(st *decider.Step) {
		if e := st.Event; e != nil && e.Sequence == at.sequence {
			d.Cause = &Cause{ID: strings.Clone(e.ID), Type: e.Type, Source: strings.Clone(e.Source), Sequence: e.Sequence, Arrived: e.Arrived}
			d.Replayed = t.payloadOf(mine, st, d)
		}
	})
	if err != nil {
		return err
	}
	here, err := state(mine)
	if err != nil {
		return err
	}
	d.Effect, d.EffectMore = Changes(earlier, here)
	if s, ok := newestUpTo(t.snapshots, at.sequence); ok && s.Sequence > t.rep.Snapshot {
		other, err := t.restore(ctx, &s)
		if err != nil || other == nil {
			return err
		}
		if err := t.onward(ctx, other, at.sequence, nil); err != nil {
			return err
		}
		if err := d.add(fmt.Sprintf("%s, folded on from %d", s.Where, s.Sequence), other, mine); err != nil {
			return err
		}
	}
	for _, s := range t.snapshots {
		if s.Sequence <= at.sequence || s.Sequence > t.rep.Last || s.Sequence-at.sequence > maxRefold {
			continue
		}
		other, err := t.restore(ctx, &s)
		if err != nil || other == nil {
			return err
		}
		if err := t.onward(ctx, mine, s.Sequence, nil); err != nil {
			return err
		}
		return d.add(s.Where, other, mine)
	}
	return nil
}

// payloadOf the output that the divergence is about, as the replay says it.
func (t *track) payloadOf(r *decider.Runner, st *decider.Step, d *Divergence) string {
	if d.Kind == "checkpoint" || d.Kind == "extra" {
		return ""
	}
	batches, _, _ := r.Batches(st)
	for _, b := range batches {
		for _, m := range b.Messages {
			if _, _, key, _ := decider.ParseMessageID(headerOf(m.Header, events.HeaderMsgID)); key == d.Key {
				return string(bytes.Clone(m.Data))
			}
		}
	}
	return d.Replayed
}

func (d *Divergence) add(where string, recorded, replayed *decider.Runner) error {
	a, err := state(recorded)
	if err != nil {
		return err
	}
	b, err := state(replayed)
	if err != nil {
		return err
	}
	s := StateDifference{Sequence: replayed.Sequence(), Recorded: where, RecordedHash: recorded.StateHash(), ReplayedHash: replayed.StateHash()}
	s.Changes, s.More = Changes(a, b)
	d.States = append(d.States, s)
	return nil
}

// state of a runner's decider, as it writes it.
func state(r *decider.Runner) ([]byte, error) {
	b, err := r.Snapshot(nil)
	if err != nil {
		return nil, err
	}
	_, s, err := decider.ReadHeader(b)
	return s, err
}

// fresh returns a runner at the beginning of the verified range.
func (t *track) fresh(from []byte) (*decider.Runner, error) {
	d, err := t.build()
	if err != nil {
		return nil, err
	}
	r, err := decider.NewRunner(t.src.Prefix(), t.src.Site(), d)
	if err != nil {
		return nil, err
	}
	r.ReuseMemory()
	if from != nil {
		if _, err := r.Restore(from); err != nil {
			return nil, err
		}
	}
	for _, o := range t.epochs.Openings() {
		if !r.Opened(o) {
			return nil, fmt.Errorf("it was taken before epoch %d was known", o.Epoch)
		}
	}
	return r, nil
}

// restore returns a runner in a recorded state, nil when it is of no use here.
func (t *track) restore(ctx context.Context, s *Snapshot) (*decider.Runner, error) {
	data, err := s.Load(ctx)
	if err != nil || data == nil {
		return nil, err
	}
	r, err := t.fresh(data)
	if errors.Is(err, decider.ErrSnapshot) {
		return nil, nil // damaged: the others must do
	}
	return r, err
}

// returnTo is the replay after a sequence, from the newest mark before it.
func (t *track) returnTo(ctx context.Context, sequence uint64) (*decider.Runner, error) {
	from := t.begun
	for _, m := range t.marks {
		if m.sequence <= sequence {
			from = m.data
		}
	}
	r, err := t.fresh(from)
	if err != nil {
		return nil, err
	}
	return r, t.onward(ctx, r, sequence, nil)
}

// onward folds up to a sequence and shows every step.
func (t *track) onward(ctx context.Context, r *decider.Runner, to uint64, each func(*decider.Step)) error {
	if r.Sequence() >= to {
		return nil
	}
	for m, err := range t.src.Read(ctx, events.StreamJournal, r.Sequence()+1) {
		if err != nil {
			return err
		}
		if m.Sequence > to {
			break
		}
		st, err := r.Feed(m)
		if err != nil {
			return err
		}
		if each != nil {
			each(&st)
		}
	}
	return nil
}

// between names the checkpoints around.
func (d *Divergence) between() string {
	a, b := "the beginning", "the end"
	if d.Agreed != nil {
		a = fmt.Sprintf("the checkpoint at %d/%d", d.Agreed.Epoch, d.Agreed.Sequence)
	}
	if d.Next != nil {
		b = fmt.Sprintf("the one at %d/%d", d.Next.Epoch, d.Next.Sequence)
	}
	return a + " and " + b
}

func (d *Divergence) verdict() string {
	for i := range d.States {
		if s := &d.States[i]; !s.Equal() {
			return fmt.Sprintf("the state was another one: %d values differ after %d", len(s.Changes)+s.More, s.Sequence)
		}
	}
	switch {
	case d.Kind == "lost":
		return "outputs are stored of a cause that this journal never had"
	case d.Next != nil && d.NextAgrees:
		return "the states agree at the checkpoints around it (" + d.between() + "): the decider was in the replay's state, so what is stored was changed afterwards"
	case len(d.States) > 0 && d.Next == nil:
		return "the recorded states at hand equal the replay's: what is stored was changed afterwards"
	case d.Next != nil:
		return "the states part between " + d.between() + "; only their hashes were recorded there"
	}
	return "no state was recorded behind it: whether the state or the output was another one cannot be told"
}
