// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

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
	publish(t, b, spent...)
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

// What can never be a fact of the contract must not stand in the way of those
// behind it.
func TestUnrelayableFactsHoldUpNothing(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	ctx := testContext(t)
	start(t, b, "host-a", toy("1.0"))
	signals(t, b, 0, 2)
	put := func(source string, h nats.Header, data []byte) {
		t.Helper()
		m := &nats.Msg{Subject: "ballast." + site + ".grid.signal." + source, Header: h, Data: data}
		if _, err := b.JetStream().PublishMsg(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	put("ERCOT", nil, []byte(`{"kind":"emergency"}`))
	put("huge", nil, make([]byte, b.Conn().MaxPayload()-64))
	put("grid", nats.Header{"Status": {"409"}, "Description": {"Consumer Deleted"}}, []byte(`{"kind":"emergency"}`))
	put("grid", nats.Header{"Status": {"404"}}, nil)
	put("grid", nats.Header{"Status": {"100"}, "Description": {"Idle Heartbeat"}}, nil)
	signals(t, b, 2, 2)
	last := fmt.Sprintf("%s/%d", events.StreamInputs, lastSequence(t, b, events.StreamInputs))
	until(t, "the signals behind are relayed", func() bool { return slices.Contains(relayedOrigins(t, b), last) })
}
