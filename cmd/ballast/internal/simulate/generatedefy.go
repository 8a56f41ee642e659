// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Times of the act in which a unit defies its orders and nothing else is wrong.
const (
	// defyAfter the last fault that fault is forgotten.
	defyAfter = faultEcho + time.Second
	// defyLeast and defyMost are how long the unit does not obey: longer than the
	// whole escalation takes.
	defyLeast, defyMost = 55 * time.Second, 80 * time.Second
)

// defy lengthens every fifth story by an act behind all its other faults: a unit
// acknowledges its orders and hashes on, while the AI load or the grid wants the
// power back. It is drawn apart from all else, so that all before it is what it
// was.
func (g *generator) defy() {
	g.r = rand.New(rand.NewPCG(g.s.Seed, 0x64656679))
	if !g.one(5) {
		return
	}
	begins := g.s.Length - calmEnd + defyAfter
	f := Fault{Kind: FaultIgnores, At: begins, Until: g.moment(begins+defyLeast, begins+defyMost), Point: PointNow}
	a := g.agent()
	f.Who = fmt.Sprintf("%s-%d", a.Name, 1+g.r.IntN(a.Units))
	wants := begins + g.seconds(2, 8)
	if g.one(2) {
		g.s.Signals = append(g.s.Signals, Signal{At: wants, Source: "grid", Grid: events.GridSignal{SignalID: "defied",
			Kind: events.SignalEmergency, DurationSeconds: int64((f.Until - wants) / time.Second)}})
	} else {
		g.loads(wants, 900, 1000)
	}
	g.s.Faults = append(g.s.Faults, f)
	if g.one(2) {
		g.outlets(&f)
	}
	g.s.Length = f.Until.Truncate(time.Second) + 6*time.Second + calmEnd
	g.loads(g.s.Length-calmEnd-5*time.Second, 250, 450)
	for _, o := range g.s.Config.Outlets {
		g.s.Switches = append(g.s.Switches, Switch{At: g.s.Length - calmEnd - 4*time.Second, Outlet: o.Outlet})
	}
}

// outlets puts one before every unit of some agents, one before all units of
// others, and always one before the unit that defies; half of their controllers
// do not do what they are told meanwhile. In the end an operator switches all on.
func (g *generator) outlets(f *Fault) {
	c := &g.s.Config
	for i := range g.s.Agents {
		a := &g.s.Agents[i]
		by, alone := fmt.Sprintf("pdu-%d", 1+i%2), strings.HasPrefix(f.Who, a.Name+"-")
		if g.one(4) {
			c.Outlets = append(c.Outlets, events.OutletConfig{Outlet: "out-" + a.Name, Controller: by, Agent: a.Name})
		} else {
			for n := range a.Units {
				u := fmt.Sprintf("%s-%d", a.Name, n+1)
				if alone && u == f.Who || !g.one(3) {
					c.Outlets = append(c.Outlets, events.OutletConfig{Outlet: "out-" + u, Controller: by, Agent: a.Name, Unit: u})
				}
			}
		}
		if !alone {
			continue
		}
		switch bad := (Fault{Who: by, At: f.At, Until: f.Until, Point: PointNow}); g.r.IntN(6) {
		case 0:
			bad.Kind = FaultIdle
			g.s.Faults = append(g.s.Faults, bad)
		case 1:
			bad.Kind = FaultUnable
			g.s.Faults = append(g.s.Faults, bad)
		case 2:
			bad.Kind, bad.Thousandths = FaultLoses, int(g.between(30, 100))*10
			g.s.Faults = append(g.s.Faults, bad)
		}
	}
}

// loads moves the AI load wherever some hangs, to so many parts in a thousand of
// the most.
func (g *generator) loads(at time.Duration, lo, hi int64) {
	step := func(node string, most int64) {
		if most > 0 {
			g.s.Load = append(g.s.Load, Step{At: at, Node: node, Watts: most * g.between(lo, hi) / 1000 / 100 * 100})
		}
	}
	step("", g.s.Config.AINameplateWatts*100/95)
	for i := range g.s.Config.Nodes {
		n := &g.s.Config.Nodes[i]
		step(n.Node, n.AINameplateWatts)
	}
}
