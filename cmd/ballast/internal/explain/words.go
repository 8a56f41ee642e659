// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
)

// watts writes power for a person: to the watt, because sums must be checkable.
func watts(w int64) string {
	if w%1_000 == 0 {
		return config.Power(w).String()
	}
	return figures.Int(w) + "W"
}

// after writes a duration in milliseconds.
func after(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000") }

// journal is a place in the journal.
func journal(epoch, sequence uint64) string {
	return fmt.Sprintf("%s %d/%d", events.StreamJournal, epoch, sequence)
}

// place where an event is stored, and since when.
func (s *Stored) place() string {
	at := fmt.Sprintf("%s %d", s.Stream, s.Sequence)
	if s.Stream == events.StreamJournal {
		at = journal(s.Epoch, s.Sequence)
	}
	return at + " at " + clock(s.Arrived)
}

// nodeName is a node as people speak of it.
func nodeName(id string) string {
	switch id {
	case "":
		return "the units"
	case events.RootNode:
		return "the site"
	}
	return id
}

// because says what a reason or a hold means, at a node where there is one.
func because(by, node string) string {
	at := nodeName(node)
	switch by {
	case string(events.ReasonStop):
		return "an operator stopped mining"
	case string(events.ReasonEmergency):
		return "a grid emergency is in force"
	case string(events.ReasonNoMeter):
		return "a meter is not believed at " + at + ", and what stands in for it takes the room"
	case string(events.ReasonNoConfig):
		return "no site.config is known"
	case string(events.ReasonHeadroom):
		return "AI and house load leave no more room at " + at
	case string(events.ReasonImportLimit):
		return "an import limit is in force"
	case string(events.ReasonGridCurtail):
		return "a curtailment by the grid is in force"
	case string(events.ReasonGridSetpoint):
		return "a base point of the grid is in force"
	case string(events.ReasonEconomics):
		return "the energy costs more than it earns, or a better unit takes the room"
	case string(events.ReasonWorker):
		return "of the unit itself: it left, is ill, or is limited on site"
	case string(events.ReasonAvailable):
		return "headroom is free"
	case events.HoldLocal:
		return "a limit is set on site"
	case events.HoldUnhealthy:
		return "the agent says that the unit is not healthy"
	case events.HoldSilent:
		return "its agent is silent"
	case events.HoldLeft:
		return "its agent has left or is lost"
	case events.HoldNode:
		return "nobody knows on which node it hangs"
	case events.HoldLowering:
		return "a reduction is not confirmed yet"
	case events.HoldRaising:
		return "a raise is not confirmed yet"
	case events.HoldOverdraw:
		return "it draws more than it may"
	case events.HoldOutlet:
		return "its outlet is off until a person restores it"
	case events.HoldPause:
		return "it waits for its restart delay, or did not follow its last ramps"
	case events.HoldMinOff:
		return "its minimum time off is not over"
	case events.HoldAnnounced:
		return "a reduction at " + at + " is near and would stop it again"
	case events.HoldStarts:
		return "its starts of the day are used up, others start at the moment, or a start would not pay"
	case events.HoldLevel:
		return "none of its levels lies in between"
	case events.HoldClock:
		return "there is no fresh tick"
	case events.HoldRestart:
		return "the restart delay of " + at + " is not over"
	case events.HoldHysteresis:
		return "there is too little room at " + at + " to begin with"
	case events.HoldRamp:
		return "the ramp budget of " + at + " is used up"
	case events.HoldNext:
		return "it may rise with the next tick"
	case events.HoldStray:
		return "draw that no unit explains takes the room at " + at
	case events.HoldSag:
		return "AI load that fell a moment ago may come back at once at " + at
	case events.HoldFalling:
		return "units on their way down still take the room at " + at
	}
	if term, is := strings.CutPrefix(by, events.HoldReserve+"-"); is {
		if said, known := reserveWords[term]; known {
			return "the reserve at " + at + " keeps it free: " + said
		}
		return "the reserve at " + at + " keeps it free (" + term + ")"
	}
	if node == "" {
		return by
	}
	return by + " at " + at
}

// reserveWords say what the terms of a reserve are for.
var reserveWords = map[string]string{
	"floor":     "the least at any time",
	"envelope":  "the AI load may return to its recent peak",
	"unlearned": "the largest step of the AI load, until its envelope has seen a whole window",
	"rise":      "the AI load has been seen to rise so fast",
	"jobs":      "AI jobs may return to their peaks",
	"margin":    "the margin",
}

// believed says how far a quantity is believed.
func believed(b events.Belief) string {
	switch b {
	case events.BeliefFresh:
		return "fresh"
	case events.BeliefEnvelope:
		return "silent for two periods: its recent peak stands in"
	case events.BeliefStale:
		return "not believed: the nameplate stands in"
	case events.BeliefDead:
		return "dead: mining gets what is guaranteed to it only"
	}
	return string(b)
}

// metered says what meters showed of a reduction.
func metered(o events.MeteredOutcome) string {
	switch o {
	case events.OutcomeMet:
		return "metered in time"
	case events.OutcomeLate:
		return "metered late"
	case events.OutcomeUnmetered:
		return "acknowledged, and no mining meter sees it"
	case events.OutcomeShort:
		return "NOT metered"
	}
	return string(o)
}

// efficiency of a unit.
func efficiency(mj int64) string {
	if mj == 0 {
		return "efficiency unknown"
	}
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%03d", mj/1000, mj%1000), "0"), ".") + " J/TH"
}

// dollars per MWh.
func dollarsPerMWh(micro int64) string {
	sign := ""
	if micro < 0 {
		sign, micro = "-", -micro
	}
	return fmt.Sprintf("%s$%d.%02d/MWh", sign, micro/1_000_000, micro%1_000_000/10_000)
}
