// SPDX-License-Identifier: Apache-2.0

package replica_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

func TestWhatIsRelayed(t *testing.T) {
	if got := replica.RelayedStreams(); !slices.Equal(got, []string{events.StreamInputs, events.StreamShares}) {
		t.Errorf("streams %v", got)
	}
	if types := replica.RelayedTypes(events.StreamInputs); !slices.Contains(types, events.TypeGridSignal) || slices.Contains(types, events.TypeMeterReading) {
		t.Errorf("types %v", types)
	}
}

func TestCopyOfAFact(t *testing.T) {
	arrived := time.Unix(1000, 5).UTC()
	fact := func(h nats.Header) *decider.Raw {
		return &decider.Raw{Subject: "ballast." + site + ".grid.signal.grid", Header: h, Data: []byte(`{"kind":"stop"}`), Sequence: 7, Arrived: arrived}
	}
	epoch := func() (uint64, error) { return 3, nil }
	c, err := replica.Copy(events.StreamInputs, fact(nats.Header{
		events.HeaderCEID: {"own"}, events.HeaderCETime: {"then"}, events.HeaderMsgID: {"own"}, "Nats-Expected-Stream": {"INPUTS"},
	}), epoch)
	if err != nil {
		t.Fatal(err)
	}
	if want := events.JournalSubject("ballast", site, events.TypeGridSignal, "grid"); c.Subject != want || string(c.Data) != `{"kind":"stop"}` {
		t.Errorf("copy on %s: %s", c.Subject, c.Data)
	}
	for k, want := range map[string]string{
		events.HeaderCEID: "own", events.HeaderCETime: "then", events.HeaderMsgID: "INPUTS/7", events.HeaderOrigin: "INPUTS/7",
		events.HeaderOriginTime: arrived.Format(time.RFC3339Nano), "Nats-Expected-Stream": "",
	} {
		if got := c.Header.Get(k); got != want {
			t.Errorf("%s: %q, want %q", k, got, want)
		}
	}
	for name, v := range map[string]struct {
		h    nats.Header
		want string
	}{
		"the id of its message": {nats.Header{events.HeaderMsgID: {"message"}}, "message"},
		"no id at all":          {nil, events.DefaultID(events.StreamInputs, 3, 7)},
	} {
		if c, err := replica.Copy(events.StreamInputs, fact(v.h), epoch); err != nil || c.Header.Get(events.HeaderCEID) != v.want {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
	broken := errors.New("broken")
	if _, err := replica.Copy(events.StreamInputs, fact(nil), func() (uint64, error) { return 0, broken }); !errors.Is(err, broken) {
		t.Errorf("the reason is lost: %v", err)
	}
	if _, err := replica.Copy(events.StreamInputs, &decider.Raw{Subject: "nonsense"}, epoch); err == nil {
		t.Error("nonsense is relayed")
	}
	for origin, want := range map[string]uint64{"INPUTS/7": 7, "INPUTS/x": 0, "INPUTS/": 0, "INPUTSX/7": 0, "SHARES/7": 0, "": 0} {
		if n, ok := replica.OriginOf(nats.Header{events.HeaderOrigin: {origin}}, events.StreamInputs); n != want || ok != (want > 0) {
			t.Errorf("origin %q: %d, %t", origin, n, ok)
		}
	}
}

func TestOpeningOf(t *testing.T) {
	m, err := events.Encode(events.DefaultPrefix, events.New(site, events.SiteSource,
		&events.JournalOpened{Epoch: 4, LastSequence: 90, OpenedBy: "host-a", Reason: "a test"}).At(time.Unix(1000, 0)).WithID("epoch"))
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := replica.OpeningOf(&decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data}); !ok || o != (decider.Opening{Epoch: 4, After: 90}) {
		t.Errorf("%+v, %t", o, ok)
	}
	for name, r := range map[string]*decider.Raw{
		"another fact": {Subject: "ballast." + site + ".grid.signal.grid", Header: m.Header, Data: m.Data},
		"damaged":      {Subject: m.Subject, Header: m.Header, Data: m.Data[:9]},
		"nonsense":     {Subject: "nonsense"},
	} {
		if o, ok := replica.OpeningOf(r); ok {
			t.Errorf("%s: %+v", name, o)
		}
	}
}

func TestWhatIsStoredUnderAKnownID(t *testing.T) {
	m := &nats.Msg{Subject: "a"}
	if !replica.StoredAlready(&decider.Raw{Subject: "a"}, m) || replica.StoredAlready(&decider.Raw{Subject: "b"}, m) || replica.StoredAlready(nil, m) {
		t.Error("somebody else's message passes for ours, or ours for somebody else's")
	}
	for name, c := range map[string]struct {
		newest uint64
		data   string
		want   bool
	}{
		"it is the newest":                       {5, `{"second":100}`, false},
		"later seconds follow":                   {6, `{"second":101}`, false},
		"the same second follows":                {6, `{"second":100}`, false},
		"an earlier one follows: clock set back": {6, `{"second":40}`, true},
		"what follows is no tick":                {6, `nonsense`, false},
	} {
		if got := replica.TickComesAgain(5, &decider.Raw{Sequence: c.newest, Data: []byte(c.data)}, 100); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
