// SPDX-License-Identifier: Apache-2.0

package events

// Validate implements Payload.
func (m *MeterReading) Validate() error {
	var c checker
	c.between("power_watts", m.PowerWatts, -MaxWatts, MaxWatts)
	if m.EnergyMilliwattHours != nil {
		c.count("energy_milliwatt_hours", *m.EnergyMilliwattHours)
	}
	c.when("sampled_at", m.SampledAt)
	switch m.Quality {
	case QualityGood, QualitySuspect, QualityBad:
	default:
		c.fail("quality", "%s is none of good, suspect, bad", quote(string(m.Quality)))
	}
	return c.err
}

// Validate implements Payload.
func (t *ClockTick) Validate() error {
	var c checker
	c.between("second", t.Second, 0, maxSecond)
	return c.err
}

// Validate implements Payload.
func (q *MarketQuote) Validate() error {
	var c checker
	c.nbits("nbits", q.NBits)
	c.count("height", q.Height)
	c.between("subsidy_sats", q.SubsidySats, 0, MaxSatoshi)
	c.between("fees_sats", q.FeesSats, 0, MaxSatoshi)
	c.count("btc_price_microusd", q.BTCPriceMicrousd)
	if q.NetworkOnly && q.BTCPriceMicrousd != 0 {
		c.fail("btc_price_microusd", "is %d; a quote of the network only has no price", q.BTCPriceMicrousd)
	}
	c.when("quoted_at", q.QuotedAt)
	return c.err
}

// nbits is a compact target that means something: 3 to 32 bytes long, not
// negative, not zero.
func (c *checker) nbits(field, s string) {
	c.hex(field, s, 8)
	if c.err != nil {
		return
	}
	if size := s[:2]; size < "03" || size > "20" || s[2] >= '8' || s[2:] == "000000" {
		c.fail(field, "%s is no target: the size must be 03 to 20, the mantissa 000001 to 7fffff", quote(s))
	}
}

// Validate implements Payload. What a reducing kind does not need is ignored:
// a reduction is not lost because somebody said too much.
func (s *GridSignal) Validate() error {
	var c checker
	if s.SignalID != "" {
		c.name("signal_id", s.SignalID)
	}
	c.optionalText("programme", s.Programme, maxLabel)
	c.optionalText("issuer", s.Issuer, maxLabel)
	c.optionalText("node", s.Node, maxLabel)
	c.precedence(s.Precedence)
	c.between("priority", int64(s.Priority), 0, 255)
	c.optionalWatts("power_watts", s.PowerWatts)
	if s.PriceMicrousdPerMWh != nil {
		c.price("price_microusd_per_mwh", *s.PriceMicrousdPerMWh)
	}
	if s.StartsAt != nil {
		c.when("starts_at", *s.StartsAt)
	}
	if s.IssuedAt != nil {
		c.when("issued_at", *s.IssuedAt)
	}
	c.between("duration_seconds", s.DurationSeconds, 0, MaxSignalSeconds)
	c.optionalBetween("ramp_seconds", s.RampSeconds, 0, daySeconds)
	c.optionalBetween("min_duration_seconds", s.MinDurationSeconds, 0, MaxSignalSeconds)
	c.optionalBetween("recovery_seconds", s.RecoverySeconds, 0, daySeconds)
	c.watts("ramp_watts_per_minute", s.RampWattsPerMinute)
	c.optionalEventID("supersedes", s.Supersedes)
	c.optionalEventID("cancels", s.Cancels)
	c.optionalText("reason", s.Reason, MaxText)
	s.validateKind(&c)
	return c.err
}

func (s *GridSignal) validateKind(c *checker) {
	switch s.Kind {
	case SignalCurtail, SignalSetpoint, SignalImportLimit:
		if s.PowerWatts == nil {
			c.fail("power_watts", "is missing; a %s needs it", s.Kind)
		}
	case SignalEmergency, SignalStop:
	case SignalPrice:
		if s.PriceMicrousdPerMWh == nil {
			c.fail("price_microusd_per_mwh", "is missing; a price needs it")
		}
		if s.PowerWatts != nil {
			c.fail("power_watts", "a price sets no power")
		}
		if s.Cancels != "" {
			c.fail("cancels", "a price cancels nothing; send a restore")
		}
	case SignalRestore:
		if s.PowerWatts != nil {
			c.fail("power_watts", "a restore sets no power")
		}
		if s.PriceMicrousdPerMWh != nil {
			c.fail("price_microusd_per_mwh", "a restore sets no price")
		}
		if s.Supersedes != "" {
			c.fail("supersedes", "a restore replaces nothing; name the signal in cancels")
		}
	default:
		c.fail("kind", "%s is none of curtail, restore, setpoint, import-limit, emergency, price, stop",
			quote(string(s.Kind)))
	}
}
