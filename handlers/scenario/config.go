// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// defaultConfig is what a story begins with; every line "config …" changes it.
func defaultConfig() events.SiteConfig {
	return events.SiteConfig{
		ContinuousFactorPPM: 1_000_000,
		Policy: events.PolicyConfig{
			LeaseMilliseconds:  events.DefaultLease.Milliseconds(),
			DeadMilliseconds:   30_000,
			RampWattsPerSecond: 1_000_000_000,
			RampBurstWatts:     1_000_000_000,
		},
		Tariff: events.TariffConfig{IntervalSeconds: 300, GraceSeconds: 10, AccrualSeconds: 60, Scheme: events.SchemeFPPS},
	}
}

// setting is one key of a config line: its words and how its value is read.
type setting struct {
	key []string
	set func(*words, *events.SiteConfig) error
}

func powerAt(at func(*events.SiteConfig) *int64) func(*words, *events.SiteConfig) error {
	return func(w *words, c *events.SiteConfig) (err error) {
		*at(c), err = w.power()
		return err
	}
}

func durationAt(at func(*events.SiteConfig) *int64, unit int64) func(*words, *events.SiteConfig) error {
	return func(w *words, c *events.SiteConfig) error {
		d, err := w.duration()
		*at(c) = int64(d) / unit
		return err
	}
}

func scaledAt(at func(*events.SiteConfig) *int64, what string, units map[string]int64) func(*words, *events.SiteConfig) error {
	return func(w *words, c *events.SiteConfig) (err error) {
		*at(c), err = w.scaled(what, units)
		return err
	}
}

func countAt(at func(*events.SiteConfig) *int64) func(*words, *events.SiteConfig) error {
	return func(w *words, c *events.SiteConfig) (err error) {
		*at(c), err = w.integer("count")
		return err
	}
}

func flagAt(at func(*events.SiteConfig) *bool) func(*words, *events.SiteConfig) error {
	return func(w *words, c *events.SiteConfig) error {
		switch {
		case w.take("on"):
			*at(c) = true
		case w.take("off"):
			*at(c) = false
		default:
			return w.errorf("expected on or off, found %s", w.found())
		}
		return nil
	}
}

const (
	perMilli  = 1_000_000
	perSecond = 1_000_000_000
)

// settings are the keys that config lines know.
var settings = []setting{
	{[]string{"limit"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.LimitWatts })},
	{[]string{"factor"}, scaledAt(func(c *events.SiteConfig) *int64 { return &c.ContinuousFactorPPM }, "a share such as 80%", shareUnits)},
	{[]string{"contracted"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.ContractedWatts })},
	{[]string{"ai", "nameplate"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.AINameplateWatts })},
	{[]string{"house"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.HouseWatts })},
	{[]string{"reserve"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.Reserve.FloorWatts })},
	{[]string{"unlearned"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.Reserve.UnlearnedWatts })},
	{[]string{"margin"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.Reserve.MarginWatts })},
	{[]string{"envelope"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Reserve.EnvelopeSeconds }, perSecond)},
	{[]string{"rise", "quantile"}, scaledAt(func(c *events.SiteConfig) *int64 { return &c.Reserve.RiseQuantilePPM }, "a share such as 99.9%", shareUnits)},
	{[]string{"jobs"}, flagAt(func(c *events.SiteConfig) *bool { return &c.Reserve.Jobs })},
	{[]string{"job", "learning"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Reserve.JobLearnSeconds }, perSecond)},
	{[]string{"firm", "for"}, func(w *words, c *events.SiteConfig) error {
		d, err := w.duration()
		c.Policy.FirmSeconds = append(slices.Clone(c.Policy.FirmSeconds), int64(d)/perSecond)
		return err
	}},
	{[]string{"firm", "probability"}, scaledAt(func(c *events.SiteConfig) *int64 { return &c.Policy.FirmProbabilityPPM }, "a share such as 95%", shareUnits)},
	{[]string{"meter"}, readMeter},
	{[]string{"node"}, readNode},
	{[]string{"outlet"}, readOutlet},
	{[]string{"programme"}, readProgramme},
	{[]string{"lease"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Policy.LeaseMilliseconds }, perMilli)},
	{[]string{"dead"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Policy.DeadMilliseconds }, perMilli)},
	{[]string{"guaranteed"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.Policy.GuaranteedWatts })},
	{[]string{"restart", "delay"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Policy.RestartDelayMilliseconds }, perMilli)},
	{[]string{"ramp", "down"}, func(w *words, c *events.SiteConfig) (err error) {
		c.Policy.RampDownWattsPerSecond, err = rampOf(w)
		return err
	}},
	{[]string{"ramp"}, readRamp},
	{[]string{"burst"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.Policy.RampBurstWatts })},
	{[]string{"min", "on"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Policy.MinOnMilliseconds }, perMilli)},
	{[]string{"min", "off"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Policy.MinOffMilliseconds }, perMilli)},
	{[]string{"start", "wear"}, scaledAt(func(c *events.SiteConfig) *int64 { return &c.Policy.StartWearMicrousdPerMW }, "a price such as 10 $/MW", map[string]int64{"$/MW": 1_000_000})},
	{[]string{"swap", "horizon"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Policy.SwapHorizonMilliseconds }, perMilli)},
	{[]string{"starts", "per", "day"}, countAt(func(c *events.SiteConfig) *int64 { return &c.Policy.MaxStartsPerDay })},
	{[]string{"starts", "at", "once"}, countAt(func(c *events.SiteConfig) *int64 { return &c.Policy.MaxStartsAtOnce })},
	{[]string{"start", "window"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Policy.StartWindowMilliseconds }, perMilli)},
	{[]string{"start", "jitter"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Policy.StartJitterMilliseconds }, perMilli)},
	{[]string{"hysteresis"}, powerAt(func(c *events.SiteConfig) *int64 { return &c.Policy.HysteresisWatts })},
	{[]string{"economics"}, flagAt(func(c *events.SiteConfig) *bool { return &c.Policy.Economics })},
	{[]string{"adder"}, scaledAt(func(c *events.SiteConfig) *int64 { return &c.Policy.StrikeAdderMicrousdPerMWh }, "a price such as 5 $/MWh", priceUnits)},
	{[]string{"price"}, scaledAt(func(c *events.SiteConfig) *int64 { return &c.Tariff.EnergyPriceMicrousdPerMWh }, "a price such as 40 $/MWh", priceUnits)},
	{[]string{"interval"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Tariff.IntervalSeconds }, perSecond)},
	{[]string{"grace"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Tariff.GraceSeconds }, perSecond)},
	{[]string{"accrual"}, durationAt(func(c *events.SiteConfig) *int64 { return &c.Tariff.AccrualSeconds }, perSecond)},
	{[]string{"indexed"}, flagAt(func(c *events.SiteConfig) *bool { return &c.Tariff.Indexed })},
	{[]string{"resale"}, flagAt(func(c *events.SiteConfig) *bool { return &c.Tariff.ResaleAllowed })},
	{[]string{"pool", "fee"}, scaledAt(func(c *events.SiteConfig) *int64 { return &c.Tariff.PoolFeePPM }, "a share such as 1%", shareUnits)},
	{[]string{"scheme"}, func(w *words, c *events.SiteConfig) error {
		s, err := w.word("a payout scheme")
		c.Tariff.Scheme = events.Scheme(s)
		return err
	}},
}

