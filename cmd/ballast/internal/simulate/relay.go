// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// relayedStreams keep facts that deciders read from the journal.
var relayedStreams = []string{events.StreamInputs, events.StreamShares}

// relayWait is how long the relay waits for an answer.
const relayWait = 2 * time.Second

// relayAll finds the place of the relay in every stream anew and goes on from
// there. Facts of one stream go one at a time: deciders skip an origin below
// the highest they have folded.
func (h *host) relayAll() {
	h.relays++
	round := h.relays
	if !h.online() {
		h.w.after(startAgain, func() {
			if h.up && h.relays == round {
				h.relayAll()
			}
		})
		return
	}
	for _, stream := range relayedStreams {
		h.relayed[stream] = h.w.bus.relayedUpTo(stream)
		h.relaying[stream] = 0
		h.relay(stream)
	}
}

// relayedUpTo is the highest sequence of stream that the journal has a copy of.
func (b *bus) relayedUpTo(stream string) uint64 {
	var highest uint64
	msgs := b.journal().msgs
	for i := range msgs {
		if seq, ok := originOf(msgs[i], stream); ok {
			highest = max(highest, seq)
		}
	}
	return highest
}

func originOf(m *stored, stream string) (uint64, bool) {
	o := first(m.Header, events.HeaderOrigin)
	rest, ok := strings.CutPrefix(o, stream+"/")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(rest, 10, 64)
	return n, err == nil
}

// relay copies the next fact of a stream and waits until it is in the journal.
func (h *host) relay(stream string) {
	if !h.online() || h.relaying[stream] != 0 {
		return
	}
	s := h.w.bus.streams[stream]
	at := h.relayed[stream]
	if at >= s.last() {
		return
	}
	m := s.msgs[at]
	if strings.Contains(m.Subject, "."+string(events.TypeJournalOpened)+".") {
		if o, ok := openingOf(&m.Raw); ok && h.learn(o) {
			// Whoever relays it first has brought back before it whatever the
			// journal lost.
			h.relayAll()
			return
		}
	}
	h.count++
	token := h.count
	h.relaying[stream] = token
	life, round := h.life, h.relays
	c := copyOf(stream, m)
	h.link.carry(toBus, func() {
		if !h.w.bus.up {
			return
		}
		h.w.bus.store(events.StreamJournal, c)
		h.link.carry(fromBus, func() {
			if h.up && h.life == life && h.relays == round && h.relaying[stream] == token {
				h.relaying[stream] = 0
				h.relayed[stream] = at + 1
				h.relay(stream)
			}
		})
	})
	h.w.after(relayWait, func() {
		if h.up && h.life == life && h.relays == round && h.relaying[stream] == token {
			h.relayAll()
		}
	})
}

// learn tells every seat of an epoch and reports whether it was new to the
// relay.
func (h *host) learn(o decider.Opening) bool {
	if h.epochs[o.Epoch] {
		return false
	}
	h.epochs[o.Epoch] = true
	for _, s := range h.seats {
		if s.r != nil && !s.r.Opened(o) {
			s.restart("an epoch began before what was folded")
		}
	}
	return true
}

// copyOf is the copy of a fact for the journal, with its origin.
func copyOf(stream string, m *stored) *nats.Msg {
	a, err := events.ParseSubject(m.Subject)
	if err != nil {
		panic(err) // only events of ours are stored there
	}
	origin := stream + "/" + strconv.FormatUint(m.Sequence, 10)
	c := &nats.Msg{Subject: events.JournalSubject(a.Prefix, a.Site, a.Type, a.Source), Header: make(nats.Header, len(m.Header)+3), Data: m.Data}
	for k, v := range m.Header {
		c.Header[k] = v
	}
	c.Header[events.HeaderMsgID] = []string{origin}
	c.Header[events.HeaderOrigin] = []string{origin}
	c.Header[events.HeaderOriginTime] = []string{m.Arrived.UTC().Format(time.RFC3339Nano)}
	return c
}
