// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"time"

	"github.com/ballast-energy/ballast/workers/roster"
)

// Stats of a Gateway: Found is Accepted + Rejected + Unknown + what waits for
// its verdict.
type Stats struct {
	Found, Accepted, Rejected, Unknown int64
	// Submitted to the upstream; Local ones were accepted below its
	// difficulty and not sent there.
	Submitted, Local int64
	// Blocks found.
	Blocks int64
}

const (
	// rateWindow over which the hash rate and the rejects are looked at, in
	// slots of rateSlot.
	rateWindow = 10 * time.Minute
	rateSlot   = 10 * time.Second
)

// account counts shares. Guarded by Gateway.mu.
type account struct {
	Stats
	slots [rateWindow / rateSlot]rateSums
}

// rateSums of one slot of time.
type rateSums struct {
	slot int64
	// difficulty of the shares found, for a figure of the hash rate.
	difficulty          float64
	submitted, rejected int64
}

func (a *account) at(now time.Time) *rateSums {
	n := now.UnixNano() / int64(rateSlot)
	s := &a.slots[n%int64(len(a.slots))]
	if s.slot != n {
		*s = rateSums{slot: n}
	}
	return s
}

// window sums up the last ten minutes.
func (a *account) window(now time.Time) rateSums {
	n := now.UnixNano() / int64(rateSlot)
	var sum rateSums
	for i := range a.slots {
		if s := &a.slots[i]; s.slot > n-int64(len(a.slots)) && s.slot <= n {
			sum.difficulty += s.difficulty
			sum.submitted += s.submitted
			sum.rejected += s.rejected
		}
	}
	return sum
}

// megahashes per second that the shares of the window prove.
func (a *account) megahashes(now, began time.Time) int64 {
	span := min(now.Sub(began), rateWindow).Seconds()
	if span < 1 {
		return 0
	}
	return int64(a.window(now).difficulty * roster.HashesPerDifficulty1 / span / 1e6)
}
