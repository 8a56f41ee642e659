// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Bounds of what a track holds.
const (
	// maxExpected outputs that the fold said and that were not read yet; past
	// it the oldest count as missing. maxAhead outputs that were read and
	// whose cause was not folded yet; past it they count as lost.
	maxExpected = 1 << 18
	maxAhead    = 1 << 20
	// maxRecent outputs that agreed are remembered, to know a second copy.
	maxRecent = 1 << 16
	// maxLate outputs nobody claimed, whose cause was folded before they were
	// read, are looked into at the end.
	maxLate = 1 << 14
	// keptBytes of payloads that the fold says are held for the report.
	keptBytes = 8 << 20
	// ownEvery folded events the state is noted for checkpoints that are
	// stored late; maxOwn of these notes.
	ownEvery = 50
	maxOwn   = 1 << 12
	// markEvery folded events the replay is marked, to return to; the newest
	// maxMarks are kept.
	markEvery = 1 << 18
	maxMarks  = 3
)

// place of a cause in the journal.
type place struct{ epoch, sequence uint64 }

func (p place) key() events.OrderKey {
	return events.OrderKey{Epoch: p.epoch, Sequence: p.sequence}
}

func placeOf(k events.OrderKey) place { return place{k.Epoch, k.Sequence} }

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.epoch, o.epoch), cmp.Compare(p.sequence, o.sequence))
}

// entry is one stored output.
type entry struct {
	ordinal  uint32
	stream   string
	sequence uint64
	sum      decider.Digest
	arrived  time.Time // of its cause, as it says
}

// expected is one output that the fold says.
type expected struct {
	stream  string
	subject string
	sum     decider.Digest
	arrived time.Time // of its cause
	data    []byte    // nil when there was no room to keep it
}

// silence is a run of causes on which another identity spoke.
type silence struct {
	from, to place
	by       decider.Activation
}

// track is one decider on its way through the journal.
type track struct {
	*pass
	build Factory
	id    decider.Identity
	r     *decider.Runner
	head  *decider.Header
	begun []byte            // the snapshot it began from
	begin map[string]uint64 // read nothing of these streams up to there
	rep   *Report

	snapshots []Snapshot // of this identity, rising
	epochs    decider.Epochs

	expected  map[events.OrderKey]*expected
	order     []events.OrderKey // of expected, oldest first, with gaps
	bytes     int
	ahead     map[place][]entry
	nAhead    int
	recent    map[events.OrderKey]decider.Digest
	ring      []events.OrderKey
	ringAt    int
	late      map[events.OrderKey]entry
	silences  []silence
	quiet     bool // the newest of them lasts
	spans     map[decider.Activation]*Span
	newest    map[string]events.OrderKey
	positions map[string]uint64 // read so far, by stream

	checks   map[place]checkpoint // stored, not folded yet
	own      map[place]events.DeciderCheckpoint
	ownRing  []place
	judged   []judgement
	marks    []mark
	marked   uint64 // folded at the newest of them
	recorded uint64 // folded at the newest snapshot given to Options.Record
	lastLost place
	outs     []decider.Output // scratch
}

// judgement is how one stored checkpoint compared.
type judgement struct {
	at   place
	same bool
}

// mark is a state of the replay to return to.
type mark struct {
	sequence uint64
	data     []byte
}

func (p *pass) newTrack(ctx context.Context, f Factory, snapshots []Snapshot) (*track, error) {
	d, err := f()
	if err != nil {
		return nil, err
	}
	t := &track{
		pass: p, build: f, id: d.Identity(), rep: &Report{Site: p.src.Site(), Identity: d.Identity()},
		expected: make(map[events.OrderKey]*expected), ahead: make(map[place][]entry),
		recent: make(map[events.OrderKey]decider.Digest), late: make(map[events.OrderKey]entry),
		spans: make(map[decider.Activation]*Span), newest: make(map[string]events.OrderKey), positions: make(map[string]uint64),
		checks: make(map[place]checkpoint), own: make(map[place]events.DeciderCheckpoint),
	}
	if t.r, err = decider.NewRunner(p.src.Prefix(), p.src.Site(), d); err != nil {
		return nil, err
	}
	t.r.ReuseMemory()
	t.snapshots = of(snapshots, p.src.Site(), t.id)
	t.begun = p.o.Begin[t.id.Name]
	if t.begun == nil && p.o.From > 0 {
		s, ok := newestUpTo(t.snapshots, p.o.From)
		if !ok {
			return nil, fmt.Errorf("%w: %s has none of version %s-%s at or before %d", ErrNoSnapshot, t.id.Name, t.id.Version, t.id.ConfigHash, p.o.From)
		}
		if t.begun, err = s.Load(ctx); err != nil || t.begun == nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrNoSnapshot, s.Where, err)
		}
	}
	if t.begun != nil {
		if t.head, err = t.r.Restore(t.begun); err != nil {
			return nil, err
		}
		t.rep.Snapshot, t.begin = t.head.Sequence, t.head.Outputs
		t.recorded = t.head.Counts.Folded
	}
	for _, o := range p.known {
		if !t.r.Opened(o) {
			return nil, fmt.Errorf("the snapshot at %d was taken before epoch %d was known, which began after %d: begin at an older one", t.rep.Snapshot, o.Epoch, o.After)
		}
		t.epochs.Add(o)
	}
	return t, nil
}

