// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	eventbus "github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// A new block of the upstream until the last of 1,000 agents has its work: one
// connection hears for all of them, in the process of the gateway and of the
// server.
func BenchmarkNewBlockToThousandAgents(b *testing.B) {
	const agents = 1000
	bus := openBus(b)
	p := newPool("0.000001")
	var left atomic.Int64
	round := make(chan time.Time, 1)
	var known atomic.Int64
	seen := map[string]bool{}
	sub, err := bus.Conn().Subscribe(events.Subject(bus.Prefix(), site, events.TypeWorkAssigned, "*"), func(m *nats.Msg) {
		if !seen[m.Subject] {
			seen[m.Subject] = true
			known.Add(1)
		}
		if left.Add(-1) == 0 {
			round <- time.Now()
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	run(b, newGateway(b, bus, "gw-a", p).Run)
	rigs := manyRigs(b, bus, agents)
	until(b, bus, rigs, "work for all", func() bool { return known.Load() == agents })
	<-time.After(time.Second) // announcements are worked off
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		<-time.After(150 * time.Millisecond) // blocks do not come faster
		b.StartTimer()
		left.Store(agents)
		begin := time.Now()
		p.job(true)
		took = append(took, (<-round).Sub(begin))
	}
	slices.Sort(took)
	at := func(q float64) float64 { return took[int(q*float64(len(took)-1))].Seconds() * 1e3 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.9), "p90-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// A share found by an agent until it is on the wire to the upstream, stored
// twice before, safe from a power failure: as found, and as about to be
// submitted.
func BenchmarkHitToWire(b *testing.B) {
	bus := openBusWith(b, eventbus.PowerLoss)
	p := newPool("0.000001")
	wire := make(chan time.Time, 1)
	p.answer = func(upstream.Submission) *upstream.Verdict {
		wire <- time.Now()
		return &upstream.Verdict{State: upstream.Accepted}
	}
	run(b, newGateway(b, bus, "gw-a", p).Run)
	r := &rig{t: b, b: bus, id: "rig-1", boot: "b1", news: make(chan struct{}, 1)}
	f := follow(b, bus)
	until(b, bus, []*rig{r}, "work", func() bool { return f.count("gw-a") == 1 })
	w := f.last["rig-1"]
	shares := solve(b, w, "rig-1", w.ShareDifficulty, 0, 2000)
	var took []time.Duration
	n := 0
	for b.Loop() {
		if n == len(shares) {
			b.StopTimer()
			shares, n = solve(b, w, "rig-1", w.ShareDifficulty, 1<<20+len(took), 2000), 0
			b.StartTimer()
		}
		begin := time.Now()
		r.found(shares[n])
		n++
		took = append(took, (<-wire).Sub(begin))
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
	b.ReportMetric(took[len(took)*99/100].Seconds()*1e3, "p99-ms")
}
