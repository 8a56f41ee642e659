// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"maps"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// restart ends the session; the next one begins from a stored state.
func (s *seat) restart(why string) {
	s.h.w.note("%s/%s begins anew: %s", s.h.spec.Name, s.id.Name, why)
	s.session++
	session := s.session
	s.r, s.folding = nil, false
	s.h.w.after(startAgain, func() {
		if s.session == session {
			s.begin()
		}
	})
}

// begin makes a runner in the newest stored state that belongs to the journal.
func (s *seat) begin() {
	s.session++
	session := s.session
	s.r, s.queue, s.snaps, s.waiting, s.folding, s.reversed = nil, replica.Queue{}, replica.Snapshots{}, false, false, 0
	w := s.h.w
	if !s.h.online() {
		w.after(startAgain, func() {
			if s.session == session && s.h.up {
				s.begin()
			}
		})
		return
	}
	known := w.bus.openings()
	r, outputs, ok := s.restore(known)
	if !ok {
		s.restart("the journal was cut")
		return
	}
	for _, o := range known {
		r.Opened(o)
	}
	s.r = r
	s.outputs, s.vigil = replica.NewOutputs(siteName, s.id, outputs), replica.Vigil{Half: duplicateWindow / 2}
	s.look()
	if !s.checkEnd() {
		s.r = nil
		s.restart("the journal was cut")
		return
	}
	s.alive = s.h.now()
	s.h.ahead = w.bus.offset - s.h.offset
	s.anchors = replica.Anchors{}
	s.anchors.Note(s.outputs.Start(r.Sequence()))
	w.note("%s/%s folds from %d", s.h.spec.Name, s.id.Name, r.Sequence()+1)
	s.wake()
}

func (s *seat) snapshotKey() string { return s.id.Name + "/" + s.id.Version + "-" + s.id.ConfigHash }

// restore takes the stored snapshot back if its journal is this one. False
// means that an epoch was opened, because the journal lost its end.
func (s *seat) restore(known []decider.Opening) (*decider.Runner, map[string]uint64, bool) {
	w := s.h.w
	fresh := func() *decider.Runner {
		r, err := decider.NewRunner(events.DefaultPrefix, siteName, s.make())
		if err != nil {
			panic(err) // names are constants
		}
		return r
	}
	r := fresh()
	none := map[string]uint64{events.StreamCommands: 0, events.StreamRevenue: 0}
	o, have := w.bus.snapshots[s.snapshotKey()]
	if !have || w.rig.fromBeginning {
		return r, none, true
	}
	head, err := r.Restore(o.Data)
	if err != nil {
		w.violated(RuleReplay, "%s/%s cannot take its own snapshot back: %v", s.h.spec.Name, s.id.Name, err)
		return fresh(), none, true
	}
	f, _ := replica.Belongs(head, known, w.bus) // the model of a journal never fails
	if f.Cut {
		s.cut(f)
		return nil, nil, false
	}
	if f.Foreign {
		return fresh(), none, true
	}
	return r, head.Outputs, true
}

// look reads what the output streams hold and was not read yet.
func (s *seat) look() {
	s.looked = s.h.now()
	for _, name := range replica.OutputStreams() {
		for _, m := range s.h.w.bus.streams[name].msgs[s.outputs.Next(name)-1:] {
			s.outputs.Take(name, &m.Raw)
		}
	}
	s.outputs.Looked()
}

// lookFirst looks where a host must before it speaks of a cause.
func (s *seat) lookFirst(arrived time.Time, sequence uint64) {
	if !s.vigil.MustLook(s.h.age(arrived), s.h.since(s.looked)) {
		return
	}
	if a, ok := s.anchors.Before(sequence); ok {
		s.outputs.Skip(a)
	}
	s.look()
	s.vigil.Looked()
}

// checkEnd compares the newest stored output with the journal.
func (s *seat) checkEnd() bool {
	f, _ := replica.RestsOn(s.outputs.Said(), s.r.Openings(), s.h.w.bus) // as above
	if f.Cut {
		s.cut(f)
	}
	return !f.Cut
}

// cut opens an epoch because the journal lost its end.
func (s *seat) cut(f replica.Finding) { s.h.w.bus.openEpoch(s.h.spec.Name, f.Reason, f.After) }

