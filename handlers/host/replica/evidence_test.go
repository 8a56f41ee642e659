// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// shelf is a journal in memory; a message without a subject is gone.
type shelf []decider.Raw

var errShelf = errors.New("the shelf is locked")

func (s shelf) Last() uint64 { return uint64(len(s)) }

func (s shelf) Message(sequence uint64) (decider.Raw, bool, error) {
	if sequence == 0 || sequence > s.Last() {
		return decider.Raw{}, false, errShelf
	}
	m := s[sequence-1]
	return m, m.Subject != "", nil
}

// journal of n ticks that arrive a second apart, from second first on.
func journal(t *testing.T, first int64, n int) shelf {
	t.Helper()
	var out shelf
	for i := range n {
		at := time.Unix(first+int64(i), 0).UTC()
		m, err := events.Encode(events.DefaultPrefix, events.New(site, events.SiteSource, &events.ClockTick{Second: at.Unix()}).At(at).WithID("tick"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: uint64(i) + 1, Arrived: at})
	}
	return out
}

// snapshot of a toy that has folded the journal.
func snapshot(t *testing.T, j shelf) *decider.Header {
	t.Helper()
	r, err := decider.NewRunner(events.DefaultPrefix, site, decidertest.New("1.0"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range j {
		if _, err := r.Feed(&j[i]); err != nil {
			t.Fatal(err)
		}
	}
	data, err := r.Snapshot(nil)
	if err != nil {
		t.Fatal(err)
	}
	head, _, err := decider.ReadHeader(data)
	if err != nil {
		t.Fatal(err)
	}
	return head
}

func TestSnapshotOfThisJournal(t *testing.T) {
	whole := journal(t, 1000, 10)
	head := snapshot(t, whole[:6])
	gone := slices.Clone(whole)
	gone[5] = decider.Raw{Sequence: 6}
	other := append(slices.Clone(whole[:5]), journal(t, 2000, 10)[5:]...)
	for name, c := range map[string]struct {
		known []decider.Opening
		j     shelf
		want  replica.Finding
	}{
		"it is":                       {nil, whole, replica.Finding{}},
		"an epoch began after it":     {[]decider.Opening{{Epoch: 1, After: 6}}, whole, replica.Finding{}},
		"an epoch began before it":    {[]decider.Opening{{Epoch: 1, After: 5}}, whole, replica.Finding{Foreign: true, Reason: "sequence 6 belongs to epoch 1 now, it was taken in 0"}},
		"the journal is shorter":      {nil, whole[:4], replica.Finding{Cut: true, After: 4, Reason: "journal ends at 4, a snapshot was taken at 6"}},
		"the journal went on alike":   {nil, other, replica.Finding{Cut: true, After: 10, Reason: "journal message 6 is not the one a snapshot was taken at"}},
		"its message was purged":      {nil, gone, replica.Finding{Foreign: true, Reason: "message 6 of the journal is gone"}},
		"the loss is known, and more": {[]decider.Opening{{Epoch: 1, After: 3}}, whole[:4], replica.Finding{Foreign: true, Reason: "sequence 6 belongs to epoch 1 now, it was taken in 0"}},
	} {
		if got, err := replica.Belongs(head, c.known, c.j); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	if _, err := replica.Belongs(&decider.Header{}, nil, whole); !errors.Is(err, errShelf) {
		t.Errorf("the journal's error is lost: %v", err)
	}
}

// said are outputs for causes that arrived when those of the journal did.
func said(epoch uint64, j shelf, sequences ...uint64) []replica.Said {
	var out []replica.Said
	for _, n := range sequences {
		out = append(out, replica.Said{OrderKey: events.OrderKey{Epoch: epoch, Sequence: n}, Arrived: j[n-1].Arrived.UnixNano()})
	}
	return out
}

func TestDecisionsRestOnThisJournal(t *testing.T) {
	whole := journal(t, 1000, 10)
	other := append(slices.Clone(whole[:5]), journal(t, 2000, 10)[5:]...)
	for name, c := range map[string]struct {
		said  []replica.Said
		known []decider.Opening
		j     shelf
		want  replica.Finding
	}{
		"nothing was said":         {nil, nil, whole, replica.Finding{}},
		"they do":                  {said(0, whole, 2, 9), nil, whole, replica.Finding{}},
		"the journal is shorter":   {said(0, whole, 2, 4, 9), nil, whole[:6], replica.Finding{Cut: true, After: 4, Reason: "journal ends at 6, a decision rests on 9"}},
		"nothing of it is left":    {said(0, whole, 9), nil, whole[:6], replica.Finding{Cut: true, After: 6, Reason: "journal ends at 6, a decision rests on 9"}},
		"the journal has grown":    {said(0, whole, 2, 5, 7, 8), nil, other, replica.Finding{Cut: true, After: 5, Reason: "journal message 8 is not the one a decision rests on"}},
		"it grew beyond, unlike":   {said(0, whole, 3, 6, 9), nil, other[:8], replica.Finding{Cut: true, After: 3, Reason: "journal ends at 8, a decision rests on 9"}},
		"the loss is known":        {said(0, whole, 9), []decider.Opening{{Epoch: 1, After: 6}}, whole[:6], replica.Finding{}},
		"the cause was purged":     {said(0, whole, 1), nil, append(shelf{{Sequence: 1}}, whole[1:]...), replica.Finding{}},
		"it is of the newer epoch": {said(1, whole, 9), []decider.Opening{{Epoch: 1, After: 6}}, whole, replica.Finding{}},
	} {
		if got, err := replica.RestsOn(c.said, c.known, c.j); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestReversal(t *testing.T) {
	booked := func(epoch, sequence uint64) *events.Event {
		e := events.New(site, "energy", &events.ClockTick{Second: int64(sequence)})
		e.ID = decider.MessageID(site, me.Name, events.OrderKey{Epoch: epoch, Sequence: sequence})
		return e
	}
	kept, lost, again, final := booked(0, 5), booked(0, 6), booked(0, 7), booked(0, 8)
	v := replica.NewReversal(site, me, []decider.Opening{{Epoch: 1, After: 5}})
	for _, e := range []*events.Event{kept, lost, again, final, booked(1, 6)} {
		if v.Booked(e.ID) {
			v.Lost(e)
		}
	}
	if v.Booked(decider.MessageID(site, "another", events.OrderKey{Sequence: 6})) || v.Booked(decider.MessageID("tx2", me.Name, events.OrderKey{Sequence: 6})) {
		t.Error("takes back what others booked")
	}
	v.Booked(decider.ReversalID(again.ID))
	due := v.Due(func(e *events.Event) (events.Payload, bool) { return e.Data, e != final })
	if len(due) != 1 || due[0].ID != decider.ReversalID(lost.ID) || due[0].Causation != lost.ID {
		t.Errorf("due: %+v", due)
	}
}

func TestWhoSpeaks(t *testing.T) {
	for _, c := range []struct{ activated, muted, want bool }{
		{true, false, true}, {true, true, false}, {false, false, false}, {false, true, false},
	} {
		if replica.MaySpeak(c.activated, c.muted) != c.want {
			t.Errorf("%+v", c)
		}
	}
}
