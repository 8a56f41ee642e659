// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
	"github.com/ballast-energy/ballast/handlers/host/replica"
	"github.com/ballast-energy/ballast/handlers/settlement"
)

// cadence of a host: checkpoints and snapshots come much more often than in
// production, so that a run of minutes has many of them.
var cadence = replica.Cadence{Checkpoint: 150, Snapshot: 750}.Joined()

// Times of a host.
const (
	anchorEvery = 5 * time.Second
	// startAgain is how long after a failure a session begins anew, confirm
	// how long an answer is waited for.
	startAgain = 100 * time.Millisecond
	// crashAgain is how long a host is down that crashes again and again.
	crashAgain = 2500 * time.Millisecond
	confirm    = 2 * time.Second
)

// host is one dispatcher host: a model of handlers/host without its I/O. What
// it folds, writes and stores is done by the real runner and deciders.
type host struct {
	w      *world
	spec   Host
	link   *link
	up     bool
	life   int
	offset time.Duration
	ahead  time.Duration // the server's clock before this one's, when it was asked last
	seats  []*seat
	crash  *Fault // armed: crashes at its point

	// relay: stream → sequence relayed so far, and whether one is under way.
	relayed  map[string]uint64
	relaying map[string]int
	relays   int
	count    int
	epochs   map[uint64]bool
}

// seat is one decider of a host.
type seat struct {
	h       *host
	make    func() decider.Decider
	id      decider.Identity
	r       *decider.Runner
	session int
	outputs *replica.Outputs
	vigil   replica.Vigil
	looked  moment // when the last look began
	alive   moment // when the last message was folded
	anchors replica.Anchors
	queue   replica.Queue
	waiting bool // for an answer or for going back
	tries   int
	snaps   replica.Snapshots
	folding bool
	// reversed is for how many epochs lost bookings were taken back.
	reversed int
}

// deciders of one version, in the order of their seats.
func (w *world) deciders(version string) []func() decider.Decider {
	return []func() decider.Decider{
		func() decider.Decider {
			return w.broken(versioned(dispatch.New(dispatch.Config{}), version))
		},
		func() decider.Decider {
			d, err := settlement.New(settlement.Config{})
			if err != nil {
				panic(err) // its defaults are valid
			}
			return versioned(d, version)
		},
	}
}

// broken puts a test's decider in the place of dispatch.
func (w *world) broken(d decider.Decider) decider.Decider {
	if w.rig.decider != nil {
		return w.rig.decider(d)
	}
	return d
}

// release is a decider under another version: what a second release is that
// decides alike.
type release struct {
	decider.Decider
	version string
}

func versioned(d decider.Decider, version string) decider.Decider {
	if version == "" {
		return d
	}
	return &release{d, version}
}

// Identity implements decider.Decider.
func (r *release) Identity() decider.Identity {
	id := r.Decider.Identity()
	id.Version = r.version
	return id
}

// Reverse implements decider.Reverser where the decider does.
func (r *release) Reverse(e *events.Event) (events.Payload, bool) {
	if d, ok := r.Decider.(decider.Reverser); ok {
		return d.Reverse(e)
	}
	return nil, false
}

func (h *host) start() {
	h.life++
	h.up = true
	h.relayed, h.relaying, h.epochs = map[string]uint64{}, map[string]int{}, map[uint64]bool{}
	for _, o := range h.w.bus.openings() {
		h.epochs[o.Epoch] = true
	}
	h.seats = nil
	for _, make := range h.w.deciders(h.spec.Version) {
		s := &seat{h: h, make: make, id: make().Identity()}
		h.seats = append(h.seats, s)
		s.begin()
	}
	h.relayAll()
	h.tick(h.life)
	h.note(h.life)
}

// stop ends the process as a crash does: nothing more is said.
func (h *host) stop() {
	h.up = false
	for _, s := range h.seats {
		s.session++
	}
}

