// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func TestImpossibleDatesRaiseNothing(t *testing.T) {
	arrived := time.Date(2026, 3, 2, 18, 0, 0, 0, time.UTC)
	old := time.Unix(0, 0)
	watts := int64(0)
	signal := func(k events.SignalKind, supersedes string) *events.GridSignal {
		return &events.GridSignal{Kind: k, PowerWatts: &watts, Supersedes: supersedes}
	}
	for _, c := range []struct {
		name    string
		data    events.Payload
		dated   time.Time
		origin  time.Time
		refused bool
	}{
		{"undated", new(events.MeterReading), time.Time{}, time.Time{}, false},
		{"in time", new(events.MeterReading), arrived.Add(-59 * time.Minute), time.Time{}, false},
		{"reading too old", new(events.MeterReading), old, time.Time{}, true},
		{"reading of the future", new(events.MeterReading), arrived.Add(61 * time.Minute), time.Time{}, true},
		{"status", new(events.WorkerStatus), old, time.Time{}, true},
		{"configuration", new(events.SiteConfig), old, time.Time{}, true},
		{"activation", new(events.DeciderActivated), old, time.Time{}, true},
		{"quote", new(events.MarketQuote), old, time.Time{}, true},
		{"relayed late", new(events.SiteConfig), arrived.Add(-48 * time.Hour), arrived.Add(-48 * time.Hour), false},
		{"relayed late, and too old then", new(events.SiteConfig), old, arrived.Add(-48 * time.Hour), true},
		{"restore", signal(events.SignalRestore, ""), old, time.Time{}, true},
		{"price", signal(events.SignalPrice, ""), old, time.Time{}, true},
		{"a softer signal in place of another", signal(events.SignalCurtail, "hold"), old, time.Time{}, true},
		{"curtail", signal(events.SignalCurtail, ""), old, time.Time{}, false},
		{"emergency", signal(events.SignalEmergency, "hold"), old, time.Time{}, false},
		{"stop", signal(events.SignalStop, ""), old, time.Time{}, false},
		{"epoch", new(events.JournalOpened), old, time.Time{}, false},
		{"verdict", new(events.ShareAccepted), old, time.Time{}, false},
	} {
		e := events.New("tx1", "x", c.data).At(c.dated)
		e.Arrived, e.OriginArrived = arrived, c.origin
		if err := CheckDate(e); (err != nil) != c.refused {
			t.Errorf("%s: %v, want refused %v", c.name, err, c.refused)
		}
	}
}
