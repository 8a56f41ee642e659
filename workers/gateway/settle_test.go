// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/workers/upstream"
)

// narrowed is a desk where a further connection may be asked for: what makes its
// session and its job, and how often it was asked.
func narrowed(t *testing.T, most int) (k *desk, opens, works func(), asked *int) {
	t.Helper()
	asked = new(int)
	k = newDesk(t, func(c *Config) {
		c.MaxConnections = most
		c.Another = func(int) (upstream.Upstream, error) {
			*asked++
			return nowhere{}, nil
		}
	})
	first, further := k.l, &link{up: nowhere{}, wake: k.g.wake}
	k.d.connect = func(upstream.Upstream) {
		if *asked == 1 {
			k.g.links = append(k.g.links, further)
			k.g.sessions[further] = map[string]*session{}
		}
	}
	return k, func() {
			k.d.opened(further, &upstream.Session{ID: "s2", Address: nowhere{}.Address()})
		}, func() {
			k.l = further
			k.job("further", true, func(j *upstream.Job) { j.Session = "s2" })
			k.l = first
		}, asked
}

// A further connection that a pool does not let in must not keep people from
// hearing that agents have no work.
func TestAConnectionThatBringsNoSessionIsSaid(t *testing.T) {
	k, opens, works, asked := narrowed(t, 3)
	k.job("first", true)
	for range 3 { // it may take a moment
		if remedy := k.d.further(); remedy != "" || *asked != 1 {
			t.Fatalf("%q, asked for %d", remedy, *asked)
		}
	}
	k.now = k.now.Add(settleTime)
	if remedy := k.d.further(); !strings.Contains(remedy, "no session") || *asked != 1 {
		t.Fatalf("%q, asked for %d", remedy, *asked)
	}
	opens()
	works()
	if remedy := k.d.further(); remedy != "" || *asked != 2 {
		t.Fatalf("%q, asked for %d", remedy, *asked)
	}
}

// The last connection that may be opened is waited for like any other before
// people hear that there is no space: what it brings may be enough.
func TestTheLastConnectionIsWaitedFor(t *testing.T) {
	k, opens, works, asked := narrowed(t, 2)
	k.job("first", true)
	for _, step := range []func(){func() {}, func() {}, opens} {
		step()
		if remedy := k.d.further(); remedy != "" || *asked != 1 {
			t.Fatalf("%q, asked for %d", remedy, *asked)
		}
	}
	works()
	if remedy := k.d.further(); remedy != spaceRemedy || *asked != 1 {
		t.Fatalf("%q, asked for %d", remedy, *asked)
	}
}

// An upstream that is away is no lack of space: neither is a connection asked
// for, nor are people told to get a larger extranonce.
func TestNoWorkAtAllIsNoLackOfSpace(t *testing.T) {
	for _, most := range []int{1, 3} {
		k, _, _, asked := narrowed(t, most)
		for range 2 {
			if remedy := k.d.further(); remedy != "" || *asked != 0 {
				t.Fatalf("%d connections: %q, asked for %d", most, remedy, *asked)
			}
			k.now = k.now.Add(settleTime)
		}
	}
}