// moment is a reading of the clocks of a host: the one that only counts up, and
// the one on the wall.
type moment struct{ steady, wall time.Duration }

func (h *host) now() moment { return moment{h.w.now, h.w.now + h.offset} }

// since says how long ago a moment of this host was.
func (h *host) since(m moment) time.Duration {
	now := h.now()
	return replica.Elapsed(now.steady-m.steady, now.wall-m.wall)
}

// age of something stored at a time of the server's clock, as far as this host
// knows that.
func (h *host) age(t time.Time) time.Duration { return h.w.wall(h.offset + h.ahead).Sub(t) }

// online reports whether the host reaches the bus.
func (h *host) online() bool { return h.up && !h.link.down && h.w.bus.up }

// reached is a point at which the host may be made to crash.
func (h *host) reached(p Point) bool {
	if h.crash == nil || h.crash.Point != p {
		return false
	}
	f := h.crash
	h.w.note("%s crashes %s", h.spec.Name, p)
	h.w.effects[stoppedAt(p)]++
	h.stop()
	again := f.Until - h.w.now
	if f.Every {
		again = min(again, crashAgain)
	} else {
		h.crash = nil
	}
	h.w.after(max(again, startAgain), func() {
		if !h.up {
			h.w.note("%s starts again", h.spec.Name)
			h.start()
		}
	})
	return true
}

// tick offers the tick of every second of the host's clock.
func (h *host) tick(life int) {
	if !h.up || h.life != life {
		return
	}
	wall := h.w.wall(h.offset)
	second := wall.Unix()
	if wall.Nanosecond() < int(50*time.Millisecond) && h.online() {
		e := events.New(siteName, events.SiteSource, &events.ClockTick{Second: second}).At(wall).
			WithID(siteName + "/tick/" + itoa(uint64(second)))
		m := h.w.encode(e)
		h.link.carry(toBus, func() {
			if h.w.bus.up {
				h.w.bus.offerTick(m, second)
			}
		})
	}
	next := wall.Truncate(events.TickPeriod).Add(events.TickPeriod)
	h.w.after(next.Sub(wall)+time.Millisecond, func() { h.tick(life) })
}

// note remembers where the streams end, for snapshots and looks.
func (h *host) note(life int) {
	if !h.up || h.life != life {
		return
	}
	h.w.after(anchorEvery, func() { h.note(life) })
	if !h.online() {
		return
	}
	h.ahead = h.w.bus.offset - h.offset
	for _, s := range h.seats {
		s.anchors.Note(h.w.bus.ends())
	}
}

// ends of the output streams and of the journal.
func (b *bus) ends() replica.Anchor {
	return replica.Anchor{Journal: b.journal().last(), Outputs: map[string]uint64{
		events.StreamCommands: b.streams[events.StreamCommands].last(),
		events.StreamRevenue:  b.streams[events.StreamRevenue].last(),
	}}
}

// wake is called when there may be something new to fold.
func (s *seat) wake() {
	if s.folding || s.r == nil || !s.h.online() {
		return
	}
	s.folding = true
	session := s.session
	// The journal is pulled: nothing of it is lost or overtaken on the way.
	d := travelLeast + time.Duration(s.h.link.rng.Int64N(int64(travelMost-travelLeast))) + s.h.link.late
	s.h.w.after(d, func() {
		if s.session == session {
			s.folding = false
			s.follow(session)
		}
	})
}

// follow folds to the end of the journal.
func (s *seat) follow(session int) {
	j := s.h.w.bus.journal()
	for s.session == session && s.h.online() && s.r.Sequence() < j.last() {
		if !s.step(j.msgs[s.r.Sequence()]) {
			return
		}
	}
	if s.session == session && s.h.online() && s.r.Sequence() > j.last() {
		s.restart("the journal is shorter than what was folded")
		return
	}
	if s.session == session && s.h.online() && s.r.Sequence() == j.last() {
		s.takeBack()
	}
}
