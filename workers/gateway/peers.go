// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/upstream"
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

// overhear listens to the work that others hand out, as soon as there are
// others; at once where their blocks are submitted, too. Where several gateways hand out work to an agent, as when one has not
// heard yet that another serves or believes it lost, the agent follows the last
// that spoke, and only its owner can know better.
func (d *dispatcher) overhear() {
	_, submits := d.g.cfg.Upstream.(upstream.BlockSubmitter)
	if d.overhearing != nil || len(d.peers.others) == 0 && !submits {
		return
	}
	sub, err := d.g.bus.Conn().ChanSubscribe(events.Subject(d.g.bus.Prefix(), d.g.cfg.Site, events.TypeWorkAssigned, "*"), d.heard)
	if err != nil {
		d.log.Warn("the work of other gateways is not heard", "error", err)
		return
	}
	d.overhearing = sub
}

// overheard takes in work that a gateway handed out to an agent.
func (d *dispatcher) overheard(agent string, m *nats.Msg) {
	g := d.g
	if bytes.Contains(m.Data, []byte(`"gateway":"`+g.cfg.Gateway+`"`)) {
		return
	}
	if st := d.seats[agent]; st != nil {
		st.contested = true
	}
	if _, ok := g.cfg.Upstream.(upstream.BlockSubmitter); ok {
		g.mu.Lock()
		g.foreign.keep(agent, m, g.cfg.Gateway)
		g.mu.Unlock()
	}
}

// met takes in another gateway's status and reports whether agents move.
func (d *dispatcher) met(gateway string, s *events.GatewayStatus) bool {
	changed := d.peers.heard(gateway, s, time.Now())
	d.overhear()
	if changed {
		// It may have handed out work before it was heard of.
		for _, st := range d.seats {
			st.contested = true
		}
	}
	return changed
}

// insist has the agents that another gateway gave work to given work again, if
// they are still this one's.
func (d *dispatcher) insist() {
	for _, st := range d.seats {
		if st.contested {
			st.contested, st.sent = false, time.Time{}
		}
	}
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