// configure reads KEY VALUE … to the end of the line.
func configure(w *words, c *events.SiteConfig) error {
next:
	for w.more() {
		for _, s := range settings {
			if w.take(s.key...) {
				if err := s.set(w, c); err != nil {
					return err
				}
				continue next
			}
		}
		return w.errorf("%q is no key of the configuration", w.peek())
	}
	return nil
}

// readRamp reads "1 MW per second" or "1 MW/s".
func readRamp(w *words, c *events.SiteConfig) (err error) {
	c.Policy.RampWattsPerSecond, err = rampOf(w)
	return err
}

func rampOf(w *words) (int64, error) {
	units := map[string]int64{"W/s": 1, "kW/s": 1_000, "MW/s": 1_000_000}
	for u, n := range powerUnits {
		units[u] = n
	}
	r, err := w.scaled("power per second such as 1 MW/s", units)
	if err == nil && w.take("per") {
		err = w.need("second")
	}
	return r, err
}

// readMeter reads "ID measures WHAT [at NODE] [every D] [stale D] [stuck D] [range P to P] [group G]".
func readMeter(w *words, c *events.SiteConfig) error {
	id, err := w.word("the id of a meter")
	if err != nil {
		return err
	}
	m := events.MeterConfig{Meter: id, PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 1_000_000_000}
	if err := w.need("measures"); err != nil {
		return err
	}
	what, err := w.word("what the meter measures")
	if err != nil {
		return err
	}
	switch m.Measures = events.Measures(what); m.Measures {
	case events.MeasuresAI, events.MeasuresHouse, events.MeasuresMining, events.MeasuresTotal:
	default:
		return w.errorf("a meter measures total, ai, house or mining, not %q", what)
	}
	for {
		switch {
		case w.take("every"):
			d, err := w.duration()
			if err != nil {
				return err
			}
			m.PeriodMilliseconds = d.Milliseconds()
		case w.take("stale"):
			d, err := w.duration()
			if err != nil {
				return err
			}
			m.StaleMilliseconds = d.Milliseconds()
		case w.take("stuck"):
			d, err := w.duration()
			if err != nil {
				return err
			}
			m.StuckMilliseconds = d.Milliseconds()
		case w.take("range"):
			if m.MinWatts, err = w.power(); err != nil {
				return err
			}
			if err := w.need("to"); err != nil {
				return err
			}
			if m.MaxWatts, err = w.power(); err != nil {
				return err
			}
		case w.take("at"):
			if m.Node, err = w.word("the id of a node"); err != nil {
				return err
			}
		case w.take("group"):
			if m.Group, err = w.word("a group"); err != nil {
				return err
			}
		case w.take("modulus"):
			if m.CounterModulusMilliwattHours, err = w.scaled("energy such as 1 MWh", energyUnits); err != nil {
				return err
			}
		default:
			for i := range c.Meters {
				if c.Meters[i].Meter == m.Meter {
					c.Meters[i] = m
					return nil
				}
			}
			c.Meters = append(c.Meters, m)
			return nil
		}
	}
}

var energyUnits = map[string]int64{"mWh": 1, "Wh": 1_000, "kWh": 1_000_000, "MWh": 1_000_000_000}
