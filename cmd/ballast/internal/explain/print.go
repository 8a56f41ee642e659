// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
)

// maxListed units or commands are listed one by one.
const maxListed = 8

// Tree is the chain for a person.
func (c *Chain) Tree() *Tree {
	t := &Tree{Text: describeOutput(c.Asked), Place: c.ID}
	t.add("stored", c.Asked.place())
	c.decided(t)
	c.caused(t)
	if c.Decision != nil {
		w := c.Decision.Data.(*events.DispatchDecided)
		if w.Why == nil {
			t.addf("version %s did not record its reasons; --replay folds them again", w.Version)
		} else {
			explanation(t, w)
		}
	}
	c.followedTree(t)
	if c.Replayed != nil {
		c.Replayed.tree(t)
	}
	return t
}

// describeOutput is an output of dispatch in words.
func describeOutput(s *Stored) string {
	switch d := s.Data.(type) {
	case *events.CommandCurtail:
		if d.AllUnitsWatts != nil {
			return fmt.Sprintf("curtail every unit to %s because %s", watts(*d.AllUnitsWatts), d.Reason)
		}
		return fmt.Sprintf("curtail %s because %s", setpoints(d.Units), d.Reason)
	case *events.CommandRamp:
		if d.Reason == events.ReasonAvailable {
			return fmt.Sprintf("ramp %s because headroom is free", setpoints(d.Units))
		}
		return fmt.Sprintf("ramp %s because headroom is free, kept from more by %s", setpoints(d.Units), d.Reason)
	case *events.DispatchDecided:
		bound := string(d.Binding)
		if d.BindingNode != "" {
			bound += " at " + nodeName(d.BindingNode)
		}
		return fmt.Sprintf("dispatch permitted %s instead of %s, bound by %s", watts(d.PermittedAfterWatts), watts(d.PermittedBeforeWatts), bound)
	}
	return string(s.Type) + " of " + s.Source
}

func setpoints(us []events.UnitSetpoint) string {
	var parts []string
	for i, u := range us {
		if i == maxListed {
			parts = append(parts, fmt.Sprintf("and %d more", len(us)-i))
			break
		}
		parts = append(parts, u.Unit+" to "+watts(u.SetpointWatts))
	}
	return strings.Join(parts, ", ")
}

func (c *Chain) decided(t *Tree) {
	if c.Decision == nil {
		t.add("repeated without a new decision: the newest statuses showed that it had got lost", "")
		return
	}
	w := c.Decision.Data.(*events.DispatchDecided)
	n := t
	if c.Decision != c.Asked {
		n = t.add("decided: "+strings.TrimPrefix(describeOutput(c.Decision), "dispatch "), c.Decision.ID)
	}
	class := ""
	if w.Why != nil {
		class = ", precedence " + string(w.Why.Precedence)
	}
	n.addf("%s lowered, %s raised, of %s known%s", figures.Count(w.UnitsLowered, "unit"), figures.Int(w.UnitsRaised), figures.Int(w.UnitsKnown), class)
	n.addf("by dispatch version %s config %s; %s left in the ramp budget", w.Version, w.ConfigHash, watts(w.TokensWatts))
	if len(c.Commands) > 1 || c.Decision == c.Asked {
		k := n.addf("commands of this decision: %d", len(c.Commands))
		for i, s := range c.Commands {
			if i == maxListed {
				k.addf("and %d more", len(c.Commands)-i)
				break
			}
			k.add(describeOutput(s), s.ID)
		}
	}
}

func (c *Chain) caused(t *Tree) {
	if c.Cause == nil {
		cause := "an event"
		if c.Decision != nil {
			w := c.Decision.Data.(*events.DispatchDecided)
			cause = fmt.Sprintf("%s %s", w.CauseType, w.CauseID)
		}
		t.addf("caused by %s: %s", cause, c.NoCause)
		return
	}
	t.add("caused by "+describeCause(c.Cause), c.Cause.place())
}

