// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
)

func onOff(off bool) string {
	if off {
		return "off"
	}
	return "on"
}

// describeMetered says what meters showed of a reduction.
func describeMetered(m *events.CurtailmentMetered) string {
	s := fmt.Sprintf("%s of %s by %s", watts(m.AchievedWatts), watts(m.AskedWatts), figures.Count(m.Units, "unit"))
	if m.ResponseMilliseconds != nil {
		s += fmt.Sprintf(" after %s", time.Duration(*m.ResponseMilliseconds)*time.Millisecond)
	}
	s += fmt.Sprintf(" (%s) because %s", m.Outcome, m.Reason)
	if m.ShortfallWatts > 0 {
		s += fmt.Sprintf("; %s missing", watts(m.ShortfallWatts))
	}
	return s
}

// describeEscalated says which step was taken against a unit.
func describeEscalated(u *events.UnitEscalated) string {
	what := map[events.Rung]string{
		events.RungRetry: "told again", events.RungShed: "others make room for it", events.RungOutlet: "outlet off",
		events.RungPage: "people must act", events.RungFollowed: "follows again",
	}[u.Rung]
	s := fmt.Sprintf("%s/%s at %s: %s", u.Agent, u.Unit, u.Node, what)
	if u.Rung != events.RungFollowed {
		s += fmt.Sprintf("; %s above %s", watts(u.ExcessWatts), watts(u.AllowedWatts))
	}
	if u.Outlet != "" && u.Rung != events.RungFollowed {
		s += " behind outlet " + u.Outlet
	}
	return s
}
