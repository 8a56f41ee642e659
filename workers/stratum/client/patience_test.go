// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/stratum"
)

// TestMuchTalkIsNotPassedOn: a pool can send a text, or a job with a time that
// is off, as often as it likes. Neither fills the log or the bus.
func TestMuchTalkIsNotPassedOn(t *testing.T) {
	var log lockedBuffer
	s, _ := bare(t, &torn{})
	s.c.log = slog.New(slog.NewTextHandler(&log, nil))
	sink := s.sink.(*recorder)
	now := time.Now()
	say := func(line string) {
		t.Helper()
		var m stratum.Message
		if err := stratum.ParseMessage([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		s.handle(&m, now)
	}
	jobs := 0
	for n := range 2000 {
		say(`{"id":null,"method":"client.show_message","params":["buy our hats"]}`)
		for _, at := range []time.Time{now, now.Add(2 * time.Hour)} {
			line := strings.Replace(workText, "@id", fmt.Sprint(n, at.Unix()), 1)
			say(strings.Replace(line, "@ntime", job.WordText(uint32(at.Unix())), 1))
			jobs++
		}
		for len(sink.jobs) > 0 {
			<-sink.jobs
		}
		for len(sink.heard) > 0 {
			if strings.HasPrefix(<-sink.heard, "trouble") {
				jobs += 1 << 20
			}
		}
	}
	if told := jobs >> 20; told < 1 || told > 100 {
		t.Errorf("trouble %d times", told)
	}
	if n := strings.Count(log.String(), "\n"); n < 2 || n > 200 {
		t.Errorf("%d lines of log", n)
	}
	if s.ended {
		t.Errorf("the session ends: %v", s.cause)
	}
}

// TestAnOrderToReconnectWaits as long as it says; work goes on meanwhile.
func TestAnOrderToReconnectWaits(t *testing.T) {
	s, j := bare(t, &torn{})
	at := time.Unix(1_800_000_000, 0)
	s.open(at)
	s.subscribed, s.subscribedAt, s.lastNotify = true, at, at
	if err := s.reconnect([]byte(`["127.0.0.1",3333,60]`), at); err != nil {
		t.Fatal(err)
	}
	y := newTally()
	s.tick(at.Add(59 * time.Second))
	if s.ended {
		t.Fatalf("gone too soon: %v", s.cause)
	}
	s.submit(share(j, 1, j.Version), y.done(1))
	if len(y.got) != 0 {
		t.Errorf("%+v", y.got)
	}
	s.tick(at.Add(60 * time.Second))
	if !s.ended || s.outcome.redirect == nil || s.outcome.redirect.port != "3333" {
		t.Errorf("stays: %v, %+v", s.cause, s.outcome)
	}
	// However long it asks for.
	s, _ = bare(t, &torn{})
	if err := s.reconnect([]byte(`[null,null,99999999999]`), at); err != nil || s.redirectAt.After(at.Add(longestWait)) {
		t.Errorf("%v, goes at %s", err, s.redirectAt)
	}
}

// TestLongSessionsAreNoFailures: only short ones lead to the next URL.
func TestLongSessionsAreNoFailures(t *testing.T) {
	one, two := newPool(t), newPool(t)
	timing := quick
	timing.Settled = 1 // any session is long
	_, sink := running(t, Config{Pool: "test", URLs: []string{one.url(), two.url()}, Timing: timing})
	for range 3 * failuresPerEndpoint {
		one.greet()
		sink.expect(t, "opened", "")
		one.hangUp()
		sink.expect(t, "closed", "")
	}
	one.greet()
	two.quiet()
}

// TestAPoolThatDoesNotShakeHands: whatever is at the other end says nothing.
func TestAPoolThatDoesNotShakeHands(t *testing.T) {
	p := newPool(t)
	timing := quick
	timing.Connect = 20 * time.Millisecond
	_, sink := running(t, Config{Pool: "test", URLs: []string{strings.Replace(p.url(), "+tcp", "+ssl", 1)}, Timing: timing})
	for range 2 {
		sink.expect(t, "TLS: context deadline exceeded", "trouble") // a slow machine may not even connect
	}
}
