// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/siteview"
	"github.com/ballast-energy/ballast/events"
)

// What was forgone stands on lines of its own, per basis, where there is any to
// speak of.
func TestSummarySaysWhatWasForgone(t *testing.T) {
	var out bytes.Buffer
	printSummary(&printer{w: &out}, siteview.Picture{Site: "demo", Forgone: map[events.Basis]siteview.Forgone{
		events.BasisLive:     {MilliwattHours: 6_231_000, Millisats: 1_085_880, Microusd: 977_291, NetMicrousd: 728_047},
		events.BasisPractice: {MilliwattHours: 99, Millisats: 1},
	}}, &demo{config: &events.SiteConfig{LimitWatts: 1_000_000}}, time.Minute)
	const want = "  forgone     6.231 kWh not used, worth 1,085.880 sat = $0.977291, $0.728047 net of the energy's cost  (live, settled intervals)\n"
	if text := out.String(); !strings.Contains(text, want) || strings.Count(text, "forgone") != 1 {
		t.Errorf("%s\nwant the line\n%s", text, want)
	}
}
