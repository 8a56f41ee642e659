// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

// Travel of a message in a network that is well.
const (
	travelLeast = 300 * time.Microsecond
	travelMost  = 3 * time.Millisecond
)

// link joins one party to the bus. Messages of one direction keep their order
// unless a fault says otherwise.
type link struct {
	w *world
	// cut is what a partition of this party is counted as.
	cut  Effect
	rng  *rand.Rand
	last [2]time.Duration
	// down: nothing passes. hold: what is sent meanwhile comes late instead
	// of never.
	down, hold bool
	held       []func()
	// While faults say so: shares in parts per thousand, and times.
	lose, twice   int
	late, shuffle time.Duration
}

// Directions of a link.
const (
	toBus = iota
	fromBus
)

// newLink has a random source of its own, so that what happens on one link
// does not depend on how many messages others carry.
func newLink(w *world, name string, cut Effect) *link {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return &link{w: w, cut: cut, rng: rand.New(rand.NewPCG(w.story.Seed, h.Sum64()))}
}

// carry brings one message to the other end, as the link is at this moment.
func (l *link) carry(direction int, do func()) {
	if l.down {
		if l.hold {
			l.held = append(l.held, func() { l.carry(direction, do) })
		}
		return
	}
	if l.lose > 0 && l.rng.IntN(1000) < l.lose {
		l.w.effects[MessagesLost]++
		return
	}
	copies := 1
	if l.twice > 0 && l.rng.IntN(1000) < l.twice {
		copies = 2
		l.w.effects[MessagesRepeated]++
	}
	if l.late > 0 {
		l.w.effects[MessagesLate]++
	}
	for range copies {
		at := l.w.now + travelLeast + time.Duration(l.rng.Int64N(int64(travelMost-travelLeast))) + l.late
		if l.shuffle > 0 {
			at += time.Duration(l.rng.Int64N(int64(l.shuffle)))
			if at < l.last[direction] {
				l.w.effects[MessagesOvertaken]++
			}
			l.last[direction] = max(at, l.last[direction])
		} else {
			at = max(at, l.last[direction])
			l.last[direction] = at
		}
		l.w.at(at, do)
	}
}

// heal ends a partition; what was held comes now.
func (l *link) heal() {
	l.down = false
	held := l.held
	l.held = nil
	for _, do := range held {
		do()
	}
}