// feed folds the next message of the journal.
func (t *track) feed(m *decider.Raw) error {
	if t.head != nil && m.Sequence <= t.head.Sequence {
		if m.Sequence == t.head.Sequence {
			if !t.head.Follows(m, t.known) {
				return fmt.Errorf("the snapshot was not taken of this journal: message %d differs", m.Sequence)
			}
			t.rep.Anchored = true
		}
		return nil
	}
	st, err := t.r.Feed(m)
	if err != nil {
		return err
	}
	at := place{t.r.Epoch(), m.Sequence}
	t.rep.Last, t.rep.Epoch = at.sequence, at.epoch
	t.rep.Messages++
	if p, ok := openingOf(&st); ok {
		t.epochs.Add(p)
	}
	checked, agreed := t.check(at)
	t.judge(&st, at)
	return t.keep(checked, agreed)
}

func openingOf(st *decider.Step) (decider.Opening, bool) {
	if st.Event == nil {
		return decider.Opening{}, false
	}
	p, ok := st.Event.Data.(*events.JournalOpened)
	if !ok {
		return decider.Opening{}, false
	}
	return decider.Opening{Epoch: p.Epoch, After: p.LastSequence}, true
}

// judge compares what is stored of one cause with what the fold says.
func (t *track) judge(st *decider.Step, at place) {
	have := t.ahead[at]
	if have != nil {
		delete(t.ahead, at)
		t.nAhead -= len(have)
	}
	if st.Outcome == decider.Folded && !st.Speaks {
		if by, ok := t.r.Active(); ok {
			t.silent(at, by)
			t.span(by, at, uint64(len(have)))
			return
		}
	}
	if st.Speaks {
		t.quiet = false
	}
	if st.Outcome == decider.Folded && st.Speaks && t.onlyStored(st) {
		batches, _, err := t.r.Batches(st)
		if err != nil {
			t.rep.Invalid++ // left out by the hosts too
		}
		for _, b := range batches {
			for _, m := range b.Messages {
				_, _, key, _ := decider.ParseMessageID(headerOf(m.Header, events.HeaderMsgID))
				have = t.said(have, key, b.Stream, m, st.Event.Arrived)
			}
		}
	}
	for _, e := range have {
		t.extra(at, &e)
	}
}

// onlyStored leaves the outputs that are only sent out of a step, and reports
// whether some are left: nothing is known of the others.
func (t *track) onlyStored(st *decider.Step) bool {
	t.outs = t.outs[:0]
	for i := range st.Outputs {
		if st.Outputs[i].Stored {
			t.outs = append(t.outs, st.Outputs[i])
		}
	}
	st.Outputs = t.outs
	return len(t.outs) > 0
}

// said compares one output of the fold with those stored of its cause, or
// waits for it, and returns the others.
func (t *track) said(have []entry, key events.OrderKey, stream string, m *nats.Msg, arrived time.Time) []entry {
	sum := digest(m.Subject, m.Header, m.Data)
	i := slices.IndexFunc(have, func(e entry) bool { return e.ordinal == key.Ordinal })
	if i < 0 {
		x := &expected{stream: stream, subject: m.Subject, sum: sum, arrived: arrived}
		if t.bytes+len(m.Data) <= keptBytes {
			x.data = m.Data
			t.bytes += len(m.Data)
		}
		t.expected[key] = x
		t.order = append(t.order, key)
		t.bound()
		return have
	}
	t.compare(key, &have[i], &expected{stream: stream, subject: m.Subject, sum: sum, data: m.Data})
	return slices.Delete(have, i, i+1)
}

// bound holds the number of expected outputs down.
func (t *track) bound() {
	for len(t.expected) > maxExpected {
		key := t.order[0]
		t.order = t.order[1:]
		if x := t.expected[key]; x != nil {
			t.missing(key, x)
		}
	}
	// Most are read at once: the order is mostly gaps.
	if len(t.order) > 2*len(t.expected)+1024 {
		t.order = slices.DeleteFunc(t.order, func(k events.OrderKey) bool { return t.expected[k] == nil })
	}
}

func (t *track) missing(key events.OrderKey, x *expected) {
	t.release(key, x)
	if t.began.Sub(x.arrived) < t.o.Grace {
		t.rep.Pending++
		return
	}
	t.rep.Missing.add(t.o.Findings, Finding{Key: key, Stream: x.stream, Subject: x.subject, What: "the fold says it, the stream does not have it", Folded: string(x.data)})
}