// describeCause is an event of the journal in words.
func describeCause(s *Stored) string {
	switch d := s.Data.(type) {
	case *events.MeterReading:
		return fmt.Sprintf("a reading of meter %s: %s, %s, sampled %s", s.Source, watts(d.PowerWatts), d.Quality, clock(d.SampledAt))
	case *events.GridSignal:
		text := fmt.Sprintf("signal %s of %s", d.Kind, s.Source)
		if d.SignalID != "" {
			text += " " + d.SignalID
		}
		if d.PowerWatts != nil {
			text += " to " + watts(*d.PowerWatts)
		}
		if d.PriceMicrousdPerMWh != nil {
			text += " of " + dollarsPerMWh(*d.PriceMicrousdPerMWh)
		}
		if d.DurationSeconds > 0 {
			text += fmt.Sprintf(" for %s", time.Duration(d.DurationSeconds)*time.Second)
		}
		if d.Reason != "" {
			text += fmt.Sprintf(" (%q)", d.Reason)
		}
		return text
	case *events.ClockTick:
		return "the tick of " + time.Unix(d.Second, 0).UTC().Format("15:04:05") + ": what time alone brought about"
	case *events.SiteConfig:
		return "a new site.config"
	case *events.WorkerStatus:
		return fmt.Sprintf("a status of agent %s", s.Source)
	case *events.AIJob:
		return fmt.Sprintf("AI job %s of scheduler %s: %s", d.JobID, s.Source, d.State)
	}
	return string(s.Type) + " of " + s.Source
}

// explanation hangs the recorded reasons under t.
func explanation(t *Tree, w *events.DispatchDecided) {
	x := w.Why
	if len(x.Readings) > 0 {
		readings(t, x.Readings, x.ReadingsOmitted)
	}
	binds := make(map[string]bool)
	for i := range x.Lowered {
		binds[x.Lowered[i].Node] = true
	}
	limits(t, x.Nodes, binds)
	signals(t, x.Signals, x.SignalsOmitted)
	sources(t, x.Config, x.Quote)
	if w.PriceMicrousdPerMWh != nil && w.StrikeMicrousdPerMWh != nil {
		t.addf("energy costs %s; the best unit earns %s", dollarsPerMWh(*w.PriceMicrousdPerMWh), dollarsPerMWh(*w.StrikeMicrousdPerMWh))
	}
	turnedDown(t, x)
	if len(x.Held) > 0 {
		k := t.addf("what keeps the rest down")
		held(k, x.Held)
		if x.HeldOmittedWatts > 0 {
			k.addf("%s for other reasons", watts(x.HeldOmittedWatts))
		}
	}
}

func readings(t *Tree, rs []events.ReadingUsed, omitted int64) {
	k := t.addf("readings")
	for i := range rs {
		r := &rs[i]
		text := fmt.Sprintf("%s (%s at %s): ", r.Meter, r.Measures, nodeName(r.Node))
		if r.Sequence == 0 {
			k.addf("%snever heard; %s", text, believed(r.Belief))
			continue
		}
		text += fmt.Sprintf("%s, %s, %s old, %s", watts(r.PowerWatts), r.Quality, after(r.AgeMilliseconds), believed(r.Belief))
		if r.Stuck {
			text += "; stuck: it repeats one and the same value"
		}
		k.add(text, journal(r.Epoch, r.Sequence))
	}
	if omitted > 0 {
		k.addf("and %s more", figures.Int(omitted))
	}
}

// limits lists the balances from the binding node upwards.
func limits(t *Tree, ns []events.NodeBalance, binds map[string]bool) {
	k := t.addf("limits")
	for i := range ns {
		n := &ns[i]
		text := fmt.Sprintf("%s: limit %s, usable %s − AI %s − house %s − reserve %s = headroom %s; mining may have %s and is permitted %s",
			nodeName(n.Node), watts(n.LimitWatts), watts(n.UsableWatts), watts(n.AIWatts), watts(n.HouseWatts), watts(n.ReserveWatts),
			watts(n.HeadroomWatts), watts(n.CapWatts), watts(n.PermittedWatts))
		if binds[n.Node] {
			text += "  ← binds"
		}
		l := k.add(text, "")
		if n.Belief != events.BeliefFresh {
			s := "load " + believed(n.Belief)
			if n.StandInWatts > 0 {
				s += ", " + watts(n.StandInWatts) + " at least"
			}
			l.addf("%s", s)
		}
		if r := n.Reserve; r != nil && n.ReserveWatts != 0 {
			l.addf("%s", reserve(r))
		}
		if n.StrayWatts > 0 {
			l.addf("mining meters see %s that no unit explains", watts(n.StrayWatts))
		}
	}
}

