// SPDX-License-Identifier: Apache-2.0

package judge

import (
	"fmt"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func TestTheTableForgetsTheOldest(t *testing.T) {
	table := NewTable()
	at := time.Unix(1_800_000_000, 0)
	const lifetime, all = 100, 100_000
	for n := range all {
		now := at.Add(time.Duration(n) * time.Second)
		table.Add("rig-1", &events.WorkAssigned{JobID: fmt.Sprint(n)}, now)
		table.Forget(now.Add(-lifetime * time.Second))
	}
	if len(table.byID) != lifetime+1 || len(table.order) != lifetime+1 || cap(table.order) > 10*lifetime {
		t.Errorf("%d jobs, %d in order, room for %d", len(table.byID), len(table.order), cap(table.order))
	}
	if table.Get(fmt.Sprint(all-lifetime-2)) != nil || table.Get(fmt.Sprint(all-lifetime-1)) == nil || table.Newest("rig-1").Work.JobID != fmt.Sprint(all-1) {
		t.Error("not the oldest are forgotten")
	}
	if n := testing.AllocsPerRun(10, func() { table.Forget(at) }); n != 0 {
		t.Errorf("%g allocations to forget nothing", n)
	}
}
