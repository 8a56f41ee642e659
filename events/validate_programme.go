// SPDX-License-Identifier: Apache-2.0

package events

import "slices"

// maxBaselines of one programme: every method once.
const maxBaselines = 7

// programmes checks the grid programmes of a site.
func (c *checker) programmes(s *SiteConfig) {
	if len(s.Programmes) > MaxProgrammes {
		c.fail("programmes", "%d given; at most %d are possible", len(s.Programmes), MaxProgrammes)
		return
	}
	c.in = "programmes"
	for i := range s.Programmes {
		p := &s.Programmes[i]
		c.at = i
		c.programme(p)
		if slices.ContainsFunc(s.Programmes[:i], func(o ProgrammeConfig) bool { return o.Programme == p.Programme }) {
			c.fail("programme", "%s is listed twice", quote(p.Programme))
		}
		if p.Node != "" && !slices.ContainsFunc(s.Nodes, func(n NodeConfig) bool { return n.Node == p.Node }) {
			c.fail("node", "%s is no node of this site: list it under nodes, or leave it out for the point of connection", quote(p.Node))
		}
	}
	c.in = ""
}

func (c *checker) programme(p *ProgrammeConfig) {
	c.text("programme", p.Programme, maxLabel)
	c.eventID("programme", p.Programme)
	c.optionalText("name", p.Name, maxLabel)
	c.optionalText("product", p.Product, maxLabel)
	c.optionalText("market", p.Market, maxLabel)
	if p.Node != "" {
		c.token("node", p.Node)
	}
	if p.Measures != MeasuresTotal && p.Measures != MeasuresMining {
		c.fail("measures", "%s is none of total, mining", quote(string(p.Measures)))
	}
	if p.LimitIs != LimitIsCap && p.LimitIs != LimitIsShed {
		c.fail("limit_is", "%s is none of cap, shed", quote(string(p.LimitIs)))
	}
	c.between("notice_seconds", p.NoticeSeconds, 0, MaxSignalSeconds)
	c.between("response_seconds", p.ResponseSeconds, 0, daySeconds)
	c.between("ramp_seconds", p.RampSeconds, 0, daySeconds)
	c.between("min_duration_seconds", p.MinDurationSeconds, 0, MaxSignalSeconds)
	c.between("return_delay_seconds", p.ReturnDelaySeconds, 0, daySeconds)
	c.between("recovery_seconds", p.RecoverySeconds, 0, daySeconds)
	if p.Tests != "" && p.Tests != TestRecord && p.Tests != TestObey {
		c.fail("tests", "%s is none of record, obey", quote(string(p.Tests)))
	}
	c.precedence(p.Precedence)
	c.between("tolerance_ppm", p.TolerancePPM, 0, million)
	c.silence(p.Silence)
	if len(p.Baselines) > maxBaselines {
		c.fail("baselines", "%d given; at most %d are possible", len(p.Baselines), maxBaselines)
		return
	}
	for i, b := range p.Baselines {
		if !slices.Contains(BaselineMethods(), b) {
			c.fail("baselines", "%s is none of %v", quote(string(b)), BaselineMethods())
		}
		if slices.Contains(p.Baselines[:i], b) {
			c.fail("baselines", "%s is listed twice", quote(string(b)))
		}
	}
}

func (c *checker) silence(s *SilenceConfig) {
	if s == nil {
		return
	}
	c.token("silence.source", s.Source)
	c.between("silence.after_seconds", s.AfterSeconds, 1, daySeconds)
	c.watts("silence.limit_watts", s.LimitWatts)
	switch s.OnSilence {
	case SilenceLimit:
	case SilenceHold:
		if s.LimitWatts != 0 {
			c.fail("silence.limit_watts", "%d belongs to on_silence limit only", s.LimitWatts)
		}
	default:
		c.fail("silence.on_silence", "%s is none of hold, limit", quote(string(s.OnSilence)))
	}
}

func (c *checker) precedence(p Precedence) {
	switch p {
	case "", PrecedenceSafety, PrecedenceGridEmergency, PrecedenceAIContract,
		PrecedenceDemandResponse, PrecedenceEconomics:
	default:
		c.fail("precedence", "%s is none of safety, grid-emergency, ai-contract, demand-response, economics",
			quote(string(p)))
	}
}
