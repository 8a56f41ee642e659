// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// board is a bus that takes alerts, or does not.
type board struct {
	Bus
	mu   sync.Mutex
	down bool
	got  []*events.Event
	news sync.Cond
}

func newBoard() *board {
	b := &board{}
	b.news.L = &b.mu
	return b
}

func (b *board) Publish(_ context.Context, evs ...*events.Event) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errors.New("nobody answers")
	}
	b.got = append(b.got, evs...)
	b.news.Broadcast()
	return nil
}

func (b *board) turn(down bool) {
	b.mu.Lock()
	b.down = down
	b.mu.Unlock()
}

// await waits until the newest event is as wanted, and returns all.
func (b *board) await(t *testing.T, ok func([]*events.Event) bool) []*events.Event {
	t.Helper()
	late := time.AfterFunc(time.Minute, func() {
		b.mu.Lock()
		b.got = nil
		b.news.Broadcast()
		b.mu.Unlock()
		t.Error("waited in vain")
	})
	defer late.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for !ok(b.got) && late.Stop() {
		late.Reset(time.Minute)
		b.news.Wait()
	}
	return append([]*events.Event(nil), b.got...)
}

// alarmed makes alarms of a gateway that does nothing else.
func alarmed(b *board, pause time.Duration) *alarms {
	g := &Gateway{cfg: Config{Site: "demo", Gateway: "gw-1", DrainTime: time.Second}, bus: b, log: slog.New(slog.DiscardHandler), instance: "i"}
	a := newAlarms(g)
	a.pause = pause
	return a
}

func raisedNow(a *alarms, n int) {
	a.raise(alarmJob, "", events.SeverityWarning, fmt.Sprint("bad job ", n), "wait")
}

func isRaised(e *events.Event) bool { return e.Type == events.TypeAlertRaised }

func TestAnAlertThatComesAndGoesIsToldOncePerPause(t *testing.T) {
	for _, endsUp := range []bool{true, false} {
		b := newBoard()
		a := alarmed(b, time.Hour)
		for n := range 10_000 {
			raisedNow(a, n)
			a.clear(alarmJob, "", "good again")
		}
		if endsUp {
			raisedNow(a, 10_000)
		}
		a.close()
		if n := len(b.got); n > 4 {
			t.Fatalf("%d events", n)
		}
		last := b.got[len(b.got)-1]
		if isRaised(last) != endsUp {
			t.Fatalf("it ends up %v, and the bus says %s", endsUp, last.Type)
		}
		if endsUp {
			if text := last.Data.(*events.AlertRaised).Message; text != "bad job 10000 (raised 9999 times more since it was last said)" {
				t.Error(text)
			}
		}
		seen := map[string]bool{}
		for i, e := range b.got {
			if seen[e.ID] || isRaised(e) != (i%2 == 0) {
				t.Errorf("event %d: %s", i, e.ID)
			}
			seen[e.ID] = true
		}
	}
}

func TestWhatIsTrueIsToldWhenThePauseIsOver(t *testing.T) {
	b := newBoard()
	a := alarmed(b, 50*time.Millisecond)
	defer a.close()
	for n := range 10_000 {
		raisedNow(a, n)
		a.clear(alarmJob, "", "good again")
	}
	raisedNow(a, 10_000)
	b.await(t, func(got []*events.Event) bool {
		// How often it was raised since it was last said depends on where the pauses end.
		return len(got) > 0 && isRaised(got[len(got)-1]) && strings.HasPrefix(got[len(got)-1].Data.(*events.AlertRaised).Message, "bad job 10000")
	})
	a.clear(alarmJob, "", "good for long")
	b.await(t, func(got []*events.Event) bool {
		return len(got) > 0 && !isRaised(got[len(got)-1]) && strings.HasPrefix(got[len(got)-1].Data.(*events.AlertCleared).Message, "good for long")
	})
}

func TestAlertsWaitForTheBusBounded(t *testing.T) {
	b := newBoard()
	b.turn(true)
	a := alarmed(b, 0) // every change is told
	for n := range 10_000 {
		raisedNow(a, n)
		a.raise(alarmSpace, "agents", events.SeverityWarning, "no space", "more")
		a.clear(alarmJob, "", "good again")
		a.mu.Lock()
		if len(a.waiting) > 4 {
			t.Fatalf("%d wait", len(a.waiting))
		}
		a.mu.Unlock()
	}
	raisedNow(a, 10_000)
	b.turn(false)
	got := b.await(t, func(got []*events.Event) bool {
		state := map[string]bool{}
		for _, e := range got {
			state[alertOf(e)] = isRaised(e)
		}
		return state["upstream-job/gw-1"] && state["search-space/gw-1/agents"]
	})
	if len(got) > 6 {
		t.Errorf("%d events", len(got))
	}
	a.close()
}

func TestTheGatewayEndsWithoutABus(t *testing.T) {
	b := newBoard()
	b.turn(true)
	a := alarmed(b, time.Hour)
	raisedNow(a, 1)
	a.clear(alarmJob, "", "good again")
	raisedNow(a, 2)
	a.close() // returns
	raisedNow(a, 3)
	a.clear(alarmJob, "", "good again")
	if len(b.got) != 0 || len(a.waiting) != 0 {
		t.Errorf("%d told, %d wait", len(b.got), len(a.waiting))
	}
}

func TestMessagesOfAlertsFit(t *testing.T) {
	long := strings.Repeat("é", 5*events.MaxText)
	for _, n := range []int{0, 1, 1 << 62} {
		e := events.AlertRaised{Alert: "a/b", Severity: events.SeverityWarning, Message: often(long, n, "raised"), Remedy: "r"}
		if err := e.Validate(); err != nil {
			t.Errorf("%d: %v", n, err)
		}
	}
	b := newBoard()
	a := alarmed(b, 0)
	a.raise(alarmJob, "", "no severity", "bad", "wait") // cannot be told, and holds nothing up
	a.raise(alarmSpace, "", events.SeverityWarning, long, long)
	a.close()
	if len(b.got) != 1 || alertOf(b.got[0]) != "search-space/gw-1" {
		t.Errorf("%d events", len(b.got))
	}
}