func (t *track) release(key events.OrderKey, x *expected) {
	delete(t.expected, key)
	t.bytes -= len(x.data)
}

// stored takes one output as it was stored.
func (t *track) stored(stream string, key events.OrderKey, m *decider.Raw) {
	t.positions[stream] = m.Sequence
	if m.Sequence <= t.begin[stream] {
		return
	}
	t.rep.Stored++
	arrived, _ := time.Parse(time.RFC3339Nano, headerOf(m.Header, events.HeaderCETime))
	e := entry{ordinal: key.Ordinal, stream: stream, sequence: m.Sequence, sum: digest(m.Subject, m.Header, m.Data), arrived: arrived}
	if key.Compare(t.newest[stream]) < 0 {
		t.rep.Reordered++
	} else {
		t.newest[stream] = key
	}
	at := placeOf(key)
	if x := t.expected[key]; x != nil {
		t.release(key, x)
		t.compare(key, &e, x)
		return
	}
	if sum, ok := t.recent[key]; ok {
		t.copy(key, &e, sum)
		return
	}
	for _, o := range t.ahead[at] {
		if o.ordinal == key.Ordinal {
			t.copy(key, &e, o.sum)
			return
		}
	}
	switch {
	case at.sequence <= t.rep.Snapshot, at.sequence < t.rep.First && t.epochs.At(at.sequence) == at.epoch:
		t.rep.Before++
	case t.o.To > 0 && at.sequence > t.o.To:
		t.rep.Behind++
	case at.sequence > t.r.Sequence():
		if t.nAhead >= maxAhead {
			t.lost(at, 1, false)
			return
		}
		t.ahead[at] = append(t.ahead[at], e)
		t.nAhead++
	case t.epochs.At(at.sequence) != at.epoch:
		t.lost(at, 1, true)
	default:
		if by := t.silentAt(at); by != nil {
			t.span(*by, at, 1)
			return
		}
		if len(t.late) >= maxLate {
			t.extra(at, &e)
			return
		}
		if o, ok := t.late[key]; ok {
			t.copy(key, &e, o.sum)
			return
		}
		t.late[key] = e
	}
}

func (t *track) copy(key events.OrderKey, e *entry, sum decider.Digest) {
	t.rep.Copies++
	if e.sum != sum {
		t.rep.Differing.add(t.o.Findings, Finding{Key: key, Stream: e.stream, StreamSequence: e.sequence, What: "a second copy under the same id says something else"})
	}
}

func (t *track) compare(key events.OrderKey, e *entry, x *expected) {
	t.remember(key, e.sum)
	t.rep.Compared++
	switch {
	case e.stream != x.stream:
		t.rep.Differing.add(t.o.Findings, Finding{Key: key, Stream: e.stream, StreamSequence: e.sequence, Subject: x.subject, What: "it belongs into " + x.stream})
	case e.sum != x.sum:
		t.rep.Differing.add(t.o.Findings, Finding{Key: key, Stream: e.stream, StreamSequence: e.sequence, Subject: x.subject, What: "it is not what the fold says", Folded: string(x.data)})
	default:
		t.rep.Equal++
	}
}

// remember that an output was claimed.
func (t *track) remember(key events.OrderKey, sum decider.Digest) {
	if len(t.ring) < maxRecent {
		t.ring = append(t.ring, key)
	} else {
		delete(t.recent, t.ring[t.ringAt])
		t.ring[t.ringAt] = key
		t.ringAt = (t.ringAt + 1) % maxRecent
	}
	t.recent[key] = sum
}

func (t *track) extra(at place, e *entry) {
	key := at.key()
	key.Ordinal = e.ordinal
	t.rep.Extra.add(t.o.Findings, Finding{Key: key, Stream: e.stream, StreamSequence: e.sequence, What: "the fold does not say it"})
}

// silent notes that another identity spoke on a cause.
func (t *track) silent(at place, by decider.Activation) {
	if n := len(t.silences); t.quiet && t.silences[n-1].by == by {
		t.silences[n-1].to = at
		return
	}
	t.silences, t.quiet = append(t.silences, silence{at, at, by}), true
}

// silentAt is who spoke at a cause, nil when it was this identity.
func (t *track) silentAt(at place) *decider.Activation {
	i, _ := slices.BinarySearchFunc(t.silences, at, func(s silence, at place) int {
		if s.to.compare(at) < 0 {
			return -1
		}
		if s.from.compare(at) > 0 {
			return 1
		}
		return 0
	})
	if i < len(t.silences) && t.silences[i].from.compare(at) <= 0 && at.compare(t.silences[i].to) <= 0 {
		return &t.silences[i].by
	}
	return nil
}
