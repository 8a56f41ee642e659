// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

const obstinate = `
seed 1
run until 6m
host host-a
config limit 500 kW, contracted 500 kW, ai nameplate 200 kW, reserve 20 kW, lease 12s, dead 30s
config ramp 100 kW/s, burst 200 kW
config outlet out-1 by pdu-1 feeds rig-1 unit rig-1-1
config meter ai-a measures ai
config meter mine-a measures mining
worker rig-1 has 1 units of 30 kW at 20 J/TH, min 30 kW, falls 2s, meter mine-a
worker rig-2 has 2 units of 10 kW at 25 J/TH, min 10 kW, falls 2s, meter mine-a
at 0s ai load 100 kW
at 1m30s signal emergency for 1m30s from grid id s1
at 3m10s operator switches outlet out-1 on
from 1m20s to 3m rig-1-1 ignores its orders
`

// TestOutletsInAStory: a unit that does not follow loses its power where the
// controller of its outlet does what it is told, and people are called where it
// does not. When an operator asks for the outlet the unit comes back.
func TestOutletsInAStory(t *testing.T) {
	for _, c := range []struct {
		name, fault string
		effect      Effect
		dark, paged bool
	}{
		{"the controller obeys", "", OutletsCut, true, false},
		{"the controller fails", "from 1m20s to 3m pdu-1 cannot switch", OutletsFailed, false, true},
		{"the controller switches nothing", "from 1m20s to 3m pdu-1 switches nothing and says it does", OutletsIdle, false, true},
		{"the controller hears nothing", "from 1m20s to 3m pdu-1 loses 100% of its messages", MessagesLost, false, true},
		{"the controller is cut off", "from 1m20s to 3m pdu-1 is cut off", ControllerPartitioned, false, true},
		{"the controller loses its first commands", "from 1m20s to 1m50s pdu-1 is cut off", OutletsCut, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Read(strings.NewReader(obstinate+c.fault), "x")
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(s, rig{}, nil)
			u := w.unit("rig-1-1")
			dark := false
			w.at(2*time.Minute+50*time.Second, func() {
				if dark = u.dark; dark && u.draw != 0 {
					t.Errorf("without power the unit draws %d W", u.draw)
				}
			})
			w.run()
			if w.violation != nil {
				t.Fatal(w.violation)
			}
			paged := false
			for _, m := range w.bus.streams[events.StreamCommands].msgs {
				if e, err := events.Decode(m.Subject, m.Header, m.Data); err != nil {
					t.Fatal(err)
				} else if a, ok := e.Data.(*events.AlertRaised); ok && a.Alert == pageAlert+"rig-1/rig-1-1" {
					paged = true
				}
			}
			if dark != c.dark || paged != c.paged || w.effects[c.effect] == 0 {
				t.Errorf("without power: %t, want %t; people called: %t, want %t; %v", dark, c.dark, paged, c.paged, w.effects)
			}
			if u.dark || u.draw == 0 {
				t.Errorf("in the end the unit draws %d W, its outlet is off: %t", u.draw, u.dark)
			}
		})
	}
}
