// SPDX-License-Identifier: Apache-2.0

package judge

import "time"

// Seen remembers share ids for two to four lifetimes of a job, and the place in
// SHARES where each was found first.
type Seen struct {
	young, old map[string]Sighting
	turned     time.Time
}

// Sighting is the first share of an id.
type Sighting struct {
	// Sequence in SHARES, 0 while it is not known.
	Sequence uint64
	// Judged: its verdict is stored.
	Judged bool
}

// NewSeen remembers nothing.
func NewSeen() *Seen {
	return &Seen{young: make(map[string]Sighting), old: make(map[string]Sighting)}
}

// Get is the first sighting of an id.
func (s *Seen) Get(id string) (Sighting, bool) {
	if v, ok := s.young[id]; ok {
		return v, true
	}
	v, ok := s.old[id]
	return v, ok
}

// Put remembers a sighting; the lowest sequence known stays.
func (s *Seen) Put(id string, v Sighting) {
	if first, ok := s.Get(id); ok && first.Sequence != 0 && first.Sequence <= v.Sequence {
		v.Sequence, v.Judged = first.Sequence, first.Judged || v.Judged
	}
	s.young[id] = v
}

// Turn forgets what is older than two lifetimes, every two lifetimes.
func (s *Seen) Turn(now time.Time, lifetime time.Duration) {
	if now.Sub(s.turned) < 2*lifetime {
		return
	}
	s.turned = now
	s.old, s.young = s.young, make(map[string]Sighting)
}
