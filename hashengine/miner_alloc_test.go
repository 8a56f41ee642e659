// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"runtime/metrics"
	"testing"
	"time"
)

// objects returns how many objects were ever allocated.
func objects() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:objects"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// TestMinerDoesNotAllocate: hashing, resting and looking at flags allocate
// nothing, however long they go on. A few objects are the runtime's own.
func TestMinerDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	for _, duty := range []int{FullDuty, 700} {
		m := newTestMiner(t, MinerConfig{Threads: 2, OnHit: func(Hit) {}})
		setWork(t, m, hopeless())
		if err := m.SetDuty(duty); err != nil {
			t.Fatal(err)
		}
		m.Resume()
		hash := func(calls int) {
			// The end of a call changes the count.
			last := m.Stats().Hashes
			for n := 0; n < calls; time.Sleep(10 * time.Microsecond) {
				if now := m.Stats().Hashes; now != last {
					last = now
					n++
				}
			}
		}
		hash(50)
		before := objects()
		hash(400)
		if n := objects() - before; n > 40 {
			t.Errorf("duty %d: %d objects allocated in 400 calls", duty, n)
		}
		_ = m.Close()
	}
}
