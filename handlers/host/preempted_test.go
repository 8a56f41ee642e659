// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// A worker's credential may write into JOURNAL. One that spends the ids of
// relayed copies and ticks in advance must not keep them out of the journal.
func TestIDsUsedByOthersKeepNothingOut(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	ctx := testContext(t)
	var spent []*events.Event
	spend := func(id string) {
		spent = append(spent, events.New(site, "meter", &events.MeterReading{
			PowerWatts: 1001, SampledAt: time.Now(), Quality: events.QualityGood,
		}).WithID(id))
	}
	for i := range 40 {
		spend(fmt.Sprintf("%s/%d", events.StreamInputs, i+1))
	}
	now := time.Now().Unix()
	for i := range int64(60) {
		spend(fmt.Sprintf("%s/tick/%d", site, now+i))
	}
	if err := b.Publish(ctx, spent...); err != nil {
		t.Fatal(err)
	}
	start(t, b, "host-a", toy("1.0"))
	signals(t, b, 0, 5)
	until(t, "signals are relayed", func() bool { return len(relayedOrigins(t, b)) >= len(relayable(t, b)) })
	if have, want := relayedOrigins(t, b), relayable(t, b); !slices.Equal(have, want) {
		t.Errorf("journal has copies of\n%v\nwanted\n%v", have, want)
	}
	until(t, "ticks are stored", func() bool {
		n := 0
		for _, err := range events.Read[events.ClockTick](ctx, b, events.AtSite(site)) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n >= 2
	})
}
