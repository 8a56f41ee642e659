// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/bits"
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// maxWatts is the largest power that is taken literally, 1 TW: sums of it over
// MaxUnits stay far from overflow.
const maxWatts = 1_000_000_000_000

const (
	milli  = int64(1_000_000)
	second = int64(1_000_000_000)
)

// settings are a site.config made safe to calculate with: durations in ns, no
// field able to overflow, whatever the publisher wrote.
type settings struct {
	known bool
	raw   events.SiteConfig
	// epoch and sequence of that event in the journal.
	epoch, sequence uint64

	lease, dead, restart        int64
	guaranteed, minOn, minOff   int64
	economics                   bool
	adder, tariffPrice, poolFee int64
	// startWear of one start, µ$/MW; horizon of swaps, ms; startEvery is the
	// time for which one start of a unit is counted, startWindow that for which
	// a unit is starting, and jitter that within which all start, ns.
	startWear, horizon              int64
	startEvery, startWindow, jitter int64
	meters                          []*meter
	byID                            map[string]*meter

	// firmSpans of firm headroom, ns, and its probability.
	firmSpans []int64
	firmPPM   int64

	// nodes of the power tree, every one before those it feeds, the point of
	// connection first. tree: there are others, and units need a place.
	nodes     []*node
	nodeByID  map[string]*node
	agentNode map[string]*node
	tree      bool
	// outletOf units, and who controls each.
	outletOf     map[fed]*events.OutletConfig
	controllerOf map[string]string
	// broken says why the tree cannot be; empty when it can.
	broken string
}

// group is one quantity measured by one or more meters.
type group struct {
	name   string
	meters []*meter
}

func clamp(v, lo, hi int64) int64 { return min(max(v, lo), hi) }

func watts(v int64) int64 { return clamp(v, 0, maxWatts) }

// millis turns a duration of a config into ns; what cannot be meant (zero or
// less) becomes def, and nothing exceeds a day.
func millis(v, def int64) int64 {
	if v <= 0 {
		v = def
	}
	return min(v, 86_400_000) * milli
}

// share is watts × ppm ÷ 1,000,000, rounded down.
func share(w, ppm int64) int64 {
	hi, lo := bits.Mul64(uint64(watts(w)), uint64(clamp(ppm, 0, 1_000_000)))
	q, _ := bits.Div64(hi, lo, 1_000_000)
	return int64(q)
}

// newSettings reads a config. Meters known already keep their state.
func newSettings(c *events.SiteConfig, old map[string]*meter) settings {
	s := settings{known: true, raw: *c, byID: make(map[string]*meter, len(c.Meters))}
	s.raw.Meters, s.raw.Nodes, s.raw.Programmes = slices.Clone(c.Meters), slices.Clone(c.Nodes), slices.Clone(c.Programmes)
	s.raw.Outlets = slices.Clone(c.Outlets)
	p := &c.Policy
	s.lease = min(millis(p.LeaseMilliseconds, events.DefaultLease.Milliseconds()), 15*second)
	s.dead = millis(p.DeadMilliseconds, 60_000)
	s.restart = clamp(p.RestartDelayMilliseconds, 0, 86_400_000) * milli
	s.guaranteed = watts(p.GuaranteedWatts)
	s.minOn = clamp(p.MinOnMilliseconds, 0, 86_400_000) * milli
	s.minOff = clamp(p.MinOffMilliseconds, 0, 86_400_000) * milli
	s.economics = p.Economics
	s.adder = clamp(p.StrikeAdderMicrousdPerMWh, -events.MaxInteger, events.MaxInteger)
	s.tariffPrice = clamp(c.Tariff.EnergyPriceMicrousdPerMWh, -events.MaxInteger, events.MaxInteger)
	s.poolFee = clamp(c.Tariff.PoolFeePPM, 0, 1_000_000)
	s.startWear = clamp(p.StartWearMicrousdPerMW, 0, events.MaxInteger)
	if s.horizon = clamp(p.SwapHorizonMilliseconds, 0, 86_400_000); s.horizon == 0 {
		s.horizon = defaultHorizon
	}
	if n := clamp(p.MaxStartsPerDay, 0, 86_400); n > 0 {
		s.startEvery = day / n
	}
	s.startWindow = clamp(p.StartWindowMilliseconds, 0, 3_600_000) * milli
	s.jitter = clamp(p.StartJitterMilliseconds, 0, 3_600_000) * milli
	s.firm(p)
	s.wire(c)
	s.plant(c)
	s.hang(old)
	return s
}

// join adds a meter to its group, or to one of its own.
func join(gs []group, m *meter) []group {
	if m.cfg.Group != "" {
		for i := range gs {
			if gs[i].name == m.cfg.Group {
				gs[i].meters = append(gs[i].meters, m)
				return gs
			}
		}
	}
	return append(gs, group{name: m.cfg.Group, meters: []*meter{m}})
}
