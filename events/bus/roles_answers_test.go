// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// The server does not check the subject on which a publisher wants its answer.
// So a worker can have "stored" answers appear where it likes; that must not
// reach further than garbage does.
func TestForgedReplySubjectDestroysNothing(t *testing.T) {
	ctx := testContext(t)
	b := secured(t)
	if _, err := b.OpenEpoch(ctx, "demo", "here", "test", 0); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := b.js.Publish(ctx, "ballast.demo.command.ramp.rig-17", []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	w := joined(t, b, matrixGrants['W'])
	streams := []string{events.StreamInputs, events.StreamJournal, events.StreamCommands, events.StreamShares, events.StreamRevenue, snapshotStream, sliceStream}
	verbs := []string{"PURGE", "DELETE", "UPDATE", "CREATE", "RESTORE", "SNAPSHOT", "MSG.DELETE"}
	const times = 10
	for range times {
		for _, s := range streams {
			for _, verb := range verbs {
				m := &nats.Msg{Subject: "ballast.demo.worker.status.rig-17", Reply: "$JS.API.STREAM." + verb + "." + s, Data: []byte("{}")}
				if err := w.nc.PublishMsg(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		m := &nats.Msg{Subject: "ballast.demo.share.found.rig-17", Reply: "ballast.demo.journal.opened.site", Data: []byte("{}")}
		if err := w.nc.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	// The last answer of a stream is behind all the forged ones.
	for _, subject := range []string{"ballast.demo.worker.status.rig-17", "ballast.demo.share.found.rig-17"} {
		if _, err := w.js.Publish(ctx, subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	// Forged requests to the stream API are worked off in the background:
	// they are done when the forged epochs, which came last, are stored.
	deadline := time.Now().Add(patience)
	for {
		s, err := b.js.Stream(ctx, events.StreamInputs)
		if err != nil {
			t.Fatal(err)
		}
		if s.CachedInfo().State.Msgs >= 11 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("INPUTS %+v", s.CachedInfo().State)
		}
	}
	if drift, err := b.CheckStreams(ctx); err != nil || len(drift) > 0 {
		t.Errorf("drift %v, %v", drift, err)
	}
	for stream, want := range map[string]uint64{events.StreamCommands: 5, events.StreamJournal: uint64(times*len(streams)*len(verbs) + 1), events.StreamShares: 11} {
		s, err := b.js.Stream(ctx, stream)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.CachedInfo().State; got.Msgs != want {
			t.Errorf("%s: %d messages, want %d", stream, got.Msgs, want)
		}
	}
	// Garbage where epochs live does not keep a journal from being opened.
	e, err := b.OpenEpoch(ctx, "demo", "here", "test", 0)
	if err != nil || e.Epoch != 2 {
		t.Errorf("epoch %d, %v; want 2", e.Epoch, err)
	}
}

// A viewer can have answers appear on live subjects of its own account only:
// nothing stored may be stored again, nor reach an agent.
func TestViewerCannotPublishThroughAnswers(t *testing.T) {
	ctx := testContext(t)
	b := secured(t)
	for _, s := range []string{"ballast.demo.grid.signal.ercot", "ballast.demo.revenue.settled.site", "ballast.demo.journal.grid.signal.ercot"} {
		if _, err := b.js.Publish(ctx, s, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	heard := make(chan *nats.Msg, 100)
	if _, err := b.nc.ChanSubscribe("ballast.>", heard); err != nil {
		t.Fatal(err)
	}
	if err := b.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	v := joined(t, b, matrixGrants['V'])
	aims := []string{"ballast.demo.grid.signal.ercot", "ballast.demo.revenue.settled.site", "ballast.demo.permit.renewed.rig-17", "$JS.API.STREAM.PURGE.COMMANDS"}
	for _, stream := range []string{events.StreamInputs, events.StreamRevenue, events.StreamJournal} {
		if _, err := v.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{Name: "x", AckPolicy: jetstream.AckNonePolicy}); err != nil {
			t.Fatal(err)
		}
		for i, aim := range aims {
			push := fmt.Sprintf(`{"stream_name":%q,"config":{"name":"push%d","deliver_subject":%q,"ack_policy":"none","inactive_threshold":60000000000}}`, stream, i, aim)
			for _, r := range []struct{ subject, body string }{
				{"$JS.ballast.API.DIRECT.GET." + stream, `{"seq":1}`},
				{"$JS.ballast.API.STREAM.MSG.GET." + stream, `{"seq":1}`},
				{"$JS.ballast.API.STREAM.INFO." + stream, ""},
				{"$JS.ballast.API.CONSUMER.MSG.NEXT." + stream + ".x", "1"},
				{fmt.Sprintf("$JS.ballast.API.CONSUMER.CREATE.%s.push%d", stream, i), push},
			} {
				if err := v.nc.PublishMsg(&nats.Msg{Subject: r.subject, Reply: aim, Data: []byte(r.body)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		// The consumer has handed out its messages when it has none left: the
		// forged requests are worked off.
		for {
			c, err := v.js.Consumer(ctx, stream, "x")
			if err != nil {
				t.Fatal(err)
			}
			if c.CachedInfo().NumPending == 0 {
				break
			}
		}
	}
	if drift, err := v.CheckStreams(ctx); err != nil || len(drift) > 0 {
		t.Errorf("drift %v, %v", drift, err)
	}
	if err := b.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-heard:
		t.Errorf("%s was published: %s", m.Subject, m.Data)
	default:
	}
	for _, stream := range []string{events.StreamInputs, events.StreamRevenue, events.StreamJournal} {
		s, err := b.js.Stream(ctx, stream)
		if err != nil || s.CachedInfo().State.LastSeq != 1 {
			t.Errorf("%s holds %d messages, want 1 (%v)", stream, s.CachedInfo().State.LastSeq, err)
		}
	}
}

// What the server answers to publishers is no event, whatever subject it is
// made to appear on.
func TestAnswersAreNoEvents(t *testing.T) {
	for _, info := range events.Types() {
		for _, answer := range []string{
			`{"stream":"JOURNAL","seq":7}`,
			`{"stream":"SHARES","seq":7,"duplicate":true}`,
			`{"stream":"SHARES","seq":7,"batch":"x","count":3}`,
			`{"error":{"code":400,"err_code":10201,"description":"x"},"stream":"COMMANDS","seq":0}`,
		} {
			if ev, err := events.Decode(events.Subject("ballast", "demo", info.Type, "x"), nil, []byte(answer)); err == nil {
				t.Errorf("%s reads %s as %+v", info.Type, answer, ev.Data)
			}
		}
	}
}
