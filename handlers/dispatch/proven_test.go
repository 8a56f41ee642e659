// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"bytes"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// consistentWork is the digest of everything that shares prove, worked out anew.
func (d *Dispatch) consistentWork() uint64 {
	sum := d.cell.hash()
	add := func(a *account, seed uint64) {
		if h := a.hash(); h != 0 {
			sum += mix2(h, seed)
		}
	}
	for _, m := range d.site.meters {
		add(&m.work, m.idHash)
	}
	for _, n := range d.nodes {
		add(&n.work, n.idHash)
	}
	return sum
}

func TestShareEnergy(t *testing.T) {
	for _, c := range []struct{ micro, perTerahash int64 }{
		{65536_000_000, 17_500}, {1, 1}, {1_000_000, 30_000}, {1_000_000_000_000_000, 100_000_000}, {0, 5}, {5, 0}, {-1, 5}, {math.MaxInt64, math.MaxInt64},
	} {
		got := shareEnergy(c.micro, c.perTerahash)
		if c.micro <= 0 || c.perTerahash <= 0 {
			if got != 0 {
				t.Errorf("%+v: %d", c, got)
			}
			continue
		}
		want := new(big.Int).Mul(big.NewInt(c.micro), big.NewInt(c.perTerahash))
		want.Lsh(want, 32).Quo(want, new(big.Int).Exp(big.NewInt(10), big.NewInt(18), nil))
		if !want.IsInt64() || want.Int64() > maxEnergy {
			if got != maxEnergy {
				t.Errorf("%+v: %d, want as much as is counted", c, got)
			}
			continue
		}
		if off := got - want.Int64(); off < -1-want.Int64()/100_000_000 || off > 1+want.Int64()/100_000_000 {
			t.Errorf("%+v: %d, want %s", c, got, want)
		}
	}
}

func TestFactorText(t *testing.T) {
	for _, c := range []struct {
		high, low int64
		want      string
	}{
		{1000, 1, "kW for W"}, {950_000, 1000, "kW for W"}, {10, 1, "ten times"}, {100, 1, "a hundred times"},
		{5, 1, ""}, {500, 1, ""}, {1, 0, ""}, {0, 0, ""}, {math.MaxInt64, math.MaxInt64, ""},
	} {
		got := factorText(c.high, c.low)
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%d to %d: %q", c.high, c.low, got)
		}
	}
}

// The bounds hold for sums of any number of shares, with room to spare at a
// millionth of the probability.
func TestBoundsHold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, mean := range []float64{0.5, 3, 20, 300, 5000} {
		const e, rounds = 1000, 20_000
		for range rounds {
			n := int64(poisson(r, mean)) * e
			m := int64(mean * e)
			if beyond(n-m, m, e) || below(m-n, m, e) {
				t.Fatalf("mean %v: %d mJ against %d: by chance once in 10^13, and here in %d tries", mean, n, m, rounds)
			}
		}
	}
	if !beyond(2_000_000, 1_000_000, 1000) || !below(900_000, 1_000_000, 1000) {
		t.Error("three times and a tenth of a thousand shares are not noticed")
	}
	if beyond(19_000, 0, 1000) || !beyond(21_000, 0, 1000) {
		t.Error("without anything allowed twenty shares are the bound")
	}
}

func poisson(r *rand.Rand, mean float64) int {
	n := 0
	for x := r.ExpFloat64(); x < mean; x += r.ExpFloat64() {
		n++
	}
	return n
}

// hall is a site of units that hash as they say, unless the test says
// otherwise.
type hall struct {
	t      testing.TB
	d      *Dispatch
	out    decider.Outbox
	at     time.Time
	seq    uint64
	r      *rand.Rand
	units  []*hashing
	alerts map[string]string // raised and not cleared
	raised int
	// meter says what the mining meter shows of the draw.
	meter func(watts int64) int64
}

type hashing struct {
	id      string
	set     int64
	key     *events.OrderKey
	counter uint64
	// claims is what it says to draw, draws what it does, both of its setpoint;
	// works how much of the draw is work at its efficacy.
	claims, draws func(set int64) int64
	works         float64
	next          float64 // s until its next share
}

const (
	hallPower    = 3_500
	hallEfficacy = 17_500
	hallShare    = 262_144 // about one in six seconds
)

func newHall(t testing.TB, seed uint64, units int) *hall {
	h := &hall{t: t, d: New(Config{}), at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), r: rand.New(rand.NewPCG(seed, 7)), alerts: map[string]string{},
		meter: func(w int64) int64 { return w }}
	all := int64(units) * hallPower
	h.say(events.SiteSource, &events.SiteConfig{LimitWatts: 4 * all, ContinuousFactorPPM: 1_000_000, ContractedWatts: 4 * all, AINameplateWatts: 2 * all,
		Meters: []events.MeterConfig{
			{Meter: "ai", Measures: events.MeasuresAI, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 10 * all},
			{Meter: "hall", Measures: events.MeasuresMining, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 10 * all},
		},
		Policy: events.PolicyConfig{LeaseMilliseconds: 12_000, DeadMilliseconds: 30_000, RampWattsPerSecond: all, RampBurstWatts: all},
		Tariff: events.TariffConfig{IntervalSeconds: 300, GraceSeconds: 10, AccrualSeconds: 60, Scheme: events.SchemeFPPS}})
	for i := range units {
		u := &hashing{id: fmt.Sprint("u", i), works: 1, claims: func(w int64) int64 { return w }, draws: func(w int64) int64 { return w }}
		h.units = append(h.units, u)
		h.status(u, true)
	}
	return h
}

