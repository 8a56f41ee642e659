// SPDX-License-Identifier: Apache-2.0

package plantbench

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/permit"
)

// The machines: agents of so many units each.
const (
	agents        = 10
	unitsPerAgent = 30
	unitWatts     = 100_000
	fallTime      = 5 * time.Second
	minersWatts   = agents * unitsPerAgent * unitWatts
)

// farm is one agent with its permit machines and what hangs on them.
type farm struct {
	id      string
	panel   *permit.Panel
	all     []int
	told    bool
	machine []machine
	watts   int64
	deaf    time.Duration // how much longer than its lease it draws
}

// machine draws its setpoint; less of it only fallTime after it was told.
type machine struct {
	set, watts int64
	falls      []fall
}

// fall is a lower draw to come.
type fall struct {
	at    time.Duration
	watts int64
}

func newFarm(i int) (*farm, error) {
	f := &farm{id: fmt.Sprintf("farm-%02d", i), machine: make([]machine, unitsPerAgent)}
	specs := make([]permit.Spec, unitsPerAgent)
	for k := range specs {
		specs[k] = permit.Spec{Unit: fmt.Sprintf("%s-%02d", f.id, k), FullWatts: unitWatts}
		f.all = append(f.all, k)
	}
	p, err := permit.NewPanel(permit.Config{Agent: f.id, Boot: f.id + "-boot"}, specs)
	f.panel = p
	return f, err
}

// status is what the agent says at now.
func (f *farm) status(now time.Duration) *events.WorkerStatus {
	st := &events.WorkerStatus{BootID: f.id + "-boot", Announce: !f.told, Units: make([]events.UnitStatus, unitsPerAgent)}
	st.Counter = f.panel.Send(permit.Instant(now), f.all)
	for i := range st.Units {
		u := &st.Units[i]
		u.PowerWatts, u.Healthy, u.Modelled, u.PowerModelled = f.machine[i].watts, true, true, true
		f.panel.Describe(permit.Instant(now), i, u)
		if !f.told {
			u.Capabilities = &events.Capabilities{Class: "container", NameplateWatts: unitWatts, LevelsWatts: []int64{unitWatts}, MinWatts: unitWatts,
				MillijoulesPerTerahash: int64(15_000 + 10*i), FallMilliseconds: fallTime.Milliseconds()}
		}
	}
	f.told = true
	return st
}

// hear folds a command.
func (f *farm) hear(now time.Duration, wall time.Time, p events.Payload) {
	var out permit.Outcome
	switch c := p.(type) {
	case *events.CommandCurtail:
		out = f.panel.Curtail(permit.Instant(now), c)
	case *events.CommandRamp:
		out = f.panel.Ramp(permit.Instant(now), wall, true, c)
	case *events.PermitRenewed:
		out = f.panel.Renew(permit.Instant(now), c)
	}
	f.drive(now, out)
}

// expire ends leases; a farm that is deaf keeps drawing for longer.
func (f *farm) expire(now time.Duration) {
	if f.deaf > 0 {
		// A lease that has run out is looked at so much later.
		if now < f.deaf {
			return
		}
		now -= f.deaf
	}
	f.drive(now, f.panel.Tick(permit.Instant(now)))
}

func (f *farm) drive(now time.Duration, out permit.Outcome) {
	for _, i := range out.Changed {
		m, w := &f.machine[i], f.panel.Setpoint(i)
		if w < m.set {
			m.falls = append(m.falls, fall{now + fallTime, w})
		}
		m.set = w
		if w > m.watts {
			f.watts += w - m.watts
			m.watts = w
		}
	}
}

// settle lets fall what is due.
func (f *farm) settle(now time.Duration) {
	for i := range f.machine {
		m := &f.machine[i]
		for len(m.falls) > 0 && m.falls[0].at <= now {
			if w := max(m.falls[0].watts, m.set); w < m.watts {
				f.watts += w - m.watts
				m.watts = w
			}
			m.falls = m.falls[:copy(m.falls, m.falls[1:])]
		}
	}
}
