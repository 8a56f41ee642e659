// SPDX-License-Identifier: Apache-2.0

package events

// stuckReadings that are alike, at least, make a stuck meter.
const stuckReadings = 10

// maxStarts at one time: more units no site has.
const maxStarts = 1_000_000

// Validate implements Payload.
func (s *SiteConfig) Validate() error {
	var c checker
	c.watts("limit_watts", s.LimitWatts)
	c.between("continuous_factor_ppm", s.ContinuousFactorPPM, 1, million)
	c.watts("contracted_watts", s.ContractedWatts)
	c.watts("ai_nameplate_watts", s.AINameplateWatts)
	c.watts("house_watts", s.HouseWatts)
	c.reserve(&s.Reserve)
	c.meters(s.Meters)
	c.nodes(s)
	c.outlets(s.Outlets)
	c.programmes(s)
	c.calendar(s.Calendar)
	c.policy(&s.Policy)
	c.tariff(&s.Tariff)
	return c.err
}

func (c *checker) meters(ms []MeterConfig) {
	if len(ms) == 0 || len(ms) > MaxMeters {
		c.fail("meters", "%d given; 1 to %d are possible", len(ms), MaxMeters)
		return
	}
	seen := make(map[string]bool, len(ms))
	measured := make(map[Measures]bool, 4)
	c.in = "meters"
	for i := range ms {
		m := &ms[i]
		c.at = i
		c.token("meter", m.Meter)
		if m.Node != "" {
			c.token("node", m.Node)
		}
		if seen[m.Meter] {
			c.fail("meter", "%s is listed twice", quote(m.Meter))
		}
		seen[m.Meter] = true
		switch m.Measures {
		case MeasuresTotal, MeasuresAI, MeasuresHouse, MeasuresMining:
			measured[m.Measures] = true
		default:
			c.fail("measures", "%s is none of total, ai, house, mining", quote(string(m.Measures)))
		}
		if m.Group != "" {
			c.token("group", m.Group)
		}
		c.between("period_milliseconds", m.PeriodMilliseconds, 1, maxHour)
		c.between("stale_milliseconds", m.StaleMilliseconds, 1, maxHour)
		if m.StaleMilliseconds < m.PeriodMilliseconds {
			c.fail("stale_milliseconds", "%d is below period_milliseconds %d: the meter would always be stale",
				m.StaleMilliseconds, m.PeriodMilliseconds)
		}
		c.between("stuck_milliseconds", m.StuckMilliseconds, 0, maxDay)
		if m.StuckMilliseconds != 0 && m.StuckMilliseconds/stuckReadings < m.PeriodMilliseconds {
			c.fail("stuck_milliseconds", "%d is below %d times period_milliseconds %d: too few readings to tell a stuck meter from a steady load; use 0 to switch it off",
				m.StuckMilliseconds, stuckReadings, m.PeriodMilliseconds)
		}
		c.between("min_watts", m.MinWatts, -MaxWatts, MaxWatts)
		c.between("max_watts", m.MaxWatts, -MaxWatts, MaxWatts)
		if m.MaxWatts <= m.MinWatts {
			c.fail("max_watts", "%d is not above min_watts %d", m.MaxWatts, m.MinWatts)
		}
		c.count("counter_modulus_milliwatt_hours", m.CounterModulusMilliwattHours)
	}
	c.in = ""
	if !measured[MeasuresAI] && !(measured[MeasuresTotal] && measured[MeasuresMining]) {
		c.fail("meters", "none sees the AI load; list one that measures ai, or one that measures total with one that measures mining")
	}
}

func (c *checker) policy(p *PolicyConfig) {
	c.between("policy.lease_milliseconds", p.LeaseMilliseconds, MinLeaseMilliseconds, MaxLeaseMilliseconds)
	c.between("policy.dead_milliseconds", p.DeadMilliseconds, 1, maxDay)
	c.watts("policy.guaranteed_watts", p.GuaranteedWatts)
	c.between("policy.restart_delay_milliseconds", p.RestartDelayMilliseconds, 0, maxDay)
	c.between("policy.ramp_watts_per_second", p.RampWattsPerSecond, 1, MaxWatts)
	c.between("policy.ramp_burst_watts", p.RampBurstWatts, 1, MaxWatts)
	c.between("policy.min_on_milliseconds", p.MinOnMilliseconds, 0, maxDay)
	c.between("policy.min_off_milliseconds", p.MinOffMilliseconds, 0, maxDay)
	c.watts("policy.hysteresis_watts", p.HysteresisWatts)
	c.price("policy.strike_adder_microusd_per_mwh", p.StrikeAdderMicrousdPerMWh)
	c.watts("policy.ramp_down_watts_per_second", p.RampDownWattsPerSecond)
	c.count("policy.start_wear_microusd_per_mw", p.StartWearMicrousdPerMW)
	c.between("policy.swap_horizon_milliseconds", p.SwapHorizonMilliseconds, 0, maxDay)
	c.between("policy.max_starts_per_day", p.MaxStartsPerDay, 0, daySeconds)
	c.between("policy.max_starts_at_once", p.MaxStartsAtOnce, 0, maxStarts)
	c.between("policy.start_window_milliseconds", p.StartWindowMilliseconds, 0, maxHour)
	c.between("policy.start_jitter_milliseconds", p.StartJitterMilliseconds, 0, maxHour)
	if len(p.FirmSeconds) > MaxFirm {
		c.fail("policy.firm_seconds", "%d given; at most %d are possible", len(p.FirmSeconds), MaxFirm)
	}
	for i, s := range p.FirmSeconds {
		c.between("policy.firm_seconds", s, 60, daySeconds)
		if i > 0 && s <= p.FirmSeconds[i-1] {
			c.fail("policy.firm_seconds", "%d comes after %d: list the spans rising", s, p.FirmSeconds[i-1])
		}
	}
	c.quantile("policy.firm_probability_ppm", p.FirmProbabilityPPM)
}

func (c *checker) tariff(t *TariffConfig) {
	c.between("tariff.interval_seconds", t.IntervalSeconds, 1, daySeconds)
	if t.IntervalSeconds > 0 && daySeconds%t.IntervalSeconds != 0 {
		c.fail("tariff.interval_seconds", "%d does not divide a day of %d s; use 300, 900 or 3600", t.IntervalSeconds, daySeconds)
	}
	c.between("tariff.grace_seconds", t.GraceSeconds, 0, daySeconds)
	c.between("tariff.accrual_seconds", t.AccrualSeconds, 1, daySeconds)
	if t.AccrualSeconds > 0 && t.IntervalSeconds%t.AccrualSeconds != 0 {
		c.fail("tariff.accrual_seconds", "%d does not divide interval_seconds %d", t.AccrualSeconds, t.IntervalSeconds)
	}
	c.price("tariff.energy_price_microusd_per_mwh", t.EnergyPriceMicrousdPerMWh)
	c.between("tariff.pool_fee_ppm", t.PoolFeePPM, 0, million)
	if t.Scheme != SchemeFPPS && t.Scheme != SchemePPS {
		c.fail("tariff.scheme", "%s is none of fpps, pps", quote(string(t.Scheme)))
	}
}