// reserve says what makes up a reserve, and what is outweighed.
func reserve(r *events.ReserveTerms) string {
	type term struct {
		name  string
		watts int64
	}
	step, learned := "unlearned", max(r.UnlearnedWatts, r.RiseWatts)
	if r.RiseWatts >= r.UnlearnedWatts {
		step = "rise"
	}
	if r.JobsWatts > 0 {
		step = "jobs and " + step
	}
	terms := []term{{"floor", r.FloorWatts}, {"envelope", r.EnvelopeWatts}, {step, r.JobsWatts + learned}}
	most := slices.MaxFunc(terms, func(a, b term) int { return cmp.Compare(a.watts, b.watts) })
	s := fmt.Sprintf("reserve: %s %s + margin %s", most.name, watts(most.watts), watts(r.MarginWatts))
	for _, t := range terms {
		if t != most && t.watts > 0 {
			s += fmt.Sprintf("; %s %s is outweighed", t.name, watts(t.watts))
		}
	}
	return s
}

func signals(t *Tree, ss []events.SignalInForce, omitted int64) {
	if len(ss) == 0 {
		t.addf("no grid signal in force")
		return
	}
	k := t.addf("signals in force")
	for i := range ss {
		s := &ss[i]
		text := string(s.Kind) + " " + s.SignalID
		if s.Source != "" {
			text += " of " + s.Source
		}
		if s.PowerWatts != nil {
			text += " to " + watts(*s.PowerWatts)
		}
		if s.PriceMicrousdPerMWh != nil {
			text += " of " + dollarsPerMWh(*s.PriceMicrousdPerMWh)
		}
		if s.Node != "" {
			text += " at " + s.Node
		}
		if s.Recovering {
			text += ", on its way back"
		}
		text += ", " + string(s.Precedence)
		if s.Priority > 0 {
			text += fmt.Sprintf(" priority %d", s.Priority)
		}
		if s.Binds {
			text += "  ← rules"
		}
		k.add(text, journal(s.Epoch, s.Sequence))
	}
	if omitted > 0 {
		k.addf("and %s more", figures.Int(omitted))
	}
}

func sources(t *Tree, config, quote *events.JournalPlace) {
	if config != nil {
		t.add("by the site.config", journal(config.Epoch, config.Sequence))
	}
	if quote != nil {
		t.add("by the market.quote", journal(quote.Epoch, quote.Sequence))
	}
}

// turnedDown lists the alternatives that a reduction rejected.
func turnedDown(t *Tree, x *events.Explanation) {
	if len(x.Lowered) == 0 {
		return
	}
	k := t.addf("lowered, and what was turned down")
	for i := range x.Lowered {
		l := &x.Lowered[i]
		text := fmt.Sprintf("%s by %s in all because %s", figures.Count(l.Units, "unit"), watts(l.Watts), because(string(l.Reason), l.Node))
		if l.InFavourOf != nil {
			text = fmt.Sprintf("%s by %s in all so that a better one can run: %s (%s)", figures.Count(l.Units, "unit"), watts(l.Watts), l.InFavourOf.Unit, efficiency(l.InFavourOf.MillijoulesPerTerahash))
		}
		g := k.addf("%s", text)
		best := fmt.Sprintf("%s (%s)", l.Best.Unit, efficiency(l.Best.MillijoulesPerTerahash))
		switch {
		case l.OverWatts > 0 && l.CapWatts != nil:
			g.addf("to lower less: with %s at %s instead of %s, %s would be %s above its cap of %s", best,
				watts(l.Best.BeforeWatts), watts(l.Best.AfterWatts), nodeName(l.Node), watts(l.OverWatts), watts(*l.CapWatts))
		default:
			g.addf("the best of them: %s, from %s to %s", best, watts(l.Best.BeforeWatts), watts(l.Best.AfterWatts))
		}
		if l.Kept != nil {
			g.addf("to lower others: %s (%s) and better ones keep their power; units fall from the worst end of the merit order", l.Kept.Unit, efficiency(l.Kept.MillijoulesPerTerahash))
		} else if l.Node != "" {
			g.addf("to lower others: none beneath %s has power left to lower", nodeName(l.Node))
		}
	}
	if x.LoweredOmitted > 0 {
		k.addf("and %s for other nodes or reasons", figures.Count(x.LoweredOmitted, "unit"))
	}
}

