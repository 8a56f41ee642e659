// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// BenchmarkFoldReading is one reading of a meter with a counter, during an
// event.
func BenchmarkFoldReading(b *testing.B) {
	d, _ := New(Config{})
	var out decider.Outbox
	now, n := start, int64(0)
	feed := func(source string, p events.Payload) {
		e := events.New("tx1", source, p)
		e.Arrived = now
		out.Begin(e)
		d.Fold(e, &out)
	}
	feed("site", site(ers()))
	feed("ercot", &events.GridSignal{SignalID: "e1", Kind: events.SignalCurtail, Programme: "ers-10", PowerWatts: power(5 * mw)})
	r := &events.MeterReading{Quality: events.QualityGood}
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(500 * time.Microsecond)
		n += 5_000
		c := n
		r.PowerWatts, r.SampledAt, r.EnergyMilliwattHours = 36*mw+n%1000, now, &c
		feed("mine", r)
	}
}

// BenchmarkSay works out all baselines of an event over a full history.
func BenchmarkSay(b *testing.B) {
	d, _ := New(Config{})
	var out decider.Outbox
	cfg := site(ers())
	cfg.Tariff.IntervalSeconds = 300
	e := events.New("tx1", "site", cfg)
	e.Arrived = start
	out.Begin(e)
	d.Fold(e, &out)
	h := d.Points[0].History
	for i := range int64(len(h.Slots)) {
		at := start.UnixNano()/h.Step - 1 - i
		*h.at(at) = slot{Index: at, Nanos: h.Step}
	}
	ev := &event{Kind: events.SignalCurtail, Phase: phaseOver, Began: d.Now, Start: d.Now, Opened: d.Now, HasLimit: true}
	for i := range int64(12) {
		ev.Lines = append(ev.Lines, line{Start: d.Now + i*h.Step, End: d.Now + (i+1)*h.Step})
	}
	d.out = &out
	b.ReportAllocs()
	for b.Loop() {
		out.Begin(e)
		d.say(ev, d.Now+12*h.Step, true)
	}
}
