// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// handovers watches how the agents come to have work of each new start of a
// gateway. Until they have it they hash for a session that is gone: whoever has
// to speak first loses what it hashes till then.
type handovers struct {
	t  *testing.T
	mu sync.Mutex
	// start of the gateway in office, none before the first that is seen to
	// begin; ready: it has a session with work.
	start string
	ready bool
	spoke map[string]bool // agents, since it was ready
	given map[string]bool
	// total of first works, and those that came after the agent had spoken.
	total, after int
}

// watchHandovers of the gateway from its next start on. The bus tells of it in
// one order.
func watchHandovers(s *faultSite, gateway string) *handovers {
	s.t.Helper()
	h := &handovers{t: s.t}
	sub, err := s.b.Conn().Subscribe(s.b.Prefix()+"."+faultSiteID+".*.*.*", func(m *nats.Msg) { h.hear(gateway, m) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = sub.Unsubscribe() }) // fails only when the connection is gone
	return h
}

func (h *handovers) hear(gateway string, m *nats.Msg) {
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		h.t.Errorf("%s: %v", m.Subject, err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch p := e.Data.(type) {
	case *events.GatewayStatus:
		switch {
		case e.Source != gateway:
		case p.Counter == 1:
			h.start, h.ready = p.Instance, false
			h.spoke, h.given = map[string]bool{}, map[string]bool{}
			fallthrough
		case p.Instance == h.start:
			h.ready = h.ready || p.State == events.UpstreamReady
		}
	case *events.WorkerStatus:
		if h.ready {
			h.spoke[e.Source] = true
		}
	case *events.WorkAssigned:
		if h.start == "" || h.given[e.Source] || !strings.HasPrefix(p.JobID, h.start+"-") {
			return
		}
		h.given[e.Source] = true
		h.total++
		if h.spoke[e.Source] {
			h.after++
		}
	}
}

// check fails the test when agents had to speak before a start gave them work.
// One that speaks just then by chance is no fault: most do not.
func (h *handovers) check() {
	h.t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.t.Logf("%d first works of a start, %d of them to an agent that had spoken since the start was ready", h.total, h.after)
	if h.total >= 10 && 2*h.after > h.total {
		h.t.Errorf("of %d first works of a start %d came only after the agent had spoken: it hashed for a dead session till then", h.total, h.after)
	}
}
