// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// site is a decider with some meters and units that has run for a minute.
func site(tb testing.TB, meters, units int) (*journal, []string) {
	var configs []events.MeterConfig
	var ids []string
	for i := range meters {
		id := fmt.Sprintf("ai-%d", i)
		ids = append(ids, id)
		configs = append(configs, meterOf(id, events.MeasuresAI))
	}
	j := newJournal(tb)
	j.fold("operator", siteConfig(configs...))
	for u := range units {
		agent := fmt.Sprintf("rig-%d", u)
		j.fold(agent, status(agent, 3000, true, "", true))
	}
	return j, ids
}

func TestReadingsDoNotAllocate(t *testing.T) {
	j, ids := site(t, 4, 100)
	var out decider.Outbox
	counter := int64(0)
	reading := &events.MeterReading{Quality: events.QualityGood, EnergyMilliwattHours: &counter}
	tick := &events.ClockTick{}
	e := events.New("tx1", "", reading)
	step := func() {
		j.now = j.now.Add(250 * time.Millisecond)
		j.seq++
		counter += 25_000
		reading.PowerWatts = 100_000 + counter%1000
		reading.SampledAt = j.now
		e.Source, e.Data, e.Sequence, e.Arrived = ids[0], reading, j.seq, j.now
		if j.seq%4 == 0 {
			e.Data = tick
		}
		out.Begin(e)
		j.d.Fold(e, &out)
		j.d.StateHash()
	}
	for range 100 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n > 0 {
		t.Errorf("%.1f allocations per event", n)
	}
}

func BenchmarkFold(b *testing.B) {
	for _, c := range []struct {
		name                   string
		meters, units          int
		readings, shares, stat int // of 100 events
	}{
		{"readings", 4, 100, 100, 0, 0},
		{"readings/64 meters", 64, 100, 100, 0, 0},
		{"statuses/1000 agents", 4, 1000, 0, 0, 100},
		{"shares", 4, 100, 0, 100, 0},
		{"site of 1000 units", 4, 1000, 10, 20, 69},
	} {
		b.Run(c.name, func(b *testing.B) {
			j, ids := site(b, c.meters, c.units)
			var out decider.Outbox
			counter := make([]int64, c.meters)
			reading := &events.MeterReading{Quality: events.QualityGood}
			tick := &events.ClockTick{}
			payout := livePayout()
			share := &events.ShareAccepted{JobID: "j", Agent: "rig-1", Unit: "rig-1", Difficulty: "1048576", Payout: payout}
			statuses := make([]*events.WorkerStatus, c.units)
			agents := make([]string, c.units)
			for u := range statuses {
				agents[u] = fmt.Sprintf("rig-%d", u)
				statuses[u] = status(agents[u], 3000, true, "", false)
			}
			e := events.New("tx1", "", tick)
			e.Epoch = 1
			var hash uint64
			ids64 := make([]byte, 32)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				j.seq++
				j.now = j.now.Add(time.Millisecond)
				e.Sequence, e.Arrived = j.seq, j.now
				switch k := i % 100; {
				case i%1000 == 999:
					e.Source, e.Data = "site", tick
				case k < c.readings:
					m := i % c.meters
					counter[m] += 30
					reading.PowerWatts = 100_000 + int64(i%1000)
					reading.EnergyMilliwattHours = &counter[m]
					reading.SampledAt = j.now
					e.Source, e.Data = ids[m], reading
				case k < c.readings+c.shares:
					binary.BigEndian.PutUint64(ids64[24:], uint64(i))
					share.ShareID = hex.EncodeToString(ids64)
					e.Source, e.Data = "gw-1", share
				case k < c.readings+c.shares+c.stat:
					u := i % c.units
					statuses[u].Units[0].PowerWatts = 3000 + int64(i%7)
					e.Source, e.Data = agents[u], statuses[u]
				default:
					e.Source, e.Data = "site", tick
				}
				out.Begin(e)
				j.d.Fold(e, &out)
				hash ^= j.d.StateHash()
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
			_ = hash
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	j, ids := site(b, 8, 1000)
	for range 40_000 {
		j.share(j.now, livePayout(), "1048576")
	}
	j.run(midnight.Add(2*hour), func() {
		for _, id := range ids {
			j.read(id, 1000)
		}
	})
	b.ReportAllocs()
	b.ResetTimer()
	var n int
	for range b.N {
		snap, err := j.d.Snapshot()
		if err != nil {
			b.Fatal(err)
		}
		n = len(snap)
	}
	b.ReportMetric(float64(n), "bytes")
}