// step folds one message and says what follows from it; false ends the session.
func (s *seat) step(m *stored) bool {
	w := s.h.w
	s.vigil.Turned(s.h.since(s.alive))
	s.alive = s.h.now()
	feed := s.r.FeedShared
	if w.story.Seed%16 == 0 {
		// Now and then every replica reads the bytes for itself.
		feed = func(m *decider.Shared) (decider.Step, error) { return s.r.Feed(&m.Raw) }
	}
	st, err := feed(&m.Shared)
	if err != nil {
		s.restart(err.Error())
		return false
	}
	if st.Outcome != decider.Folded {
		return true
	}
	if w.folded++; !st.Speaks && s.id.Version != w.speaking {
		w.effects[VersionsAtOnce]++
	}
	if len(st.Outputs) > 0 && replica.MaySpeak(st.Speaks, false) {
		if s.h.reached(PointFold) {
			return false
		}
		s.lookFirst(m.Arrived, m.Sequence)
		if !s.speak(&st) {
			return false
		}
	}
	if cadence.CheckpointDue(s.r.Counts().Folded) {
		s.checkpoint(&st)
	}
	return true
}

// speak publishes the outputs of a step that are not stored yet.
func (s *seat) speak(st *decider.Step) bool {
	w := s.h.w
	batches, sends, err := s.r.Batches(st)
	if err != nil {
		w.violated(RuleReplay, "%s wrote an output that is no valid event: %v", s.id.Name, err)
	}
	c := &replica.Cause{Place: replica.Place{Epoch: st.Event.Epoch, Sequence: st.Event.Sequence}, Urgent: st.Reduces(), At: w.wall(0)}
	unsaid := s.outputs.Unsaid(st.Event, batches)
	if w.rig.unsaid != nil {
		unsaid = w.rig.unsaid(batches, unsaid)
	}
	for _, b := range unsaid {
		c.Batches = append(c.Batches, &replica.Outgoing{Batch: b})
	}
	if len(c.Batches) > 0 {
		s.queue.Add(c)
		if !s.waiting || c.Urgent {
			for _, o := range c.Batches {
				if !s.publish(o) {
					return false
				}
			}
		}
	}
	if !replica.MaySend(s.h.age(st.Event.Arrived)) {
		return true
	}
	for _, m := range sends {
		s.h.link.carry(toBus, func() { w.heard(m) })
	}
	return true
}

// publish sends one batch and waits for its answer. Without one everything
// unconfirmed is sent again, from the first.
func (s *seat) publish(o *replica.Outgoing) bool {
	h, session := s.h, s.session
	if h.w.wall(0).Sub(o.Cause.At) > s.vigil.Half {
		s.restart("outputs waited too long: look before repeating them")
		return false
	}
	o.State = replica.Sent
	h.link.carry(toBus, func() {
		if !h.w.bus.up {
			return
		}
		for _, m := range o.Messages {
			h.w.heard(m)
		}
		seq, duplicate := h.w.bus.storeBatch(o.Stream, o.Messages)
		h.link.carry(fromBus, func() {
			if s.session == session {
				s.answered(o, replica.Answer{Stream: o.Stream, Sequence: seq, Duplicate: duplicate})
			}
		})
	})
	h.w.after(confirm, func() {
		if s.session == session && o.State != replica.Stored && !s.waiting {
			s.goBack()
		}
	})
	return !h.reached(PointPublish)
}

// goBack sends everything unconfirmed again, a little later each time.
func (s *seat) goBack() {
	s.waiting = true
	s.tries++
	session := s.session
	s.h.w.after(min(time.Duration(s.tries)*20*time.Millisecond, 250*time.Millisecond), func() {
		if s.session != session {
			return
		}
		s.waiting = false
		s.queue.GoBack() // nobody follows the output streams: nothing was seen there
		for _, c := range s.queue.Causes() {
			for _, o := range c.Batches {
				if o.State == replica.Waiting && !s.publish(o) {
					return
				}
			}
		}
	})
}

