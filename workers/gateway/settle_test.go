// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/workers/upstream"
)

// A further connection that a pool does not let in must not keep people from
// hearing that agents have no work.
func TestAConnectionThatBringsNoSessionIsSaid(t *testing.T) {
	asked := 0
	k := newDesk(t, func(c *Config) {
		c.Another = func(int) (upstream.Upstream, error) {
			asked++
			return nowhere{}, nil
		}
	})
	second := &link{up: nowhere{}, wake: k.g.wake}
	k.d.connect = func(upstream.Upstream) {
		k.g.links = append(k.g.links, second)
		k.g.sessions[second] = map[string]*session{}
	}
	for range 3 { // it may take a moment
		if remedy := k.d.further(); remedy != "" || asked != 1 {
			t.Fatalf("%q, asked for %d", remedy, asked)
		}
	}
	k.now = k.now.Add(settleTime)
	if remedy := k.d.further(); !strings.Contains(remedy, "no session") || asked != 1 {
		t.Fatalf("%q, asked for %d", remedy, asked)
	}
	k.d.opened(second, &upstream.Session{ID: "s2", Address: nowhere{}.Address()})
	if remedy := k.d.further(); remedy != "" || asked != 2 {
		t.Fatalf("%q, asked for %d", remedy, asked)
	}
}