func (h *hall) say(source string, p events.Payload) {
	h.t.Helper()
	h.seq++
	e := events.New("s", source, p)
	e.Sequence, e.Epoch, e.Arrived, e.ID = h.seq, 1, h.at, fmt.Sprint(h.seq)
	h.out.Begin(e)
	h.d.Fold(e, &h.out)
	for _, o := range h.out.Outputs() {
		switch c := o.Data.(type) {
		case *events.CommandRamp:
			h.obey(c.Units, c.Key)
		case *events.CommandCurtail:
			h.obey(c.Units, c.Key)
			if c.AllUnitsWatts != nil {
				for _, u := range h.units {
					u.set, u.key = min(u.set, *c.AllUnitsWatts), &c.Key
				}
			}
		case *events.AlertRaised:
			h.alerts[c.Alert] = c.Message
			h.raised++
		case *events.AlertCleared:
			delete(h.alerts, c.Alert)
		}
	}
}

func (h *hall) obey(points []events.UnitSetpoint, k events.OrderKey) {
	for _, p := range points {
		for _, u := range h.units {
			if u.id == p.Unit {
				u.set, u.key = p.SetpointWatts, &k
			}
		}
	}
}

func (h *hall) status(u *hashing, announce bool) {
	u.counter++
	s := events.UnitStatus{Unit: u.id, State: events.PermitRunning, SetpointWatts: u.set, PowerWatts: u.claims(u.set), Applied: u.key, LeaseMilliseconds: 9000, Healthy: true}
	if announce {
		s.Capabilities = &events.Capabilities{Class: "x", NameplateWatts: hallPower, LevelsWatts: []int64{hallPower}, MinWatts: hallPower, MillijoulesPerTerahash: hallEfficacy, FallMilliseconds: 1000}
	}
	h.say(u.id, &events.WorkerStatus{BootID: "b", Counter: u.counter, Announce: announce, Units: []events.UnitStatus{s}})
}

// run lets so many seconds pass.
func (h *hall) run(seconds int) {
	h.t.Helper()
	each := float64(shareEnergy(hallShare*1_000_000, hallEfficacy)) // mJ
	for range seconds {
		h.at = h.at.Add(time.Second)
		h.say(events.SiteSource, &events.ClockTick{Second: h.at.Unix()})
		draw := int64(0)
		for i, u := range h.units {
			w := u.draws(u.set)
			draw += w
			u.next -= float64(w) * 1000 * u.works / each
			for u.next < 0 {
				u.next += h.r.ExpFloat64()
				h.say("gw", &events.ShareAccepted{ShareID: strings.Repeat("0", 64), JobID: "j", Agent: u.id, Unit: u.id, Difficulty: fmt.Sprint(hallShare),
					Payout: events.Payout{Pool: "p", NBits: "17034219", RewardSats: 1, Scheme: events.SchemeFPPS, Basis: events.BasisLive}, JudgedAt: h.at})
			}
			if (int(h.at.Unix())+i)%3 == 0 {
				h.status(u, false)
			}
		}
		h.say("ai", &events.MeterReading{PowerWatts: 1000, SampledAt: h.at, Quality: events.QualityGood})
		h.say("hall", &events.MeterReading{PowerWatts: h.meter(draw), SampledAt: h.at, Quality: events.QualityGood})
	}
	// A restored decider is the same.
	b, err := h.d.Snapshot()
	if err != nil {
		h.t.Fatal(err)
	}
	o := New(Config{})
	if err := o.Restore(b); err != nil {
		h.t.Fatal(err)
	}
	again, err := o.Snapshot()
	if err != nil || !bytes.Equal(b, again) || o.StateHash() != h.d.StateHash() {
		h.t.Fatalf("a restored decider differs (%v):\n%s\n%s", err, b, again)
	}
	h.d = o // and goes on from here
	if sum := h.d.consistentWork(); sum == 0 {
		h.t.Fatal("no digest")
	}
}

func (h *hall) on() (n int) {
	for _, u := range h.units {
		if u.set > 0 {
			n++
		}
	}
	return n
}

