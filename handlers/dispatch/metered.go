// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"cmp"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// severityOf orders outcomes, the worst highest.
func severityOf(o events.MeteredOutcome) int {
	switch o {
	case events.OutcomeLate:
		return 1
	case events.OutcomeUnmetered:
		return 2
	case events.OutcomeShort:
		return 3
	}
	return 0
}

// account is what is written down of c when all its parts are over.
func (c *curtailment) account() *events.CurtailmentMetered {
	m := &events.CurtailmentMetered{
		Key: c.Key, CauseID: c.CauseID, CauseType: c.CauseType, Reason: c.Reason, SignalID: c.SignalID,
		IssuedAt: time.Unix(0, c.Issued).UTC(), Decisions: c.Decisions, DeadlineMilliseconds: c.Deadline / milli,
		Outcome: events.OutcomeMet, WitnessesTotal: int64(len(c.parts)),
	}
	response := int64(0)
	all := make([]events.CurtailmentWitness, 0, len(c.parts))
	for _, p := range c.parts {
		w := p.account()
		all = append(all, w)
		m.Units += p.Units
		m.UnitsApplied += p.Applied
		m.AskedWatts += w.AskedWatts
		m.AchievedWatts += w.AchievedWatts
		m.ShortfallWatts += w.ShortfallWatts
		if severityOf(p.Outcome) > severityOf(m.Outcome) {
			m.Outcome = p.Outcome
		}
		if p.Response < 0 || response < 0 {
			response = -1
		} else {
			response = max(response, p.Response)
		}
	}
	if response >= 0 {
		ms := response / milli
		m.ResponseMilliseconds = &ms
	}
	// Parts are in the order in which they were opened, which is told of equals.
	slices.SortStableFunc(all, func(a, b events.CurtailmentWitness) int {
		return cmp.Or(cmp.Compare(severityOf(b.Outcome), severityOf(a.Outcome)), cmp.Compare(b.ShortfallWatts, a.ShortfallWatts))
	})
	m.Witnesses = all[:min(len(all), events.MaxCurtailmentWitnesses)]
	return m
}

// account is what is written down of p.
func (p *proof) account() events.CurtailmentWitness {
	w := events.CurtailmentWitness{Node: events.RootNode, Units: p.Units, AskedWatts: p.Asked, ShortfallWatts: p.Shortfall, Outcome: p.Outcome}
	if p.at.Node != "" {
		w.Node, w.Meter = p.at.Node, p.at.Meter
	}
	if p.Outcome == events.OutcomeUnmetered {
		w.AskedWatts, w.AchievedWatts = p.Raw, p.AppliedWatts
	} else {
		before, after := p.Before, p.After
		w.BeforeWatts, w.AfterWatts = &before, &after
		w.AchievedWatts = p.Asked
		if p.Outcome == events.OutcomeShort {
			w.AchievedWatts = max(p.Asked-p.Shortfall, 0)
		}
	}
	if p.Response >= 0 {
		ms := p.Response / milli
		w.ResponseMilliseconds = &ms
	}
	return w
}
