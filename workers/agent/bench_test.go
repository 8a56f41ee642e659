// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/bus/bustest"
	"github.com/ballast-energy/ballast/workers/agent"
)

// gate is a driver of n units that counts, with others, how many are on.
type gate struct {
	units []agent.Unit
	watts []int64
	on    *atomic.Int64
	moved chan struct{}
}

func newGate(id string, n int, on *atomic.Int64, moved chan struct{}) *gate {
	return &gate{units: newRack(id, n).units, watts: make([]int64, n), on: on, moved: moved}
}

func (g *gate) Units() []agent.Unit { return g.units }

func (g *gate) Drive(orders []agent.Order) {
	d := int64(0)
	for _, o := range orders {
		if was, is := g.watts[o.Unit] > 0, o.Watts > 0; is && !was {
			d++
		} else if was && !is {
			d--
		}
		g.watts[o.Unit] = o.Watts
	}
	g.on.Add(d)
	select {
	case g.moved <- struct{}{}:
	default:
	}
}

func (g *gate) Measure(unit int, s *events.UnitStatus) {
	s.PowerWatts, s.Healthy, s.Modelled = g.watts[unit], true, true
}

// BenchmarkBroadcast measures from the publishing of a reduction for the whole
// site to the last of 1,000 units stopped.
func BenchmarkBroadcast(b *testing.B) {
	for name, agents := range map[string]int{"behind-one-agent": 1, "on-own-connections": 1000} {
		b.Run(name, func(b *testing.B) { broadcast(b, agents, 1000/agents) })
	}
}

func broadcast(b *testing.B, agents, each int) {
	listen := bustest.FreeAddress(b)
	server := serve(b, b.TempDir(), listen)
	d := newDispatcher(b, server)
	var on atomic.Int64
	moved := make(chan struct{}, 1)
	await := func(n int64) {
		deadline := time.After(patience)
		for on.Load() != n {
			select {
			case <-moved:
			case <-time.After(10 * time.Millisecond):
			case <-deadline:
				b.Fatalf("%d units are on, want %d", on.Load(), n)
			}
		}
	}
	var ids []string
	var gates []*gate
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for i := range agents {
		id := fmt.Sprint("rig-", i)
		nc, err := nats.Connect("nats://"+listen, nats.MaxReconnects(-1))
		if err != nil {
			b.Fatal(err)
		}
		defer nc.Close()
		g := newGate(id, each, &on, moved)
		a, err := agent.New(agent.Config{Site: site, Agent: id, DrainTimeout: 10 * time.Second}, connOf{nc}, g)
		if err != nil {
			b.Fatal(err)
		}
		running.Go(func() { _ = a.Run(ctx) })
		awaitReady(b, a)
		ids, gates = append(ids, id), append(gates, g)
	}
	goroutines := runtime.NumGoroutine()
	var took []time.Duration
	for b.Loop() {
		var ramps []*events.Event
		for i, id := range ids {
			r := d.rampOf(d.status(id), id, 3000, 12*time.Second)
			for _, u := range gates[i].units {
				r.Units = append(r.Units, events.UnitSetpoint{Unit: u.ID, SetpointWatts: 3000})
			}
			ramps = append(ramps, events.New(site, id, r))
		}
		rctx, rcancel := context.WithTimeout(context.Background(), patience)
		if err := server.Publish(rctx, ramps...); err != nil {
			b.Fatal(err)
		}
		rcancel()
		await(1000)
		zero, now := int64(0), time.Now().UTC()
		e := events.New(site, events.BroadcastSource, &events.CommandCurtail{
			Decider: "dispatch", Key: d.next(), AllUnitsWatts: &zero, Reason: events.ReasonEmergency, IssuedAt: now, ValidUntil: now.Add(time.Minute),
		})
		begin := time.Now()
		if err := server.PublishCore(e); err != nil {
			b.Fatal(err)
		}
		await(0)
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	ms := func(p int) float64 { return float64(took[(len(took)-1)*p/100].Microseconds()) / 1000 }
	b.ReportMetric(ms(50), "p50-ms")
	b.ReportMetric(ms(99), "p99-ms")
	b.ReportMetric(float64(goroutines)/float64(agents), "goroutines/agent")
}

var _ agent.Bus = (*bus.Bus)(nil)
