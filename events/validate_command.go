// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Validate implements Payload.
func (k *CommandCurtail) Validate() error {
	var c checker
	c.token("decider", k.Decider)
	c.key(&k.Key, "key.epoch", "key.sequence")
	if k.AllUnitsWatts != nil {
		c.optionalWatts("all_units_watts", k.AllUnitsWatts)
		if k.Agent != "" {
			c.fail("agent", "a broadcast (all_units_watts) names no agent")
		}
		if len(k.Units) != 0 {
			c.fail("units", "a broadcast (all_units_watts) lists no units")
		}
	} else {
		c.token("agent", k.Agent)
		c.setpoints(k.Units)
	}
	c.reason("reason", k.Reason)
	c.optionalEventID("signal_id", k.SignalID)
	c.validity(k.IssuedAt, k.ValidUntil)
	return c.err
}

// Validate implements Payload.
func (k *CommandRamp) Validate() error {
	var c checker
	c.token("decider", k.Decider)
	c.key(&k.Key, "key.epoch", "key.sequence")
	c.token("agent", k.Agent)
	c.lease(k.BootID, k.Counter, k.LeaseMilliseconds)
	c.setpoints(k.Units)
	c.reason("reason", k.Reason)
	c.optionalEventID("signal_id", k.SignalID)
	c.validity(k.IssuedAt, k.ValidUntil)
	return c.err
}

// Validate implements Payload.
func (p *PermitRenewed) Validate() error {
	var c checker
	c.token("decider", p.Decider)
	c.key(&p.Key, "key.epoch", "key.sequence")
	c.lease(p.BootID, p.Counter, p.LeaseMilliseconds)
	c.setpoints(p.Units)
	return c.err
}

func (c *checker) lease(boot string, counter uint64, ms int64) {
	c.name("boot_id", boot)
	c.position("counter", counter, 1)
	c.between("lease_milliseconds", ms, MinLeaseMilliseconds, MaxLeaseMilliseconds)
}

func (c *checker) setpoints(us []UnitSetpoint) {
	if len(us) == 0 || len(us) > MaxCommandUnits {
		c.fail("units", "%d given; 1 to %d are possible", len(us), MaxCommandUnits)
		return
	}
	c.in = "units"
	for i := range us {
		c.at = i
		c.token("unit", us[i].Unit)
		c.watts("setpoint_watts", us[i].SetpointWatts)
	}
	c.distinct(len(us), func(i int) string { return us[i].Unit })
	c.in = ""
}

func (c *checker) reason(field string, r Reason) {
	switch r {
	case ReasonStop, ReasonEmergency, ReasonNoMeter, ReasonNoConfig, ReasonHeadroom,
		ReasonImportLimit, ReasonGridCurtail, ReasonGridSetpoint, ReasonEconomics,
		ReasonWorker, ReasonAvailable:
	default:
		c.fail(field, "%s is no reason of this contract", quote(string(r)))
	}
}

// unitReason is why a unit draws less than it could.
func (c *checker) unitReason(field string, r Reason) {
	switch r {
	case ReasonLease, ReasonLocal, ReasonBoot:
	default:
		c.reason(field, r)
	}
}

func (c *checker) validity(issued, until time.Time) {
	c.when("issued_at", issued)
	c.when("valid_until", until)
	if until.Before(issued) {
		c.fail("valid_until", "is before issued_at")
	}
}

// Validate implements Payload. The terms of the headroom sum have no bounds of
// their own: a decision on bad data must still be recordable.
func (d *DispatchDecided) Validate() error {
	var c checker
	c.key(&d.Key, "key.epoch", "key.sequence")
	c.eventID("cause_id", d.CauseID)
	if !isTypeName(string(d.CauseType)) {
		c.fail("cause_type", "%s is no event type", quote(string(d.CauseType)))
	}
	c.version(d.Version)
	c.hex("config_hash", d.ConfigHash, 16)
	c.reason("binding", d.Binding)
	if d.BindingNode != "" {
		c.token("binding_node", d.BindingNode)
	}
	c.signed("limit_watts", d.LimitWatts)
	c.signed("usable_watts", d.UsableWatts)
	c.signed("ai_watts", d.AIWatts)
	c.signed("house_watts", d.HouseWatts)
	c.signed("reserve_watts", d.ReserveWatts)
	c.signed("headroom_watts", d.HeadroomWatts)
	c.optionalWatts("ceiling_watts", d.CeilingWatts)
	c.reserveTerms(d.Reserve)
	c.optionalEventID("signal_id", d.SignalID)
	if d.PriceMicrousdPerMWh != nil {
		c.price("price_microusd_per_mwh", *d.PriceMicrousdPerMWh)
	}
	if d.StrikeMicrousdPerMWh != nil {
		c.signed("strike_microusd_per_mwh", *d.StrikeMicrousdPerMWh)
	}
	c.count("permitted_before_watts", d.PermittedBeforeWatts)
	c.count("permitted_after_watts", d.PermittedAfterWatts)
	c.count("units_lowered", d.UnitsLowered)
	c.count("units_raised", d.UnitsRaised)
	c.count("units_known", d.UnitsKnown)
	c.signed("tokens_watts", d.TokensWatts)
	if d.Why != nil {
		c.explanation(d.Why)
	}
	return c.err
}

// isTypeName reports words of a-z joined by dots. A type that this reader does
// not know yet is still a name.
func isTypeName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	word := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] >= 'a' && s[i] <= 'z':
			word = true
		case s[i] == '.' && word:
			word = false
		default:
			return false
		}
	}
	return word
}
