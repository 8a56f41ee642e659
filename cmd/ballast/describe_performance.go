// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// describePerformance says in one line how a grid event went.
func describePerformance(d *events.ProgrammePerformed) string {
	s := fmt.Sprintf("%s %s: %s", d.Kind, d.SignalID, d.Outcome)
	if d.Programme != "" {
		s += " under " + d.Programme
	}
	s += fmt.Sprintf(", %s at or below %s", d.Measures, watts(d.LimitWatts))
	if d.ResponseMilliseconds != nil {
		s += fmt.Sprintf(" after %s", time.Duration(*d.ResponseMilliseconds)*time.Millisecond)
	}
	if d.RequestedReductionWatts != nil && d.AchievedReductionWatts != nil {
		s += fmt.Sprintf(", reduced by %s of %s", watts(*d.AchievedReductionWatts), watts(*d.RequestedReductionWatts))
	}
	if d.ShortfallMilliwattHours > 0 {
		s += ", short by " + wattHours(d.ShortfallMilliwattHours)
	}
	if d.Test {
		s += " (test)"
	}
	if !d.Final {
		s += " (preliminary)"
	}
	return s
}
