// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// TestWhatMetersCanShow: --wait waits for the mining meters of the site only
// where the power in the signal is about all mining.
func TestWhatMetersCanShow(t *testing.T) {
	c := &events.SiteConfig{Programmes: []events.ProgrammeConfig{
		{Programme: "cap", Measures: events.MeasuresMining, LimitIs: events.LimitIsCap},
		{Programme: "shed", Measures: events.MeasuresMining, LimitIs: events.LimitIsShed},
		{Programme: "all", Measures: events.MeasuresTotal, LimitIs: events.LimitIsCap},
		{Programme: "here", Node: "ups-a", Measures: events.MeasuresMining, LimitIs: events.LimitIsCap},
	}}
	w := int64(1)
	for _, tc := range []struct {
		node, programme string
		kind            events.SignalKind
		want            bool
	}{
		{"", "", events.SignalCurtail, true}, {"site", "here", events.SignalCurtail, true}, {"", "cap", events.SignalCurtail, true},
		{"ups-a", "", events.SignalCurtail, false}, {"", "here", events.SignalCurtail, false}, {"", "shed", events.SignalCurtail, false},
		{"", "shed", events.SignalSetpoint, true}, {"", "all", events.SignalCurtail, false}, {"", "all", events.SignalEmergency, true},
	} {
		s := &events.GridSignal{Kind: tc.kind, Node: tc.node, Programme: tc.programme}
		if tc.kind != events.SignalEmergency {
			s.PowerWatts = &w
		}
		if got := limitsAllMining(c, s); got != tc.want {
			t.Errorf("%+v: %v", tc, got)
		}
	}
}
