// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"runtime"
	"testing"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/upstream"
)

func TestJobsOfDownstreamMinersAreKnownAsLongAsTheyAreHeld(t *testing.T) {
	jobs := make(belowJobs)
	held := &upstream.Job{ID: "held", Bits: 0x207fffff, Difficulty: "1", Coinbase1: make([]byte, 1000)}
	func() {
		for range 1000 {
			dropped := &upstream.Job{ID: "dropped", Bits: 0x207fffff, Difficulty: "1", Coinbase1: make([]byte, 1000)}
			jobs.keep(newTask(&session{}, dropped), "d", events.Payout{})
		}
		jobs.keep(newTask(&session{}, held), "h", events.Payout{Pool: "p"})
	}()
	for len(jobs) > 1 { // the test's time limit ends it
		runtime.GC()
		jobs.forget()
	}
	id, task, payout, ok := jobs.find(held)
	if !ok || id != "h" || task.Job != held || payout.Pool != "p" || !task.wants(&hashengine.Hash{}) {
		t.Errorf("%v %q %+v %+v", ok, id, task, payout)
	}
	if _, _, _, ok := jobs.find(&upstream.Job{}); ok {
		t.Error("a job that was never handed out")
	}
	runtime.KeepAlive(held)
}
