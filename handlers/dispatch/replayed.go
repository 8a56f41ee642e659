// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/ballast-energy/ballast/events"
)

// Bounds on the memory for signals that arrive twice. Deciders refuse what is
// dated an hour from its arrival, so an hour's worth is enough.
const (
	maxSeenSources   = 64
	maxSeenPerSource = 256
)

// seenSignals remembers the ids of the newest signals of every issuer: a signal
// may be stored again long after the server forgot its id, by a publisher that
// repeats itself or by somebody who copies what he may read. An issuer pushes
// out his own ids only, until there are too many issuers.
type seenSignals struct {
	sources []seenSource // by source
	sum     uint64
}

// seenSource are the ids of one issuer, oldest first.
type seenSource struct {
	Source string   `json:"source"`
	IDs    []uint64 `json:"ids"`
}

// add remembers an id and reports whether it was known.
func (m *seenSignals) add(source, id string) bool {
	i, ok := slices.BinarySearchFunc(m.sources, source, func(s seenSource, source string) int {
		switch {
		case s.Source < source:
			return -1
		case s.Source > source:
			return 1
		}
		return 0
	})
	if !ok {
		if len(m.sources) >= maxSeenSources && source != "" {
			return m.add("", source+" "+id) // the rest share one memory
		}
		m.sources = slices.Insert(m.sources, i, seenSource{Source: strings.Clone(source)})
	}
	s := &m.sources[i]
	h := xxhash.Sum64String(id)
	if slices.Contains(s.IDs, h) {
		return true
	}
	if len(s.IDs) == maxSeenPerSource {
		m.sum -= s.term(s.IDs[0])
		s.IDs = append(s.IDs[:0], s.IDs[1:]...)
	}
	s.IDs = append(s.IDs, h)
	m.sum += s.term(h)
	return false
}

func (s *seenSource) term(id uint64) uint64 { return mix2(xxhash.Sum64String(s.Source), id) }

// restore takes over the memory of a snapshot.
func (m *seenSignals) restore(from []seenSource) {
	m.sources, m.sum = from, 0
	for i := range m.sources {
		for _, id := range m.sources[i].IDs {
			m.sum += m.sources[i].term(id)
		}
	}
}

// seenBefore reports whether s is a restore under the name of an earlier one, and
// remembers it.
func (d *Dispatch) seenBefore(e *events.Event, s *signal) bool {
	return s.Kind == events.SignalRestore && s.ID != e.ID && d.signals.seen.add(s.Source, "restore "+s.ID)
}

// lives reports whether the instruction of s is live, by its issuer and id.
func (d *Dispatch) lives(s *signal) bool {
	return slices.ContainsFunc(d.signals.live, func(o *signal) bool {
		return o.Source == s.Source && o.ID == s.ID && !o.Merged && !o.Course.Recovering && class(o.Kind) == class(s.Kind)
	})
}
