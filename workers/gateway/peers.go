// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ballast-energy/ballast/events"
)

// peers are the other gateways of the site, as their statuses tell.
type peers struct {
	self string
	// ready: this gateway has work to hand out.
	ready  bool
	others map[string]peer
}

type peer struct {
	heard time.Time
	ready bool
}

// heard books another gateway's status, sent at a time by our clock.
func (p *peers) heard(gateway string, s *events.GatewayStatus, at time.Time) (changed bool) {
	if gateway == p.self {
		return false
	}
	was, known := p.others[gateway]
	if known && at.Before(was.heard) {
		return false
	}
	now := peer{heard: at, ready: s.State == events.UpstreamReady}
	p.others[gateway] = now
	return !known || was.ready != now.ready || at.Sub(was.heard) > events.GatewaySilence
}

// live lists the gateways among which agents are divided at a time, and drops
// those that have been silent for long.
func (p *peers) live(now time.Time) []string {
	var out []string
	if p.ready {
		out = append(out, p.self)
	}
	for id, o := range p.others {
		switch age := now.Sub(o.heard); {
		case age > 10*events.GatewaySilence:
			delete(p.others, id)
		case o.ready && age <= events.GatewaySilence:
			out = append(out, id)
		}
	}
	return out
}

// owner is the gateway that an agent follows: the one with the highest hash of
// both names (rendezvous hashing), so that when one is lost only its own agents
// move. Empty when there is none.
func owner(agent string, gateways []string) string {
	var best string
	var high uint64
	for _, g := range gateways {
		h := xxhash.New()
		_, _ = h.WriteString(agent) // never fails
		_, _ = h.Write([]byte{0})
		_, _ = h.WriteString(g)
		if score := h.Sum64(); best == "" || score > high || score == high && g < best {
			best, high = g, score
		}
	}
	return best
}
