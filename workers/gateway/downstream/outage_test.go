// SPDX-License-Identifier: Apache-2.0

package downstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/stratum/server"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// flakyPool opens and loses sessions as it is told.
type flakyPool struct {
	pool
	open, lose, again chan struct{}
}

func (p *flakyPool) Run(ctx context.Context, sink upstream.Sink) error {
	for _, step := range []struct {
		when chan struct{}
		what func()
	}{
		{p.open, func() { serve(sink, "s1", []byte{1, 2, 3, 4}) }},
		{p.lose, func() { sink.Closed("s1", errors.New("the line was cut")) }},
		{p.again, func() { serve(sink, "s2", []byte{5, 6, 7, 8}) }},
	} {
		select {
		case <-step.when:
			step.what()
		case <-ctx.Done():
			return nil
		}
	}
	<-ctx.Done()
	sink.Closed("s2", nil)
	return nil
}

// TestMinersOutliveALossOfTheUpstream: one that comes before there is a session
// waits; when the session is lost it goes on with its work, whose shares are
// told the truth, and it keeps its connection into the next session.
func TestMinersOutliveALossOfTheUpstream(t *testing.T) {
	p := &flakyPool{open: make(chan struct{}), lose: make(chan struct{}), again: make(chan struct{})}
	ctx, b, srv, _ := stack(t, p, "0.0000001", "0.000001")
	until := func(what string, ok func(server.Stats) bool) {
		t.Helper()
		again := time.NewTicker(time.Millisecond)
		defer again.Stop()
		for !ok(srv.Stats()) {
			select {
			case <-again.C:
			case <-ctx.Done():
				t.Fatalf("never: %s", what)
			}
		}
	}
	m := dial(t, srv)
	m.ask("mining.extranonce.subscribe")
	go func() {
		until("the miner waits", func(s server.Stats) bool { return s.Waiting == 1 })
		p.open <- struct{}{}
	}()
	m.subscribe()
	m.ask("mining.authorize", "acct.r", "x")
	for m.notify == nil {
		m.next()
	}
	var taken, stale int
	mine := func(shares byte) {
		t.Helper()
		for x := range shares {
			en2, ntime, nonce := m.solve(x)
			v := m.ask("mining.submit", "acct.r", m.notify[0], en2, ntime, nonce)
			switch {
			case string(v.Result) == "true":
				taken++
			case v.Error.([]any)[0].(interface{ String() string }).String() == "21":
				stale++
			default:
				t.Fatalf("%s %v", v.Result, v.Error)
			}
		}
	}
	mine(2)
	if taken != 2 {
		t.Fatalf("%d taken", taken)
	}
	p.lose <- struct{}{}
	until("the session is lost", func(s server.Stats) bool { return s.Stranded == 1 })
	for x := byte(10); stale == 0 || taken == 2; x++ {
		// One in some is worth sending, and cannot be.
		en2, ntime, nonce := m.solve(x)
		if v := m.ask("mining.submit", "acct.r", m.notify[0], en2, ntime, nonce); string(v.Result) == "true" {
			taken++
		} else {
			stale++
		}
	}
	m.notify = nil
	p.again <- struct{}{}
	for m.notify == nil {
		m.next()
	}
	if m.en1[:8] != "05060708" {
		t.Fatalf("extranonce1 %s", m.en1)
	}
	before := taken
	mine(5)
	if taken != before+5 {
		t.Fatalf("%d of 5 taken", taken-before)
	}
	until("it is connected", func(s server.Stats) bool { return s.Connections == 1 && s.Stranded == 0 })
	var found, accepted, rejected int
	for found == 0 || accepted+rejected < found {
		found, accepted, rejected = 0, 0, 0
		for e, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamShares, Site: "demo"}) {
			if err != nil {
				t.Fatal(err)
			}
			switch s := e.Data.(type) {
			case *events.ShareFound:
				found++
			case *events.ShareAccepted:
				accepted++
			case *events.ShareRejected:
				rejected++
				if s.Reason != events.RejectStale {
					t.Errorf("%+v", s)
				}
			}
		}
		if ctx.Err() != nil {
			t.Fatal("not all shares have verdicts")
		}
	}
	if found != taken+stale || rejected != stale || accepted != taken {
		t.Errorf("%d found, %d accepted of %d, %d rejected of %d", found, accepted, taken, rejected, stale)
	}
}
