// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// The gateway's own server asks for room until the session has no more. Its
// slices and those of agents never overlap, and agents still find some.
func TestMinersAndAgentsShareTheSpace(t *testing.T) {
	for size, want := range map[int]struct{ least, most, prefix int }{
		3: {200, 256, 1}, 4: {200, 256, 1}, 8: {200, 256, 1},
	} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			b := openBus(t)
			p := newPool("0.000001")
			p.en2 = size
			var mu sync.Mutex
			var slices [][]byte
			told := make(chan struct{}, 1024)
			hear := func(_ *upstream.Job, slice []byte) {
				mu.Lock()
				slices = append(slices, slice)
				mu.Unlock()
				told <- struct{}{}
			}
			jobs := 0
			g := newGateway(t, b, "gw-a", p, func(c *gateway.Config) {
				c.OnJob = func(j *upstream.Job, slice []byte) {
					if jobs++; jobs == 1 {
						hear(j, slice)
					}
				}
				c.OnSlice = hear
			})
			alerts := make(chan *nats.Msg, 64)
			sub, err := b.Conn().ChanSubscribe(events.Subject(b.Prefix(), site, events.TypeAlertRaised, "gw-a"), alerts)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = sub.Unsubscribe() }()
			run(t, g.Run)
			f := follow(t, b)
			rigs := manyRigs(t, b, 300)
			<-told
			until(t, b, rigs, "work for the agents", func() bool { return f.count("gw-a") == len(rigs) })
			// Each slice is told to be full at once.
			deadline := time.After(patience)
			for full := false; !full; {
				mu.Lock()
				n := uint64(len(slices))
				mu.Unlock()
				g.DownstreamRoom(gateway.DownstreamRoom{Full: true, Sessions: 1, Slots: n, Used: n, Waiting: 1})
				select {
				case <-told:
				case m := <-alerts:
					full = strings.Contains(string(m.Data), "search-space/gw-a/downstream")
				case <-deadline:
					t.Fatalf("after %d slices nobody says that there is no more", n)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			taken := map[string]bool{}
			for _, s := range slices {
				if len(s) != want.prefix || taken[string(s)] {
					t.Errorf("slice %x of %d bytes, taken before: %v", s, size, taken[string(s)])
				}
				taken[string(s)] = true
			}
			if len(slices) < want.least || len(slices) > want.most {
				t.Errorf("%d slices, not %d to %d", len(slices), want.least, want.most)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			for _, prefix := range f.all["gw-a"] {
				slice, err := hex.DecodeString(prefix[8:])
				if err != nil || len(slice) != 2 {
					t.Fatalf("prefix %s: %v", prefix, err)
				}
				if taken[string(slice[:1])] {
					t.Errorf("an agent has %x, in a slice of the miners", slice)
				}
			}
		})
	}
}

// One byte is too little for a miner: a warning says so, and agents have work.
func TestMinersNeedTwoBytes(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	p.en2 = 1
	alerts := make(chan *nats.Msg, 64)
	sub, err := b.Conn().ChanSubscribe(events.Subject(b.Prefix(), site, events.TypeAlertRaised, "gw-a"), alerts)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	run(t, newGateway(t, b, "gw-a", p, func(c *gateway.Config) {
		c.OnJob = func(_ *upstream.Job, slice []byte) { t.Errorf("miners have slice %x", slice) }
	}).Run)
	newRig(t, b, "rig-1").any()
	for m := range alerts {
		if text := string(m.Data); strings.Contains(text, "search-space/gw-a/downstream") {
			if !strings.Contains(text, "1 bytes of extranonce2") {
				t.Error(text)
			}
			return
		}
	}
}
