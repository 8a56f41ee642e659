// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

func TestMoney(t *testing.T) {
	for _, tt := range []struct{ rate, watts, ms, want int64 }{
		{50_000_000, 3_500, 1_000, 48_611_111}, // 50 $/MWh, 3.5 kW, a second: 48.6 µ$
		{50_000_000, 1_000_000, 3_600_000, 50_000_000_000_000},
		{1, 1, 1, 0},
		{0, 1, 1, 0}, {-1, 1, 1, 0}, {1, -1, 1, 0}, {1, 1, -1, 0},
		{events.MaxInteger, maxWatts, 86_400_000, never},
		{math.MaxInt64, math.MaxInt64, math.MaxInt64, never},
		{3_600, maxWatts, 86_400_000, 86_400_000 * maxWatts / 1_000}, // beyond 64 bits on the way
	} {
		if got := money(tt.rate, tt.watts, tt.ms); got != tt.want {
			t.Errorf("%d µ$/MWh × %d W × %d ms: %d, want %d", tt.rate, tt.watts, tt.ms, got, tt.want)
		}
	}
}

// TestStartCost: wear by the nameplate and the energy of the boot, from sleep
// that of the shorter one; nothing overflows.
func TestStartCost(t *testing.T) {
	d := New(Config{})
	d.site.startWear, d.site.tariffPrice = 10_000_000, 36_000_000
	u := climbed(events.Capabilities{NameplateWatts: 1_000_000, MillijoulesPerTerahash: 17_500, BootMilliseconds: 100_000, Levels: []events.PowerLevel{
		{Name: "sleep", Watts: 10_000, BootMilliseconds: 10_000}, {Name: "full", Watts: 1_000_000, MillijoulesPerTerahash: 17_500}}})
	// 10 $ of wear, 1 MW × 100 s at 36 $/MWh is 1 $.
	if got := d.startCost(u); got != 11_000_000_000_000 {
		t.Errorf("from off: %d", got)
	}
	u.set = 10_000
	if got := d.startCost(u); got != 10_100_000_000_000 {
		t.Errorf("from sleep: %d", got)
	}
	if d.site.tariffPrice = -events.MaxInteger; d.startCost(u) != 10_000_000_000_000 {
		t.Errorf("energy that is paid for makes no start cheaper: %d", d.startCost(u))
	}
	d.site.startWear, d.site.tariffPrice = math.MaxInt64, events.MaxInteger
	if got := d.startCost(u); got != never {
		t.Errorf("at most: %d", got)
	}
}