// answered takes the acknowledgement of a batch.
func (s *seat) answered(o *replica.Outgoing, a replica.Answer) {
	if !s.queue.Store(o, a) {
		return
	}
	s.tries = 0
	s.queue.Settle()
	if s.h.reached(PointAck) {
		return
	}
	s.keep()
}

// checkpoint says what state the replica is in, and takes a snapshot now and
// then.
func (s *seat) checkpoint(st *decider.Step) {
	c := s.r.Checkpoint()
	var snap *replica.Snapshot
	if cadence.SnapshotDue(s.r.Counts().Folded) {
		a, _ := s.anchors.Before(s.r.Sequence() + 1)
		data, err := s.r.Snapshot(maps.Clone(a.Outputs))
		if err != nil {
			s.h.w.violated(RuleReplay, "%s/%s takes no snapshot: %v", s.h.spec.Name, s.id.Name, err)
			return
		}
		snap = &replica.Snapshot{At: replica.Place{Epoch: c.Epoch, Sequence: c.Sequence}, Data: data}
	}
	s.snaps.Keep(snap)
	s.lookFirst(st.Event.Arrived, st.Event.Sequence)
	known := s.outputs.Checkpoint(c.Epoch, c.Sequence)
	switch replica.Weigh(c, known, st.Speaks, false, 0) {
	case replica.Differs:
		s.differs(c, known)
		return
	case replica.Vouched:
		if snap != nil {
			snap.Approved = true
		}
		s.keep()
		return
	case replica.Offer:
	default:
		return
	}
	m, err := replica.CheckpointMessage(events.DefaultPrefix, siteName, st.Event, c)
	if err != nil {
		panic(err) // as in encode
	}
	o := &replica.Outgoing{Batch: decider.Batch{Stream: events.StreamCommands, Messages: []*nats.Msg{m}}}
	o.Answered = func(a replica.Answer) {
		if a.Duplicate {
			s.compare(c, a.Sequence)
		}
		if snap != nil {
			snap.Approved, snap.Dropped = !a.Duplicate, a.Duplicate
		}
	}
	s.queue.Add(&replica.Cause{Place: replica.Place{Epoch: c.Epoch, Sequence: c.Sequence}, At: s.h.w.wall(0), Batches: []*replica.Outgoing{o}})
	if !s.waiting {
		s.publish(o)
	}
}

// compare holds a checkpoint against the one stored first.
func (s *seat) compare(mine *events.DeciderCheckpoint, sequence uint64) {
	m := s.h.w.bus.streams[events.StreamCommands].msgs[sequence-1]
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return
	}
	if o, ok := e.Data.(*events.DeciderCheckpoint); ok && !replica.Agree(mine, o) {
		s.differs(mine, o)
	}
}

// differs says that two replicas of one identity are not in the same state.
func (s *seat) differs(mine, first *events.DeciderCheckpoint) {
	s.h.w.violated(RuleAgreement, "%s/%s is in state %s after journal sequence %d, another replica was in %s",
		s.h.spec.Name, s.id.Name, mine.StateHash, mine.Sequence, first.StateHash)
}

// keep stores the newest snapshot before which everything is confirmed.
func (s *seat) keep() {
	if !s.h.online() {
		return
	}
	o := s.snaps.Due(s.queue.Unconfirmed())
	if o == nil {
		return
	}
	have := s.h.w.bus.snapshots[s.snapshotKey()]
	if have == nil || o.At.After(have.At) {
		s.h.w.bus.snapshots[s.snapshotKey()] = o
	}
	s.h.reached(PointSnapshot)
}

// takeBack reverses what is booked for causes that the journal has lost.
func (s *seat) takeBack() {
	if !replica.MayReverse(s.r, false) {
		return
	}
	known := s.r.Openings()
	if len(known) < 2 || s.reversed == len(known) {
		return
	}
	s.reversed = len(known)
	b := s.h.w.bus
	v := replica.NewReversal(siteName, s.id, known)
	for _, m := range b.streams[events.StreamRevenue].msgs {
		if !v.Booked(m.id) {
			continue
		}
		if e, err := events.Decode(m.Subject, m.Header, m.Data); err == nil {
			v.Lost(e)
		}
	}
	for _, e := range v.Due(s.r.Reverse) {
		b.store(events.StreamRevenue, s.h.w.encode(e))
	}
}
