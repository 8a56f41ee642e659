// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Reversal takes back what is booked for causes that the journal has lost: the
// facts among them are relayed again, and what follows from them is booked anew.
type Reversal struct {
	site   string
	id     decider.Identity
	epochs *decider.Epochs
	done   map[string]bool // ids of what is no output: reversals among them
	lost   []*events.Event
}

// NewReversal for the bookings of one decider at a site, with all epochs known.
func NewReversal(site string, id decider.Identity, known []decider.Opening) *Reversal {
	return &Reversal{site: site, id: id, epochs: epochsOf(known), done: make(map[string]bool)}
}

// MayReverse reports whether a replica is to take anything back: the one that
// speaks does, unless it is muted because its state is not to be trusted.
func MayReverse(r *decider.Runner, muted bool) bool {
	return r.CanReverse() && MaySpeak(r.Speaks(), muted)
}

// Booked is called with the id of everything booked, in order, and reports
// whether it rests on a cause that the journal has lost: then Lost must be
// called with it.
func (v *Reversal) Booked(id string) (lost bool) {
	site, name, key, ok := decider.ParseMessageID(id)
	if !ok {
		v.done[id] = true
		return false
	}
	return site == v.site && name == v.id.Name && v.epochs.At(key.Sequence) != key.Epoch
}

// Lost notes a booking whose cause is lost.
func (v *Reversal) Lost(e *events.Event) { v.lost = append(v.lost, e) }

// Due are the reversals to be booked: one of each lost booking that can be
// reversed (by the decider: Runner.Reverse) and is not reversed yet.
func (v *Reversal) Due(reverse func(*events.Event) (events.Payload, bool)) []*events.Event {
	var out []*events.Event
	for _, e := range v.lost {
		p, ok := reverse(e)
		if !ok {
			continue
		}
		if id := decider.ReversalID(e.ID); !v.done[id] {
			out = append(out, events.New(e.Site, e.Source, p).CausedBy(e).WithID(id))
		}
	}
	return out
}
