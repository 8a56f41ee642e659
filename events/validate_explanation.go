// SPDX-License-Identifier: Apache-2.0

package events

// explanation checks the reasons of a decision. Watts have no bounds of their
// own there: a decision on bad data must still be recordable.
func (c *checker) explanation(x *Explanation) {
	c.knownPrecedence("why.precedence", x.Precedence)
	if len(x.Nodes) == 0 {
		c.fail("why.nodes", "none given; the point of connection is one always")
	}
	c.most("why.nodes", len(x.Nodes), MaxExplainedNodes)
	c.most("why.readings", len(x.Readings), MaxExplainedReadings)
	c.most("why.signals", len(x.Signals), MaxExplainedSignals)
	c.most("why.lowered", len(x.Lowered), MaxExplainedGroups)
	c.most("why.held", len(x.Held), MaxExplainedGroups)
	c.count("why.readings_omitted", x.ReadingsOmitted)
	c.count("why.signals_omitted", x.SignalsOmitted)
	c.count("why.lowered_omitted", x.LoweredOmitted)
	c.signed("why.held_omitted_watts", x.HeldOmittedWatts)
	c.place("why.config.epoch", "why.config.sequence", x.Config)
	c.place("why.quote.epoch", "why.quote.sequence", x.Quote)
	if c.err != nil {
		return
	}
	c.in = "why.nodes"
	for i := range x.Nodes {
		c.at = i
		c.nodeBalance(&x.Nodes[i])
	}
	c.in = "why.readings"
	for i := range x.Readings {
		c.at = i
		c.readingUsed(&x.Readings[i])
	}
	c.in = "why.signals"
	for i := range x.Signals {
		c.at = i
		c.signalInForce(&x.Signals[i])
	}
	c.in = "why.lowered"
	for i := range x.Lowered {
		c.at = i
		c.loweredFor(&x.Lowered[i])
	}
	c.in = "why.held"
	for i := range x.Held {
		h := &x.Held[i]
		c.at = i
		c.token("by", h.By)
		c.optionalToken("node", h.Node)
		c.count("units", h.Units)
		c.signed("watts", h.Watts)
	}
	c.in = ""
}

func (c *checker) most(field string, n, most int) {
	if n > most {
		c.fail(field, "%d given; at most %d are possible", n, most)
	}
}

func (c *checker) optionalToken(field, s string) {
	if s != "" {
		c.token(field, s)
	}
}

// knownPrecedence is one that must be said.
func (c *checker) knownPrecedence(field string, p Precedence) {
	switch p {
	case PrecedenceSafety, PrecedenceGridEmergency, PrecedenceAIContract, PrecedenceDemandResponse, PrecedenceEconomics:
	default:
		c.fail(field, "%s is none of safety, grid-emergency, ai-contract, demand-response, economics", quote(string(p)))
	}
}

func (c *checker) belief(field string, b Belief) {
	switch b {
	case BeliefFresh, BeliefEnvelope, BeliefStale, BeliefDead:
	default:
		c.fail(field, "%s is none of fresh, envelope, stale, dead", quote(string(b)))
	}
}

func (c *checker) place(epoch, sequence string, p *JournalPlace) {
	if p != nil {
		c.position(epoch, p.Epoch, 0)
		c.position(sequence, p.Sequence, 0)
	}
}

func (c *checker) nodeBalance(n *NodeBalance) {
	c.token("node", n.Node)
	c.signed("limit_watts", n.LimitWatts)
	c.signed("usable_watts", n.UsableWatts)
	c.signed("ai_watts", n.AIWatts)
	c.signed("house_watts", n.HouseWatts)
	c.signed("reserve_watts", n.ReserveWatts)
	c.reserveTerms(n.Reserve)
	c.signed("headroom_watts", n.HeadroomWatts)
	c.signed("cap_watts", n.CapWatts)
	c.reason("reason", n.Reason)
	c.signed("permitted_watts", n.PermittedWatts)
	c.count("stray_watts", n.StrayWatts)
	c.belief("belief", n.Belief)
	c.signed("stand_in_watts", n.StandInWatts)
}

func (c *checker) readingUsed(r *ReadingUsed) {
	c.token("meter", r.Meter)
	c.token("measures", string(r.Measures))
	c.token("node", r.Node)
	c.signed("power_watts", r.PowerWatts)
	c.position("epoch", r.Epoch, 0)
	c.position("sequence", r.Sequence, 0)
	switch r.Quality {
	case "", QualityGood, QualitySuspect, QualityBad:
	default:
		c.fail("quality", "%s is none of good, suspect, bad", quote(string(r.Quality)))
	}
	c.count("age_milliseconds", r.AgeMilliseconds)
	c.belief("belief", r.Belief)
}

func (c *checker) signalInForce(s *SignalInForce) {
	c.eventID("signal_id", s.SignalID)
	c.optionalToken("source", s.Source)
	c.token("kind", string(s.Kind))
	c.knownPrecedence("precedence", s.Precedence)
	c.between("priority", int64(s.Priority), 0, 255)
	c.optionalToken("node", s.Node)
	c.optionalWatts("power_watts", s.PowerWatts)
	if s.PriceMicrousdPerMWh != nil {
		c.signed("price_microusd_per_mwh", *s.PriceMicrousdPerMWh)
	}
	c.position("epoch", s.Epoch, 0)
	c.position("sequence", s.Sequence, 0)
}

func (c *checker) loweredFor(l *LoweredFor) {
	c.reason("reason", l.Reason)
	c.optionalToken("node", l.Node)
	c.count("units", l.Units)
	c.count("watts", l.Watts)
	if l.CapWatts != nil {
		c.signed("cap_watts", *l.CapWatts)
	}
	c.unitInOrder("best.agent", "best.unit", &l.Best)
	c.count("over_watts", l.OverWatts)
	c.unitInOrder("kept.agent", "kept.unit", l.Kept)
	c.unitInOrder("in_favour_of.agent", "in_favour_of.unit", l.InFavourOf)
}

func (c *checker) unitInOrder(agent, unit string, u *UnitInOrder) {
	if u == nil {
		return
	}
	c.token(agent, u.Agent)
	c.token(unit, u.Unit)
	c.count(unit+" millijoules_per_terahash", u.MillijoulesPerTerahash)
	c.count(unit+" before_watts", u.BeforeWatts)
	c.count(unit+" after_watts", u.AfterWatts)
}
