// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// From readings stored to all their decisions stored, one host and two, every
// reading a decision of two messages: what the atomic batches of the server
// allow.
func BenchmarkDecisions(b *testing.B) {
	for _, durability := range []bus.Durability{bus.ProcessCrash, bus.PowerLoss} {
		for _, replicas := range []int{1, 2} {
			b.Run(fmt.Sprintf("%s/replicas=%d", durability, replicas), func(b *testing.B) {
				x, err := bus.Open(testContext(b), bus.Config{DataDir: b.TempDir(), Name: "test", Durability: durability, Logger: logger(b)})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { closeBus(b, x) })
				var hosts []*running
				for i := range replicas {
					h := start(b, x, fmt.Sprintf("host-%d", i), toy("1.0"), func(c *Config) { c.CheckpointEvery, c.SnapshotEvery = 0, 0 })
					until(b, "it speaks", func() bool { return h.Standings()[0].Speaks })
					hosts = append(hosts, h)
				}
				var evs []*events.Event
				for range b.N {
					evs = append(evs, events.New(site, "meter", &events.MeterReading{PowerWatts: 1006, SampledAt: time.Now(), Quality: events.QualityGood}))
				}
				b.ResetTimer()
				if err := x.Publish(testContext(b), evs...); err != nil {
					b.Fatal(err)
				}
				for _, h := range hosts {
					settled(b, h, lastSequence(b, x, events.StreamJournal))
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
			})
		}
	}
}
