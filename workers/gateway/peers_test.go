// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/gateway"
)

// An agent follows whoever gave it work last. When that was a gateway which
// does not know better, its owner gives it work again, long before it would
// have had to.
func TestOwnerHasTheLastWord(t *testing.T) {
	b := openBus(t)
	run(t, newGateway(t, b, "gw-a", newPool("0.000001"), func(c *gateway.Config) { c.RefreshPeriod = time.Hour }).Run)
	r := newRig(t, b, "rig-1")
	w := r.any()
	seen := map[string]bool{w.JobID: true}
	counter := uint64(0)
	// again disturbs until the owner has spoken once more.
	again := func(what string, disturb func()) {
		t.Helper()
		fresh := func() *events.WorkAssigned {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, x := range r.work {
				if x.Gateway == "gw-a" && !seen[x.JobID] {
					return x
				}
			}
			return nil
		}
		deadline := time.After(patience)
		for fresh() == nil {
			disturb()
			select {
			case <-time.After(100 * time.Millisecond): // nobody may listen yet
			case <-deadline:
				t.Fatalf("waited in vain for %s", what)
			}
		}
		x := fresh()
		seen[x.JobID] = true
		if x.NTime <= w.NTime {
			t.Errorf("%s begins at %d, as the work before, %d", what, x.NTime, w.NTime)
		}
		w = x
	}
	// One that was not heard of before may have handed out work before.
	status := func() {
		counter++
		now := time.Now().UTC()
		if err := b.PublishCore(events.New(site, "gw-x", &events.GatewayStatus{
			Instance: "aa", Counter: counter, Pool: "pool-x", Upstream: "pool-x", State: events.UpstreamConnecting, SeenAt: now,
		})); err != nil {
			t.Fatal(err)
		}
	}
	again("work after another gateway was heard of", status)
	n := 0
	again("work after another gateway gave some", func() {
		n++
		other := *w
		other.Gateway, other.JobID = "gw-x", fmt.Sprint("x-", n)
		publish(t, b, events.New(site, "rig-1", &other).WithID(other.JobID))
	})
}
