// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// duplicateWindow of every stream, as the bus declares it.
const duplicateWindow = 2 * time.Minute

// stream is a stream of the bus: messages by sequence, and the ids that the
// server remembers.
type stream struct {
	name string
	msgs []*stored
	ids  map[string]int // index of the newest message with that id
}

// stored is one message in a stream. Its memory is never changed.
type stored struct {
	decider.Shared
	id string
	// at is the true time of storing, for the oracles.
	at time.Duration
}

func newStream(name string) *stream { return &stream{name: name, ids: make(map[string]int)} }

func (s *stream) last() uint64 { return uint64(len(s.msgs)) }

// known reports whether the server remembers the id at that time of its clock.
func (s *stream) known(id string, wall time.Time) (uint64, bool) {
	if id == "" {
		return 0, false
	}
	i, ok := s.ids[id]
	if !ok || wall.Sub(s.msgs[i].Arrived) > duplicateWindow {
		return 0, false
	}
	return uint64(i) + 1, true
}

// bus is the server: streams, subscribers by way of deliver, snapshots. It
// keeps INPUTS, COMMANDS, SHARES and REVENUE through a power failure and may
// lose the end of JOURNAL.
type bus struct {
	w       *world
	up      bool
	offset  time.Duration // of its clock
	streams map[string]*stream
	// snapshots by key.
	snapshots map[string]*replica.Snapshot
}

func newBus(w *world) *bus {
	b := &bus{w: w, up: true, streams: make(map[string]*stream), snapshots: make(map[string]*replica.Snapshot)}
	for _, n := range []string{events.StreamInputs, events.StreamJournal, events.StreamCommands, events.StreamShares, events.StreamRevenue} {
		b.streams[n] = newStream(n)
	}
	return b
}

func (b *bus) wall() time.Time { return b.w.wall(b.offset) }

func (b *bus) journal() *stream { return b.streams[events.StreamJournal] }

// Last implements replica.Journal.
func (b *bus) Last() uint64 { return b.journal().last() }

// Message implements replica.Journal.
func (b *bus) Message(sequence uint64) (decider.Raw, bool, error) {
	if sequence == 0 || sequence > b.Last() {
		return decider.Raw{}, false, nil
	}
	return b.journal().msgs[sequence-1].Raw, true, nil
}

// store puts a message into its stream unless its id is known, and tells who
// listens. It returns the sequence of the stored, or of the known, message.
func (b *bus) store(name string, m *nats.Msg) (sequence uint64, duplicate bool) {
	s := b.streams[name]
	id := first(m.Header, events.HeaderMsgID)
	wall := b.wall()
	if seq, ok := s.known(id, wall); ok {
		return seq, true
	}
	s.msgs = append(s.msgs, &stored{
		Shared: decider.Shared{Raw: decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: s.last() + 1, Arrived: wall}},
		id:     id, at: b.w.now,
	})
	if id != "" {
		s.ids[id] = len(s.msgs) - 1
	}
	b.w.stored(name, s.msgs[len(s.msgs)-1])
	return s.last(), false
}

// storeInJournal stores a relayed fact or a tick as hosts do. known is the
// sequence of the copy where it was stored already, else 0.
func (b *bus) storeInJournal(m *nats.Msg) (known uint64) {
	seq, duplicate := b.store(events.StreamJournal, m)
	if !duplicate {
		return 0
	}
	if replica.StoredAlready(&b.journal().msgs[seq-1].Raw, m) {
		return seq
	}
	b.storeAgain(m)
	return 0
}

// storeAgain stores a message without its id.
func (b *bus) storeAgain(m *nats.Msg) {
	m.Header.Del(events.HeaderMsgID)
	b.store(events.StreamJournal, m)
}

// offerTick stores the tick of a second as hosts do.
func (b *bus) offerTick(m *nats.Msg, second int64) {
	known := b.storeInJournal(m)
	if known == 0 {
		return
	}
	msgs := b.journal().msgs
	for i := len(msgs) - 1; i >= 0; i-- {
		if msgs[i].Subject == m.Subject {
			if replica.TickComesAgain(known, &msgs[i].Raw, second) {
				b.storeAgain(m)
			}
			return
		}
	}
}

// storeBatch stores all or, if one id is known, nothing.
func (b *bus) storeBatch(name string, ms []*nats.Msg) (sequence uint64, duplicate bool) {
	if len(ms) > 1 {
		for _, m := range ms {
			if seq, ok := b.streams[name].known(first(m.Header, events.HeaderMsgID), b.wall()); ok {
				return seq, true
			}
		}
	}
	for _, m := range ms {
		sequence, duplicate = b.store(name, m)
	}
	return sequence, duplicate
}

// cut loses the journal from the first message stored after the true time t
// on, as a power failure does, and reports how many messages that were.
func (b *bus) cut(t time.Duration) int {
	s := b.journal()
	keep := len(s.msgs)
	for keep > 0 && s.msgs[keep-1].at > t {
		keep--
	}
	lost := s.msgs[keep:]
	for i := range lost {
		delete(s.ids, lost[i].id)
		b.w.audit.lost(lost[i])
	}
	n := len(lost)
	s.msgs = append([]*stored(nil), s.msgs[:keep]...)
	return n
}

// openEpoch takes the next epoch of the site, as compare-and-set does.
func (b *bus) openEpoch(host, reason string, last uint64) decider.Opening {
	next := uint64(1)
	for _, o := range b.openings() {
		next = max(next, o.Epoch+1)
	}
	o := &events.JournalOpened{Epoch: next, LastSequence: last, OpenedBy: host, Reason: reason}
	e := events.New(siteName, events.SiteSource, o).At(b.wall())
	e.ID = siteName + "/epoch/" + itoa(next)
	b.store(events.StreamInputs, b.w.encode(e))
	b.w.note("%s opens epoch %d after journal sequence %d: %s", host, next, last, reason)
	return decider.Opening{Epoch: next, After: last}
}

// openings are all epochs in INPUTS, oldest first.
func (b *bus) openings() []decider.Opening {
	var out []decider.Opening
	in := b.streams[events.StreamInputs].msgs
	for i := range in {
		if o, ok := replica.OpeningOf(&in[i].Raw); ok {
			out = append(out, o)
		}
	}
	return out
}

func first(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}
