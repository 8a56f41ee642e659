// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"fmt"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/dispatch"
)

// Sentence says in one sentence what keeps mining where it is.
func Sentence(w *dispatch.Why) string {
	place := nodeName(w.Node)
	s := fmt.Sprintf("Mining at %s draws %s of %s possible", place, watts(w.MiningWatts), watts(w.NameplateWatts))
	missing := w.NameplateWatts - w.PermittedWatts
	switch {
	case w.Units == 0:
		return fmt.Sprintf("No unit is known at %s: no agent has announced one", place)
	case missing == 0 && w.NotDrawnWatts > 0:
		return s + fmt.Sprintf(": all is permitted, and %s are not drawn (yet)", watts(w.NotDrawnWatts))
	case missing <= 0 || len(w.Held) == 0:
		return s + ": nothing holds it down"
	}
	s += fmt.Sprintf(": %s are held down", watts(missing))
	first, then := bindsFirst(w.Held)
	if first.Watts >= missing {
		return s + " because " + because(first.By, first.Node)
	}
	s += fmt.Sprintf(", %s of it because %s", watts(first.Watts), because(first.By, first.Node))
	if then != nil {
		s += fmt.Sprintf(", then %s because %s", watts(then.Watts), because(then.By, then.Node))
	}
	return s
}

// bindsFirst are what must be lifted first, and what comes next: instructions and
// missing facts before whatever takes the room beneath them, else by power.
func bindsFirst(hs []events.HeldBack) (first, then *events.HeldBack) {
	for _, hard := range []bool{true, false} {
		for i := range hs {
			h := &hs[i]
			if hard != instructed(h.By) {
				continue
			}
			if first == nil {
				first = h
			} else if then == nil {
				then = h
			}
		}
	}
	return first, then
}

// instructed reports whether somebody ordered it, or nobody knows enough.
func instructed(by string) bool {
	switch by {
	case string(events.ReasonStop), string(events.ReasonEmergency), string(events.ReasonGridCurtail), string(events.ReasonGridSetpoint),
		string(events.ReasonImportLimit), string(events.ReasonNoConfig), string(events.ReasonNoMeter), events.HoldClock:
		return true
	}
	return false
}

// Tree is the answer for a person.
func (n *Now) Tree() *Tree {
	t := whyTree(n.Why)
	t.Place = fmt.Sprintf("%s, %s at %s", n.Site, journal(n.Epoch, n.Sequence), clock(n.Why.At))
	if !n.Speaks {
		t.addf("folded by version %s config %s, which is not the one that decides there (ballast decider ls --site %s)", n.Version, n.ConfigHash, n.Site)
	}
	if n.Decision != "" {
		t.add("newest decision: ballast explain", n.Decision)
	}
	if len(n.Units) > 0 {
		k := t.addf("units, best first")
		for i := range n.Units {
			unitTree(k, &n.Units[i])
		}
	}
	return t
}

// whyTree is the waterfall, the limits and what they rest on.
func whyTree(w *dispatch.Why) *Tree {
	t := &Tree{Text: Sentence(w)}
	k := t.addf("from nameplate to mining")
	width := len(exact(w.NameplateWatts))
	line := func(sign string, watts int64, text string) { k.addf("%s %*s  %s", sign, width, exact(watts), text) }
	line(" ", w.NameplateWatts, "nameplate of "+figures.Count(w.Units, "unit"))
	for i := range w.Held {
		h := &w.Held[i]
		line("−", h.Watts, fmt.Sprintf("%s: %s (%s)", h.By, because(h.By, h.Node), figures.Count(h.Units, "unit")))
	}
	line("=", w.PermittedWatts, "permitted")
	if w.NotDrawnWatts != 0 {
		line("−", w.NotDrawnWatts, "permitted and not drawn: machines that boot, idle or rise")
	}
	if w.OverdrawnWatts != 0 {
		line("+", w.OverdrawnWatts, "drawn above setpoints: on the way down, or against the rules")
	}
	line("=", w.ReportedWatts, "drawn, as the agents report")
	switch {
	case !w.Metered:
	case w.UnreportedWatts < 0:
		line("−", -w.UnreportedWatts, "that mining meters do not see")
	default:
		line("+", w.UnreportedWatts, "that mining meters see beyond it")
	}
	if w.Metered {
		line("=", w.MiningWatts, "mining, as metered")
	}
	limits(t, w.Nodes, nil)
	if len(w.Readings) > 0 {
		readings(t, w.Readings, w.ReadingsOmitted)
	}
	signals(t, w.Signals, w.SignalsOmitted)
	sources(t, w.Config, w.Quote)
	if w.EnergyPriceMicrousdPerMWh != nil {
		t.addf("energy costs %s", dollarsPerMWh(*w.EnergyPriceMicrousdPerMWh))
	}
	return t
}

// exact writes power to the watt.
func exact(w int64) string { return figures.Int(w) + " W" }

func unitTree(t *Tree, u *dispatch.UnitWhy) {
	key := ""
	if u.Key != nil {
		key = fmt.Sprintf("ballast explain %d/%d/%d", u.Key.Epoch, u.Key.Sequence, u.Key.Ordinal)
	}
	text := fmt.Sprintf("%s of %s at %s (%s, rank %d): permitted %s of %s, draws %s, %s", u.Unit, u.Agent, nodeName(u.Node), efficiency(u.MillijoulesPerTerahash), u.Rank,
		watts(u.SetpointWatts), watts(u.NameplateWatts), watts(u.PowerWatts), u.State)
	k := t.add(text, key)
	for _, h := range u.Held {
		k.addf("− %s  %s: %s", exact(h.Watts), h.By, because(h.By, h.Node))
	}
	if u.RevenueMicrousdPerMWh != nil {
		k.addf("earns %s", dollarsPerMWh(*u.RevenueMicrousdPerMWh))
	}
}
