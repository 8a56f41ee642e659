// SPDX-License-Identifier: Apache-2.0

package latency

import (
	"fmt"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/agent"
)

// unitWatts is the nameplate of a measured unit: that of an Antminer S21.
const unitWatts = 3500

// fleet is where the drivers of a run report to: how many units are on, and
// when the last one stopped.
type fleet struct {
	mu      sync.Mutex
	on      int
	units   int
	part    int // how many a trip takes off; 0 when none does
	lastOff time.Time
	changed chan struct{} // closed and replaced on every change to all on, all off, or all but the part on
}

func newFleet(units int) *fleet { return &fleet{units: units, changed: make(chan struct{})} }

func (f *fleet) turn(on, off int) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on += on - off
	if off > 0 {
		f.lastOff = now
	}
	if f.on == 0 || f.on == f.units || f.on == f.units-f.part {
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// state is how many are on, when the last stopped, and what to wait on.
func (f *fleet) state() (on int, lastOff time.Time, changed <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.on, f.lastOff, f.changed
}

// driver is units that obey at once and draw nothing.
type driver struct {
	units []agent.Unit
	watts []int64
	fleet *fleet
}

func newDriver(agentID string, n int, f *fleet) *driver {
	d := &driver{fleet: f, watts: make([]int64, n)}
	for i := range n {
		id := agentID
		if n > 1 {
			id = fmt.Sprintf("%s-%04d", agentID, i)
		}
		d.units = append(d.units, agent.Unit{ID: id, Capabilities: events.Capabilities{
			Class: "bench", NameplateWatts: unitWatts, MinWatts: unitWatts, LevelsWatts: []int64{unitWatts},
			MillijoulesPerTerahash: 17_500, FallMilliseconds: 0, BootMilliseconds: 0,
		}})
	}
	return d
}

// Units of the driver.
func (d *driver) Units() []agent.Unit { return d.units }

// Drive counts what turns on and off.
func (d *driver) Drive(orders []agent.Order) {
	on, off := 0, 0
	for _, o := range orders {
		was, is := d.watts[o.Unit] > 0, o.Watts > 0
		d.watts[o.Unit] = o.Watts
		switch {
		case is && !was:
			on++
		case was && !is:
			off++
		}
	}
	if on+off > 0 {
		d.fleet.turn(on, off)
	}
}

// Measure reports the setpoint as drawn.
func (d *driver) Measure(i int, s *events.UnitStatus) {
	s.PowerWatts, s.Healthy, s.Modelled = d.watts[i], true, true
}