func held(t *Tree, hs []events.HeldBack) {
	for i := range hs {
		h := &hs[i]
		t.addf("%s of %s: %s", watts(h.Watts), figures.Count(h.Units, "unit"), because(h.By, h.Node))
	}
}

func (c *Chain) followedTree(t *Tree) {
	f := c.Followed
	if f == nil {
		return
	}
	k := t.addf("what followed")
	switch {
	case f.Units == 0:
		k.addf("no agent has said anything since")
	case f.AppliedMilliseconds != nil:
		k.add(fmt.Sprintf("applied by %s, the last %s after the cause", figures.Count(int64(f.Units), "unit"), after(*f.AppliedMilliseconds)), f.Status.place())
	default:
		k.addf("applied by %d of %s within %s; not by %s", f.Applied, figures.Count(int64(f.Units), "unit"), followFor, strings.Join(f.Missing, ", "))
	}
	for _, s := range f.Metered {
		m := s.Data.(*events.CurtailmentMetered)
		text := fmt.Sprintf("%s: %s of %s", metered(m.Outcome), watts(m.AchievedWatts), watts(m.AskedWatts))
		if m.ResponseMilliseconds != nil {
			text += fmt.Sprintf(", all of it %s after the cause", after(*m.ResponseMilliseconds))
		}
		k.add(text, s.place())
	}
	for _, s := range f.Escalated {
		e := s.Data.(*events.UnitEscalated)
		k.add(fmt.Sprintf("%s of %s did not follow: %s", e.Unit, e.Agent, e.Rung), s.place())
	}
}

func (p *Replayed) tree(t *Tree) {
	from := "the beginning of the journal"
	if p.From > 0 {
		from = fmt.Sprintf("the snapshot at %d", p.From)
	}
	same := "says the same, byte for byte"
	if !p.Same {
		same = "says something else: ballast journal replay --verify finds the first difference"
	}
	k := t.addf("folded again from %s: %s", from, same)
	k.addf("state %s before the cause, %s after", p.StateBefore, p.StateAfter)
	for _, w := range []struct {
		name string
		tree *Tree
	}{{"before", whyTree(p.Before)}, {"after", whyTree(p.After)}} {
		w.tree.Text = w.name + ": " + w.tree.Text
		k.Below = append(k.Below, w.tree)
	}
	us := k.addf("%s changed, best first", figures.Count(int64(len(p.Units)), "unit"))
	for i, u := range p.Units {
		if i == 4*maxListed {
			us.addf("and %d more; --json has them all", len(p.Units)-i)
			break
		}
		switch {
		case u.After == nil:
			us.addf("%s of %s: forgotten", u.Before.Unit, u.Before.Agent)
		case u.Before == nil:
			us.addf("%s of %s: joined, at %s", u.After.Unit, u.After.Agent, watts(u.After.SetpointWatts))
		default:
			line := fmt.Sprintf("%s of %s (%s, rank %d): %s → %s", u.After.Unit, u.After.Agent, efficiency(u.After.MillijoulesPerTerahash), u.After.Rank,
				watts(u.Before.SetpointWatts), watts(u.After.SetpointWatts))
			for _, h := range u.After.Held {
				line += fmt.Sprintf("; %s held because %s", watts(h.Watts), because(h.By, h.Node))
			}
			us.addf("%s", line)
		}
	}
}