// Honest machines raise no alert, however long: with machines a tenth better and
// worse than they say, losses in front of the meter, curtailments, and verdicts
// held up for minutes.
func TestHonestWorkRaisesNoAlert(t *testing.T) {
	hours := 48
	if testing.Short() {
		hours = 6
	}
	h := newHall(t, 3, 12)
	for i, u := range h.units {
		u.works = 0.9 + 0.2*float64(i)/float64(len(h.units)-1)
	}
	h.meter = func(w int64) int64 { return w + w/25 }
	zero := int64(0)
	for hour := range hours {
		h.run(2400)
		id := fmt.Sprint("s", hour)
		h.say(events.OperatorSource, &events.GridSignal{SignalID: id, Kind: events.SignalCurtail, PowerWatts: &zero})
		h.run(600)
		h.say(events.OperatorSource, &events.GridSignal{SignalID: id + "-end", Kind: events.SignalRestore, Cancels: id})
		h.run(600)
		if h.raised > 0 || h.on() != len(h.units) {
			t.Fatalf("after %d hours: %d of %d on, alerts %v", hour+1, h.on(), len(h.units), h.alerts)
		}
	}
}

func TestWorkTellsOnMeters(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*hall)
		within int // s
		alert  string
		says   string
		back   bool // the alert goes when the change does
	}{
		{"kW for W", func(h *hall) { h.meter = func(w int64) int64 { return w / 1000 } }, 900, "meter-below-work/site", "kW for W", true},
		{"a tenth", func(h *hall) { h.meter = func(w int64) int64 { return w / 10 } }, 900, "meter-below-work/site", "ten times", true},
		{"a half", func(h *hall) { h.meter = func(w int64) int64 { return w / 2 } }, 1800, "meter-below-work/site", "not believed", true},
		{"ten times too much", func(h *hall) { h.meter = func(w int64) int64 { return 10 * w } }, 4200, "work-below-meter/site", "ten times", true},
		{"stolen hash", func(h *hall) {
			for _, u := range h.units {
				u.works = 0.2
			}
		}, 4200, "work-below-meter/site", "", true},
		{"says nothing, hashes on", func(h *hall) {
			h.units[3].claims = func(int64) int64 { return 0 }
			h.units[3].draws = func(int64) int64 { return hallPower }
			h.meter = func(w int64) int64 { return w - hallPower } // nor does a meter see it
			zero := int64(0)
			h.say(events.OperatorSource, &events.GridSignal{SignalID: "x", Kind: events.SignalCurtail, PowerWatts: &zero})
		}, 900, "unit-not-following/u3/u3", "hashes on", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHall(t, 5, 8)
			h.run(3600)
			if len(h.alerts) > 0 || h.on() != len(h.units) {
				t.Fatalf("before: %d on, alerts %v", h.on(), h.alerts)
			}
			c.change(h)
			h.run(c.within)
			if m, ok := h.alerts[c.alert]; !ok || !strings.Contains(m, c.says) {
				t.Fatalf("after %d s: alerts %v", c.within, h.alerts)
			}
			if c.back {
				h.meter = func(w int64) int64 { return w }
				for _, u := range h.units {
					u.works = 1
				}
				h.run(3000)
				if len(h.alerts) > 0 || h.on() != len(h.units) {
					t.Errorf("50 minutes after it was mended: %d on, alerts %v", h.on(), h.alerts)
				}
			}
		})
	}
}

// Verdicts that come minutes late, all at once, convict nobody.
func TestLateVerdictsConvictNobody(t *testing.T) {
	h := newHall(t, 9, 4)
	h.run(1800)
	zero := int64(0)
	h.say(events.OperatorSource, &events.GridSignal{SignalID: "x", Kind: events.SignalCurtail, PowerWatts: &zero})
	h.run(300)
	for range 600 {
		u := h.units[h.r.IntN(len(h.units))]
		h.say("gw", &events.ShareAccepted{ShareID: strings.Repeat("0", 64), JobID: "j", Agent: u.id, Unit: u.id, Difficulty: fmt.Sprint(hallShare),
			Payout: events.Payout{Pool: "p", NBits: "17034219", RewardSats: 1, Scheme: events.SchemeFPPS, Basis: events.BasisLive}, JudgedAt: h.at})
	}
	h.run(1200)
	if h.raised > 0 {
		t.Errorf("alerts %v", h.alerts)
	}
}

// Shares never raise a limit: whatever they say, the caps of a site that hears
// them are at most those of one that does not.
func TestSharesRaiseNothing(t *testing.T) {
	for seed := range uint64(20) {
		with, without := newHall(t, seed, 6), newHall(t, seed, 6)
		for _, h := range []*hall{with, without} {
			lie := []int64{1, 2, 10, 1000}[seed%4]
			h.meter = func(w int64) int64 { return w / lie }
			for i, u := range h.units {
				if h == without {
					u.works = 0
				} else {
					u.works = float64(i)
				}
			}
			h.run(1200)
		}
		if a, b := with.d.root.load.Cap, without.d.root.load.Cap; a > b || with.on() > without.on() {
			t.Errorf("seed %d: cap %d W with shares, %d W without; %d units on, %d without", seed, a, b, with.on(), without.on())
		}
	}
}
