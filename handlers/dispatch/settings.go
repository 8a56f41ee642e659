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

	limit, usable, house, nameplate int64
	floor, unlearned, margin        int64
	window                          int64 // envelope, ns; 0 = off
	lease, dead, restart            int64
	guaranteed, rampRate, rampBurst int64
	minOn, minOff, hysteresis       int64
	economics                       bool
	adder, tariffPrice, poolFee     int64
	ai, houses, totals, minings     []group
	meters                          []*meter
	byID                            map[string]*meter
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
	s.raw.Meters = slices.Clone(c.Meters)
	s.limit = watts(c.LimitWatts)
	s.usable = share(c.LimitWatts, c.ContinuousFactorPPM)
	s.house = watts(c.HouseWatts)
	s.nameplate = watts(c.AINameplateWatts)
	s.floor = watts(c.Reserve.FloorWatts)
	s.unlearned = watts(c.Reserve.UnlearnedWatts)
	s.margin = watts(c.Reserve.MarginWatts)
	s.window = clamp(c.Reserve.EnvelopeSeconds, 0, 86_400) * second
	p := &c.Policy
	s.lease = min(millis(p.LeaseMilliseconds, events.DefaultLease.Milliseconds()), 15*second)
	s.dead = millis(p.DeadMilliseconds, 60_000)
	s.restart = clamp(p.RestartDelayMilliseconds, 0, 86_400_000) * milli
	s.guaranteed = watts(p.GuaranteedWatts)
	s.rampRate = watts(p.RampWattsPerSecond)
	s.rampBurst = watts(p.RampBurstWatts)
	s.minOn = clamp(p.MinOnMilliseconds, 0, 86_400_000) * milli
	s.minOff = clamp(p.MinOffMilliseconds, 0, 86_400_000) * milli
	s.hysteresis = watts(p.HysteresisWatts)
	s.economics = p.Economics
	s.adder = clamp(p.StrikeAdderMicrousdPerMWh, -events.MaxInteger, events.MaxInteger)
	s.tariffPrice = clamp(c.Tariff.EnergyPriceMicrousdPerMWh, -events.MaxInteger, events.MaxInteger)
	s.poolFee = clamp(c.Tariff.PoolFeePPM, 0, 1_000_000)
	for _, mc := range s.raw.Meters {
		if s.byID[mc.Meter] != nil || len(s.meters) == MaxMeters {
			continue
		}
		m := &meter{}
		if o := old[mc.Meter]; o != nil && o.cfg.Measures == mc.Measures {
			*m = *o
		}
		m.use(mc)
		s.byID[mc.Meter] = m
		s.meters = append(s.meters, m)
		switch mc.Measures {
		case events.MeasuresAI:
			s.ai = join(s.ai, m)
		case events.MeasuresHouse:
			s.houses = join(s.houses, m)
		case events.MeasuresTotal:
			s.totals = join(s.totals, m)
		case events.MeasuresMining:
			s.minings = join(s.minings, m)
		}
	}
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
