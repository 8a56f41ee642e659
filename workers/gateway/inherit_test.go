// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"slices"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// alertsUp are those of the gateway that the stream says are up.
func alertsUp(t *testing.T, b Bus) (up []string) {
	t.Helper()
	for e, err := range b.Events(context.Background(), events.ReadRequest{
		Stream: events.StreamCommands, Types: []events.Type{events.TypeAlertRaised, events.TypeAlertCleared}, Site: "demo", Source: "gw-1",
	}) {
		if err != nil {
			t.Fatal(err)
		}
		id := alertOf(e)
		if e.Type == events.TypeAlertRaised {
			up = append(up, id)
		} else {
			up = slices.DeleteFunc(up, func(have string) bool { return have == id })
		}
	}
	slices.Sort(up)
	return up
}

// An alert that was up when the gateway ended, or was killed, does not stay for
// ever.
func TestAlertsOfEarlierStartsAreCleared(t *testing.T) {
	k := newDesk(t)
	start := func() *alarms {
		g := &Gateway{cfg: k.g.cfg, bus: k.b.Bus, log: k.g.log, instance: k.g.instance + string(rune('a'+len(alertsUp(t, k.b.Bus))))}
		return newAlarms(g)
	}
	raise := func(a *alarms, kind, part string) {
		a.raise(kind, part, events.SeverityWarning, "it is so", "wait")
	}
	first := start()
	raise(first, alarmUpstream, "")
	raise(first, alarmSpace, "downstream")
	raise(first, alarmClock, "")
	raise(first, alarmUnknownBlock, "00aa")
	first.clear(alarmClock, "", "it is over")
	first.close()
	if up := alertsUp(t, k.b.Bus); len(up) != 3 {
		t.Fatalf("up are %q", up)
	}
	second := start()
	raise(second, alarmUpstream, "") // still so, and said before what was is read
	second.inherit(context.Background())
	second.inherit(context.Background()) // what has been cleared is so once
	raise(second, alarmReward, "")
	second.close()
	want := []string{alarmUnknownBlock + "/gw-1/00aa", alarmReward + "/gw-1", alarmUpstream + "/gw-1", alarmUpstream + "/gw-1"}
	if up := alertsUp(t, k.b.Bus); !slices.Equal(up, want) {
		t.Errorf("up are %q, want %q", up, want)
	}
	third := start()
	third.inherit(context.Background())
	third.clear(alarmUnknownBlock, "00aa", "the block is on the best chain")
	third.close()
	if up := alertsUp(t, k.b.Bus); len(up) != 0 {
		t.Errorf("up are %q", up)
	}
}
