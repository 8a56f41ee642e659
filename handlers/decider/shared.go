// SPDX-License-Identifier: Apache-2.0

package decider

import "github.com/ballast-energy/ballast/events"

// Shared is one message of the journal that several runners of one process
// fold: it is decoded once for all of them, and hashed once for those whose
// chains agree so far. A simulation folds every message with many replicas.
//
// The payload is lent to every decider in turn: one that changed it would
// change what the others see. Not safe for concurrent use, and Raw must not
// change after the first Feed.
type Shared struct {
	Raw

	site    string
	decoded bool
	event   events.Event
	err     error

	linked    bool
	epoch     uint64
	prev, sum Digest
	// id of an event without one, in that epoch.
	id string
}

// FeedShared is like Feed.
func (r *Runner) FeedShared(m *Shared) (Step, error) {
	return r.feed(&m.Raw, m)
}

// decodeShared is decode, done once per message.
func (r *Runner) decodeShared(m *Shared) (*events.Event, error) {
	if !m.decoded || m.site != r.site {
		e, err := r.decode(&m.Raw)
		if m.decoded, m.site, m.err = true, r.site, err; err == nil {
			m.event = *e
		}
	}
	if m.err != nil {
		return nil, m.err
	}
	r.lent = m.event
	return &r.lent, nil
}

// extendShared is extend, done once per message and chain.
func (c *chain) extendShared(epoch uint64, m *Shared) {
	if m.linked && m.epoch == epoch && m.prev == c.sum {
		c.prev, c.sum = c.sum, m.sum
		return
	}
	c.extend(epoch, &m.Raw)
	m.linked, m.epoch, m.prev, m.sum, m.id = true, epoch, c.prev, c.sum, ""
}

// name gives e, nil if the message is none, the id that it has by its place,
// unless it has one.
func (m *Shared) name(e *events.Event) {
	if e == nil || e.ID != "" {
		return
	}
	if m.id == "" {
		m.id = events.DefaultID(events.StreamJournal, m.epoch, m.Sequence)
	}
	e.ID = m.id
}
