// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"errors"
	"time"

	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// errNoID: every fact of a simulated site has one.
var errNoID = errors.New("a fact without an id")

// relayWait is how long the relay waits for an answer.
const relayWait = 2 * time.Second

// relayAll finds the place of the relay in every stream anew and goes on from
// there.
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
	for _, stream := range replica.RelayedStreams() {
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
		if seq, ok := replica.OriginOf(msgs[i].Header, stream); ok {
			highest = max(highest, seq)
		}
	}
	return highest
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
	if o, ok := replica.OpeningOf(&m.Raw); ok && h.learn(o) {
		h.relayAll()
		return
	}
	h.count++
	token := h.count
	h.relaying[stream] = token
	life, round := h.life, h.relays
	c, err := replica.Copy(stream, &m.Raw, func() (uint64, error) { return 0, errNoID })
	if err != nil {
		panic(err) // only events of ours are stored there, each with an id
	}
	h.link.carry(toBus, func() {
		if !h.w.bus.up {
			return
		}
		h.w.bus.storeInJournal(c)
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
