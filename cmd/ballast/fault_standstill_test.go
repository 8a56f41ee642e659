// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// A fault test makes seconds of what takes minutes at a site: leases, and the
// window in which the bus remembers ids. A machine that stands still for a moment
// does then what one does at a site that stands still for minutes. The tests judge
// that by what was recorded of it, and say so; without such a record a late tick,
// a lost permit or a second copy is a fault.

// span of time.
type span struct{ from, to time.Time }

// spans do not overlap and are in order.
type spans []span

// add takes a span that ends after all before it.
func (l *spans) add(s span) {
	for n := len(*l); n > 0 && !(*l)[n-1].to.Before(s.from); n-- {
		if first := (*l)[n-1].from; first.Before(s.from) {
			s.from = first
		}
		*l = (*l)[:n-1]
	}
	*l = append(*l, s)
}

// within is how much of the time between two instants the spans cover.
func (l spans) within(from, to time.Time) (sum time.Duration) {
	for _, s := range l {
		if s.from.Before(from) {
			s.from = from
		}
		if s.to.After(to) {
			s.to = to
		}
		sum += max(0, s.to.Sub(s.from))
	}
	return sum
}

// stall is what counts as standing still: far more than a message takes on a busy
// machine.
const stall = time.Second

// standstills are the spans of at least a stall in which no reading of the test's
// AI meter reached the journal, or one was on its way: the meter does not pause,
// and nothing lies between it and the journal but the machine and the bus.
func (s *faultSite) standstills(from, to time.Time) spans {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	r := events.ReadRequest{Stream: events.StreamJournal, Site: faultSiteID, Source: "ai-feeder", Types: []events.Type{events.TypeMeterReading}, Since: from, Until: to}
	var out spans
	var before time.Time
	for e, err := range s.b.Events(ctx, r) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue // garbage, where a test sends some
		}
		if err != nil {
			s.t.Fatal(err)
		}
		if !before.IsZero() && e.Arrived.Sub(before) >= stall {
			out.add(span{before, e.Arrived})
		}
		before = e.Arrived
		// What is dated impossibly is garbage, too.
		if at := e.Data.(*events.MeterReading).SampledAt; e.Arrived.Sub(at) >= stall && e.Arrived.Sub(at) < patience {
			out.add(span{at, e.Arrived})
		}
	}
	return out
}

// probe stores an event in COMMANDS twice a second and records how long the bus
// took for it wherever that was a stall: that stream is synced, and may stand still
// while the journal goes on.
func (s *faultSite) probe(ctx context.Context) {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(500 * time.Millisecond):
		}
		began := time.Now()
		e := events.New(faultSiteID, "probe", &events.AlertCleared{Alert: "probe", Message: "the bus answers"}).At(began.UTC()).WithID(fmt.Sprintf("%s/probe/%d", faultSiteID, n))
		m, err := events.Encode(s.b.Prefix(), e)
		if err == nil {
			_, err = s.b.JetStream().PublishMsg(ctx, m)
		}
		if err != nil && ctx.Err() == nil {
			s.t.Logf("probe: %v", err)
		}
		if ended := time.Now(); ended.Sub(began) >= stall {
			s.t.Logf("COMMANDS stood still for %v at %s", ended.Sub(began), began.Format(time.RFC3339Nano))
			s.mu.Lock()
			s.probed.add(span{began, ended})
			s.mu.Unlock()
		}
	}
}

// stood is for how long between two instants nothing could arrive, in the journal
// or, where a probe runs, in COMMANDS.
func (s *faultSite) stood(journal spans, from, to time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(journal.within(from, to), s.probed.within(from, to))
}

// ownClock records when the process of the test stood still or was late: what
// machines in it do late is then nobody else's fault.
type ownClock struct {
	mu   sync.Mutex
	late spans
	beat time.Time
}

// beatEvery is how often the clock looks, and lateBy how late it must be to count.
const (
	beatEvery = 20 * time.Millisecond
	lateBy    = 100 * time.Millisecond
)

// ownClock starts one that runs until the end of the test.
func (s *faultSite) ownClock() *ownClock {
	c := &ownClock{beat: time.Now()}
	s.running(func(ctx context.Context) {
		tick := time.NewTicker(beatEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				c.within(time.Time{}, time.Time{})
			}
		}
	})
	return c
}

// within is how long the process was late in all between two instants.
func (c *ownClock) within(from, to time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.beat) >= lateBy {
		c.late.add(span{c.beat, now})
	}
	c.beat = now
	return c.late.within(from, to)
}

// forgiveCopies notes the outputs and checkpoints of which the bus may have stored
// a second copy: it came when the bus had forgotten the id of the first, and the machine or the
// bus had stood still for a good part of the window meanwhile. What a replica says
// within half a window it says without a look, and the other half is for its way
// to the stream. A copy must say the same.
func (s *faultSite) forgiveCopies() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	s.storedTwice, s.copiesOf = map[string]bool{}, map[string]uint64{}
	var still spans
	for _, stream := range []string{events.StreamCommands, events.StreamRevenue} {
		type copied struct {
			arrived time.Time
			data    string
		}
		stored := map[string]copied{}
		for m, err := range s.b.RawEvents(ctx, events.ReadRequest{Stream: stream, Site: faultSiteID}) {
			if err != nil {
				s.t.Fatal(err)
			}
			id := m.Header.Get(events.HeaderMsgID)
			if id == "" {
				continue // garbage, where a test sends some
			}
			first, twice := stored[id]
			if !twice {
				stored[id] = copied{m.Arrived, string(m.Data)}
				continue
			}
			if first.data != string(m.Data) {
				s.t.Errorf("%s is stored as %s and then, as %s/%d, as %s", id, first.data, stream, m.Sequence, m.Data)
			}
			if still == nil {
				still = append(s.standstills(time.Time{}, time.Now()), span{})
			}
			apart, stood := m.Arrived.Sub(first.arrived), s.stood(still, first.arrived.Add(-s.window), m.Arrived)
			if apart < s.window || stood < s.window/4 {
				continue
			}
			s.t.Logf("FORGIVEN: %s is stored again as %s/%d, %v after the first with a window of %v: machine or bus had stood still for %v meanwhile", id, stream, m.Sequence, apart, s.window, stood)
			s.storedTwice[id] = true
			if _, name, _, ok := decider.ParseMessageID(id); ok {
				s.copiesOf[name]++
			}
		}
	}
}

// What is forgiven must not be more than what was recorded.
func TestSpansCountEachInstantOnce(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	var l spans
	for _, s := range [][2]int{{10, 12}, {20, 23}, {21, 24}, {15, 25}, {30, 31}, {5, 32}} {
		l.add(span{at(s[0]), at(s[1])})
		if n := len(l); n > 1 && !l[n-2].to.Before(l[n-1].from) {
			t.Fatalf("after %v the spans touch: %v", s, l)
		}
	}
	l.add(span{at(40), at(50)})
	for _, c := range []struct{ from, to, want int }{{0, 100, 37}, {0, 5, 0}, {6, 8, 2}, {31, 45, 6}, {33, 39, 0}, {60, 70, 0}} {
		if have := l.within(at(c.from), at(c.to)); have != time.Duration(c.want)*time.Second {
			t.Errorf("between %d and %d: %v, want %d s", c.from, c.to, have, c.want)
		}
	}
}
