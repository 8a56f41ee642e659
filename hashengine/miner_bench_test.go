// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"slices"
	"testing"
	"time"
)

// hopeless is work that is never found and never ends.
func hopeless() Work {
	return NewWork(knownBlocks[0].header(), VersionRollingMask, Target{31: 1})
}

// report gives the spread of durations in microseconds.
func report(b *testing.B, what string, all []time.Duration) {
	b.Helper()
	slices.Sort(all)
	at := func(permille int) float64 {
		return float64(all[(len(all)-1)*permille/1000].Nanoseconds()) / 1000
	}
	b.ReportMetric(at(500), "p50-us-"+what)
	b.ReportMetric(at(990), "p99-us-"+what)
	b.ReportMetric(at(1000), "max-us-"+what)
}

// untilHashing returns when the threads are at it.
func untilHashing(m *Miner) {
	for begin := m.Stats().Hashes; m.Stats().Hashes < begin+1000; {
		time.Sleep(200 * time.Microsecond)
	}
}

// BenchmarkStop times Stop, from setting the flag to the last hash of the last
// thread, with one hashing thread on every processor and with one processor
// left free.
func BenchmarkStop(b *testing.B) {
	for _, threads := range []int{runtime.NumCPU(), max(1, runtime.NumCPU()-1)} {
		b.Run(fmt.Sprintf("threads=%d", threads), func(b *testing.B) {
			m := newTestMiner(b, MinerConfig{Threads: threads, OnHit: func(Hit) {}})
			setWork(b, m, hopeless())
			var stops []time.Duration
			for b.Loop() {
				m.Resume()
				untilHashing(m)
				begin := time.Now()
				m.Stop()
				stops = append(stops, time.Since(begin))
			}
			report(b, "stop", stops)
		})
	}
}

// BenchmarkSwitch times from SetWork to the first hit of the new work, which
// every hash is, at the receiver.
func BenchmarkSwitch(b *testing.B) {
	first := make(chan any, 1)
	var last any
	m := newTestMiner(b, MinerConfig{OnHit: func(h Hit) {
		if h.Tag != last {
			last = h.Tag
			first <- h.Tag
		}
	}})
	m.Resume()
	var switches []time.Duration
	for i := 0; b.Loop(); i++ {
		setWork(b, m, hopeless())
		untilHashing(m)
		w := smallWork(1, 1)
		w.Target, w.Tag = MaxTarget, i
		begin := time.Now()
		setWork(b, m, w)
		<-first
		switches = append(switches, time.Since(begin))
	}
	report(b, "switch", switches)
}

// BenchmarkNeighbour times how late a goroutine of the same process wakes from
// a sleep of a millisecond, without and with hashing on every processor.
func BenchmarkNeighbour(b *testing.B) {
	for _, hashing := range []bool{false, true} {
		b.Run(fmt.Sprintf("hashing=%v", hashing), func(b *testing.B) {
			m := newTestMiner(b, MinerConfig{OnHit: func(Hit) {}})
			setWork(b, m, hopeless())
			if hashing {
				m.Resume()
				untilHashing(m)
			}
			var late []time.Duration
			for b.Loop() {
				begin := time.Now()
				time.Sleep(time.Millisecond)
				late = append(late, time.Since(begin)-time.Millisecond)
			}
			report(b, "late", late)
		})
	}
}

// BenchmarkCollectorPause times how long the garbage collector stops all
// goroutines of the process, by the runtime's account, without and with hashing
// on every core.
func BenchmarkCollectorPause(b *testing.B) {
	for _, hashing := range []bool{false, true} {
		b.Run(fmt.Sprintf("hashing=%v", hashing), func(b *testing.B) {
			m := newTestMiner(b, MinerConfig{OnHit: func(Hit) {}})
			setWork(b, m, hopeless())
			if hashing {
				m.Resume()
				untilHashing(m)
			}
			before := collectorPauses()
			for b.Loop() {
				runtime.GC()
			}
			after := collectorPauses()
			for i := range after.Counts {
				after.Counts[i] -= before.Counts[i]
			}
			b.ReportMetric(1e6*quantile(after, 0.5), "p50-us-pause")
			b.ReportMetric(1e6*quantile(after, 0.99), "p99-us-pause")
			b.ReportMetric(1e6*quantile(after, 1), "max-us-pause")
		})
	}
}

// collectorPauses returns the runtime's account of the times between the
// collector's decision to stop all goroutines and their going on.
func collectorPauses() *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64Histogram()
}

// quantile returns the upper end of the bucket that holds it, in seconds.
func quantile(h *metrics.Float64Histogram, q float64) float64 {
	var all, sum uint64
	for _, n := range h.Counts {
		all += n
	}
	for i, n := range h.Counts {
		sum += n
		if n > 0 && float64(sum) >= q*float64(all) {
			return h.Buckets[i+1]
		}
	}
	return 0
}

// BenchmarkDuty compares the hashes done at a duty cycle with those done at
// full duty right before, on one thread.
func BenchmarkDuty(b *testing.B) {
	for _, duty := range []int{100, 500, 900} {
		b.Run(fmt.Sprintf("permille=%d", duty), func(b *testing.B) {
			m := newTestMiner(b, MinerConfig{Threads: 1, OnHit: func(Hit) {}})
			setWork(b, m, hopeless())
			m.Resume()
			rate := func(permille int) float64 {
				if err := m.SetDuty(permille); err != nil {
					b.Fatal(err)
				}
				untilHashing(m)
				from, begin := m.Stats().Hashes, time.Now()
				time.Sleep(200 * time.Millisecond)
				return float64(m.Stats().Hashes-from) / time.Since(begin).Seconds()
			}
			var full, part float64
			for b.Loop() {
				full += rate(FullDuty)
				part += rate(duty)
			}
			b.ReportMetric(1000*part/full, "permille-measured")
		})
	}
}

// BenchmarkMiner is the rate of all threads together; its ns/op is the time of
// one hash.
func BenchmarkMiner(b *testing.B) {
	m := newTestMiner(b, MinerConfig{OnHit: func(Hit) {}})
	setWork(b, m, hopeless())
	m.Resume()
	untilHashing(m)
	b.ReportAllocs()
	b.ResetTimer()
	begin := time.Now()
	from := m.Stats().Hashes
	for m.Stats().Hashes-from < uint64(b.N) {
		time.Sleep(time.Millisecond)
	}
	done := m.Stats().Hashes - from
	b.ReportMetric(float64(done)/time.Since(begin).Seconds()/1e6, "MH/s")
}
