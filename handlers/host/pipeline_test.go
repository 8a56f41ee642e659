// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// While COMMANDS takes nothing, ramps wait and reductions are on the wire all
// the same; once it is back, everything is stored as if nothing had happened.
func TestReductionsPassWhatWaits(t *testing.T) {
	b := openBus(t, t.TempDir(), 2*time.Minute)
	h := start(t, b, "host-a", toy("1.0"))
	until(t, "it speaks", func() bool { return h.Standings()[0].Speaks })
	readings(t, b, 1001, 50)
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	heard := make(chan *nats.Msg, 64)
	sub, err := b.Conn().ChanSubscribe(events.Subject(b.Prefix(), site, events.TypeCommandCurtail, "agent"), heard)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	cfg := b.JetStream()
	s, err := cfg.Stream(testContext(t), events.StreamCommands)
	if err != nil {
		t.Fatal(err)
	}
	kept := s.CachedInfo().Config
	// Without subjects the stream takes nothing and loses nothing.
	shut := kept
	shut.Subjects, shut.RePublish = []string{"shut.away"}, nil
	if _, err := cfg.UpdateStream(testContext(t), shut); err != nil {
		t.Fatal(err)
	}
	readings(t, b, 1002, 200) // 100 ramps: more than may be under way
	before := lastSequence(t, b, events.StreamJournal)
	until(t, "the ramps are folded", func() bool { return h.Standings()[0].Sequence >= before })
	if st := h.Standings()[0]; st.Confirmed >= before {
		t.Fatalf("confirmed up to %d with COMMANDS shut", st.Confirmed)
	}
	readings(t, b, 500, 1) // a reduction
	select {
	case <-heard:
	case <-time.After(patience):
		t.Fatal("the reduction is not on the wire")
	}
	if _, err := cfg.UpdateStream(testContext(t), kept); err != nil {
		t.Fatal(err)
	}
	settled(t, h, lastSequence(t, b, events.StreamJournal))
	h.kill()
	want := undisturbed(t, b, "1.0")
	have := storedOutputs(t, b, events.StreamCommands)
	index := map[string]output{}
	for _, o := range have {
		if _, twice := index[o.id]; twice {
			t.Errorf("%s is stored twice", o.id)
		}
		index[o.id] = o
	}
	if len(have) != len(want[events.StreamCommands]) {
		t.Errorf("%d stored, %d wanted", len(have), len(want[events.StreamCommands]))
	}
	for _, w := range want[events.StreamCommands] {
		if index[w.id] != w {
			t.Errorf("stored %+v, wanted %+v", index[w.id], w)
		}
	}
}
