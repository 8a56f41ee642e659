// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"testing"
	"time"
)

// BenchmarkKernel times every kernel and, in the same run, the plain
// definition; vs-plain is how many times as fast the kernel is.
func BenchmarkKernel(b *testing.B) {
	for _, k := range Kernels() {
		b.Run(k.Name, func(b *testing.B) {
			e, err := k.New()
			if err != nil {
				b.Skip(err)
			}
			work := NewWork(knownBlocks[1].header(), VersionRollingMask, Target{31: 1})
			if err := e.Load(&work); err != nil {
				b.Fatal(err)
			}
			header := work.Header
			var hits [4]Hit
			var hashes, plain, calls uint64
			var kernelTime, plainTime, longest time.Duration
			b.ReportAllocs()
			for hashes < uint64(b.N) {
				begin := time.Now()
				r := e.Scan(hits[:])
				took := time.Since(begin)
				kernelTime += took
				longest = max(longest, took)
				hashes += r.Hashes
				calls++

				// A slice of plain hashing right behind each call, so that
				// both see the same clock and the same neighbours.
				begin = time.Now()
				for range 100 {
					header.SetNonce(uint32(plain))
					hash := header.Hash()
					plain++
					if hash.top() == 0 {
						b.Log("hit", hash)
					}
				}
				plainTime += time.Since(begin)
			}
			each := float64(kernelTime.Nanoseconds()) / float64(hashes)
			plainEach := float64(plainTime.Nanoseconds()) / float64(plain)
			b.ReportMetric(each, "ns/hash")
			b.ReportMetric(1000/each, "MH/s")
			b.ReportMetric(plainEach/each, "vs-plain")
			b.ReportMetric(float64(hashes)/float64(calls), "hashes/call")
			b.ReportMetric(float64(kernelTime.Microseconds())/float64(calls), "us/call")
			b.ReportMetric(float64(longest.Microseconds()), "us/longest-call")
		})
	}
}
