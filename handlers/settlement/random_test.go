// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
)

// randomConfig is a site with any mix of meters.
func randomConfig(r *rand.Rand) *events.SiteConfig {
	var meters []events.MeterConfig
	add := func(id string, m events.Measures, group string) {
		c := meterOf(id, m)
		c.Group = group
		if r.IntN(3) == 0 {
			c.CounterModulusMilliwattHours = 50_000_000
		}
		meters = append(meters, c)
	}
	add("ai", events.MeasuresAI, "")
	if r.IntN(2) == 0 {
		meters[0].Group = "g"
		add("ai-b", events.MeasuresAI, "g")
	}
	if r.IntN(2) == 0 {
		add("ai-c", events.MeasuresAI, "")
	}
	if r.IntN(2) == 0 {
		add("house", events.MeasuresHouse, "")
	}
	if r.IntN(3) > 0 {
		add("mine", events.MeasuresMining, "")
	}
	if r.IntN(2) == 0 {
		add("total", events.MeasuresTotal, "")
	}
	if r.IntN(4) == 0 {
		add("total-b", events.MeasuresTotal, "")
	}
	c := siteConfig(meters...)
	c.ContractedWatts = r.Int64N(1_500_000)
	c.HouseWatts = r.Int64N(2) * r.Int64N(50_000)
	c.Tariff.IntervalSeconds = []int64{60, 300, 900}[r.IntN(3)]
	c.Tariff.AccrualSeconds = []int64{10, 30, 60}[r.IntN(3)]
	c.Tariff.GraceSeconds = r.Int64N(90)
	c.Tariff.Indexed = r.IntN(2) == 0
	c.Tariff.ResaleAllowed = r.IntN(2) == 0
	return c
}

// script is a random but valid journal, made once and folded many times.
func script(seed uint64, steps int) []*events.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	now := midnight.Add(time.Duration(r.IntN(4000)) * time.Second)
	var list []*events.Event
	say := func(source string, p events.Payload) *events.Event {
		e := events.New("tx1", source, p)
		e.ID = fmt.Sprintf("e%d", len(list))
		e.Epoch, e.Sequence, e.Arrived = 1, uint64(len(list)+1), now
		list = append(list, e)
		return e
	}
	cfg := randomConfig(r)
	if r.IntN(2) == 0 {
		say("site", &events.ClockTick{Second: now.Unix()})
	}
	say("operator", cfg)
	counters := map[string]int64{}
	shares := 0
	quiet := map[string]time.Time{}
	for range steps {
		switch r.IntN(40) {
		case 0:
			now = now.Add(time.Duration(r.IntN(600)) * time.Second)
		case 1:
			now = now.Add(-time.Duration(r.IntN(20)) * time.Second)
		default:
			now = now.Add(time.Duration(r.IntN(2000)) * time.Millisecond)
		}
		say("site", &events.ClockTick{Second: now.Unix()})
		for _, m := range cfg.Meters {
			watts := r.Int64N(900_000)
			counters[m.Meter] += watts * r.Int64N(4000) / 3600
			switch r.IntN(60) {
			case 0:
				quiet[m.Meter] = now.Add(time.Duration(r.IntN(1200)) * time.Second)
			case 1:
				counters[m.Meter] = 0
			case 2:
				counters[m.Meter] += 1e12
			}
			if now.Before(quiet[m.Meter]) || r.IntN(4) == 0 {
				continue
			}
			reading := &events.MeterReading{
				PowerWatts: watts, SampledAt: now.Add(-time.Duration(r.IntN(3000)) * time.Millisecond),
				Quality:  []events.Quality{events.QualityGood, events.QualityGood, events.QualitySuspect, events.QualityBad}[r.IntN(4)],
				Modelled: m.Measures == events.MeasuresMining && r.IntN(2) == 0,
			}
			if m.Meter != "ai-c" {
				c := counters[m.Meter]
				if m.CounterModulusMilliwattHours > 0 {
					c %= m.CounterModulusMilliwattHours
				}
				reading.EnergyMilliwattHours = &c
			}
			say(m.Meter, reading)
		}
		agent := fmt.Sprintf("rig-%d", r.IntN(5))
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			s := status(agent, r.Int64N(6000), r.IntN(2) == 0, []string{"", "mine", "none"}[r.IntN(3)], r.IntN(2) == 0)
			u := &s.Units[0]
			u.SetpointWatts, u.PowerModelled = r.Int64N(6000), r.IntN(3) == 0
			u.Reason = []events.Reason{"", events.ReasonHeadroom, events.ReasonGridCurtail, "made-up"}[r.IntN(4)]
			if u.Reason != "" && r.IntN(2) == 0 {
				u.SignalID = fmt.Sprint("s", r.IntN(4))
			}
			if c := u.Capabilities; c != nil {
				c.NameplateWatts -= r.Int64N(2) * r.Int64N(4000)
				c.MillijoulesPerTerahash += r.Int64N(2) * r.Int64N(4000)
			}
			say(agent, s)
		case 4:
			say(agent, &events.WorkerStatus{BootID: "b", Counter: 9, Leaving: true})
		case 5:
			s := priceSignal(fmt.Sprintf("p%d", r.IntN(5)), r.Int64N(200_000_000)-50_000_000, time.Time{}, r.Int64N(2)*r.Int64N(900))
			if r.IntN(2) == 0 {
				s.StartsAt = ptr(now.Add(time.Duration(r.IntN(600)-100) * time.Second))
			}
			say("iso", s)
		case 6:
			say("market", &events.MarketQuote{BTCPriceMicrousd: 80_000_000_000 + r.Int64N(1e9), Practice: r.IntN(3) == 0})
		case 7:
			if r.IntN(30) == 0 {
				cfg = randomConfig(r)
				say("operator", cfg)
			}
		case 8:
			say("gw-1", &events.ShareRejected{ShareID: fmt.Sprint("r", len(list)), Basis: events.BasisLive, Difficulty: "1"})
		case 9:
			say(gatewayOf(r), randomPoolEvent(r, now, len(list), shares))
		default:
			shares++
			p := livePayout()
			p.Basis = basisNames[r.IntN(3)]
			p.RewardSats += r.Int64N(3)
			p.Pool = []string{"p", "p", "q"}[r.IntN(3)]
			if p.Pool == "q" {
				p.Scheme = []events.Scheme{events.SchemePPLNS, events.SchemeSolo}[r.IntN(2)]
			}
			id := shares
			if r.IntN(20) == 0 {
				id = max(1, shares-r.IntN(10))
			}
			e := say(gatewayOf(r), &events.ShareAccepted{ShareID: fmt.Sprintf("%064x", id), Unit: agent, Difficulty: "1048576.5", Payout: p, Local: r.IntN(8) == 0})
			if r.IntN(2) == 0 {
				e.OriginArrived = now.Add(-time.Duration(r.IntN(3000)) * time.Second)
			}
		}
	}
	return list
}

func gatewayOf(r *rand.Rand) string { return []string{"gw-1", "gw-2"}[r.IntN(2)] }

// randomPoolEvent is a share without a verdict, a block, or a statement of a
// pool about any minutes of the past, or of the next ones.
func randomPoolEvent(r *rand.Rand, now time.Time, n, shares int) events.Payload {
	pool, basis := []string{"p", "q", "r"}[r.IntN(3)], basisNames[r.IntN(3)]
	id := func(i int) string { return fmt.Sprintf("%064x", i) }
	switch r.IntN(5) {
	case 0, 1:
		return &events.ShareUnknown{ShareID: id(1_000_000 + r.IntN(20)), Unit: "rig-1", Difficulty: "7.25", Basis: basis}
	case 2:
		b := events.Block{
			BlockHash: id(2_000_000 + r.IntN(4)), Pool: pool, Basis: basis, RewardSats: 1 + r.Int64N(5e9),
			Scheme: []events.Scheme{events.SchemeSolo, events.SchemeSolo, events.SchemeFPPS}[r.IntN(3)],
		}
		switch r.IntN(4) {
		case 0:
			return (*events.BlockFound)(&b)
		case 1:
			return (*events.BlockOrphaned)(&b)
		}
		return (*events.BlockMatured)(&b)
	}
	from := now.Truncate(10 * time.Second).Add(time.Duration(r.IntN(200)-180) * 10 * time.Second)
	if r.IntN(4) == 0 {
		from = from.Add(time.Duration(r.IntN(10_000)) * time.Millisecond)
	}
	s := &events.PoolStatement{
		StatementID: fmt.Sprint("s", n), Pool: pool, Basis: basis,
		From: from, Until: from.Add(time.Duration(1+r.IntN(60)) * 10 * time.Second),
		SharesAccepted: r.Int64N(50), DifficultySum: fmt.Sprint(r.IntN(1e9), ".5"),
	}
	if r.IntN(3) > 0 {
		s.ValueMillisats = ptr(r.Int64N(1_000_000))
	}
	if r.IntN(6) == 0 {
		s.StatementID = "again"
	}
	for range r.IntN(30) {
		if i := id(1_000_000 + r.IntN(20)); r.IntN(2) == 0 {
			s.Credited = append(s.Credited, i)
		} else {
			s.Refused = append(s.Refused, i)
		}
	}
	return s
}

func (j *journal) play(list []*events.Event) {
	for _, e := range list {
		j.now, j.seq = e.Arrived, e.Sequence-1
		j.foldEvent(e)
	}
}

// TestRandomJournals folds random journals: every output is valid and every
// balance closes (the journal helper checks), the sums of what stands are what
// the accruals say, and a decider that is restored in the middle says and is
// the same as one that never stopped.
func TestRandomJournals(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			list := script(seed, 1500)
			whole := newJournal(t)
			var l ledger.Ledger
			whole.onOutput = l.Add
			whole.play(list)
			checkLedger(t, whole, l.Totals())

			r := rand.New(rand.NewPCG(seed, 2))
			cut := r.IntN(len(list))
			first := newJournal(t)
			first.play(list[:cut])
			snap, err := first.d.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			second := newJournal(t)
			second.ids = first.ids
			if err := second.d.Restore(snap); err != nil {
				t.Fatal(err)
			}
			if again, err := second.d.Snapshot(); err != nil || !bytes.Equal(again, snap) {
				t.Fatalf("a restored decider has another snapshot (%v)", err)
			}
			if second.d.StateHash() != first.d.StateHash() {
				t.Fatal("a restored decider has another hash")
			}
			second.play(list[cut:])
			if !slices.Equal(append(first.encoded, second.encoded...), whole.encoded) {
				t.Errorf("outputs differ after a restart at %d of %d", cut, len(list))
			}
			a, _ := whole.d.Snapshot()
			b, _ := second.d.Snapshot()
			if !bytes.Equal(a, b) || whole.d.StateHash() != second.d.StateHash() {
				t.Errorf("states differ after a restart at %d of %d", cut, len(list))
			}
		})
	}
}

// checkLedger compares what stands with the decider's own books.
func checkLedger(t *testing.T, j *journal, got ledger.Totals) {
	t.Helper()
	var accrued, settled int64
	for _, a := range got.Accrued {
		accrued += a.Millisats
	}
	for _, b := range got.Money.Bases {
		settled += b.RevenueMillisats
	}
	var open int64
	for _, iv := range j.d.Intervals {
		if !iv.Closed || iv.Dirty {
			for b, tt := range iv.Totals {
				open += tt.Millisats - iv.Booked.Totals[b].Millisats
			}
		}
	}
	if accrued != settled+open {
		t.Errorf("accrued %d msat, settled %d and %d open", accrued, settled, open)
	}
	checkStatements(t, j)
	e := got.Energy
	if e.Contracted+e.Overdrawn != e.AI+e.House+e.Mining+e.Resold+e.Unused {
		t.Errorf("ledger does not balance: %+v", e)
	}
	if e.Intervals != got.Money.Intervals || e.Corrections != got.Money.Corrections {
		t.Errorf("energy %d/%d, money %d/%d", e.Intervals, e.Corrections, got.Money.Intervals, got.Money.Corrections)
	}
	// What is booked and what is carried is all there was. A correction that
	// takes off what a later interval has booked already leaves less than a
	// milliwatt-hour booked ahead.
	for name, c := range map[string]int64{
		"contracted": j.d.Carry.Contracted.Floor(), "ai": j.d.Carry.AI.Floor(),
		"house": j.d.Carry.House.Floor(), "mining": j.d.Carry.Mining.Floor(),
	} {
		if c != 0 && c != -1 {
			t.Errorf("%s: %d mWh carried", name, c)
		}
	}
}

// checkStatements compares the books with what the pools stated: money follows
// them to the millisatoshi.
func checkStatements(t *testing.T, j *journal) {
	t.Helper()
	for i := range j.d.Statements {
		s := &j.d.Statements[i]
		if !s.Answered || s.Dirty || !s.Money {
			continue
		}
		if ours := j.d.sumOf(s.Purse, s.From, s.Until); ours.millisats+s.Booked != s.Millisats {
			t.Errorf("statement %s: booked %d and %d msat, stated %d", s.ID, ours.millisats, s.Booked, s.Millisats)
		}
	}
}

// TestSnapshotEverywhere restores after every single event of a journal.
func TestSnapshotEverywhere(t *testing.T) {
	list := script(99, 120)
	whole, hopping := newJournal(t), newJournal(t)
	for i, e := range list {
		whole.play(list[i : i+1])
		hopping.play([]*events.Event{e})
		snap, err := hopping.d.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		d, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Restore(snap); err != nil {
			t.Fatal(err)
		}
		hopping.d = d
		if whole.d.StateHash() != d.StateHash() {
			t.Fatalf("hashes differ after event %d (%s)", i, e.Type)
		}
	}
	if !slices.Equal(whole.encoded, hopping.encoded) {
		t.Error("outputs differ")
	}
}

func TestRestoreRefuses(t *testing.T) {
	d, _ := New(Config{})
	snap, _ := d.Snapshot()
	other, _ := New(Config{CorrectableIntervals: 3})
	if err := other.Restore(snap); err == nil {
		t.Error("a snapshot of another configuration was restored")
	}
	if err := d.Restore([]byte("{")); err == nil {
		t.Error("garbage was restored")
	}
	if _, err := New(Config{CorrectableIntervals: -1}); err == nil {
		t.Error("a negative number of intervals was accepted")
	}
	var _ decider.Decider = d
}

// TestCorrectionsSumToTheTruth drives a meter with a counter and long
// silences: in the end what stands is what the counter says.
func TestCorrectionsSumToTheTruth(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 5))
		j := newJournal(t)
		var l ledger.Ledger
		j.onOutput = l.Add
		c := siteConfig(meterOf("ai", events.MeasuresAI))
		c.Tariff.IntervalSeconds, c.Tariff.GraceSeconds = 300, 20
		j.fold("operator", c)
		var counter, watts int64 = 0, 300_000
		var quiet time.Time
		end := midnight.Add(4 * hour)
		j.run(end, func() {
			if !j.now.Before(quiet) || !j.now.Before(end.Add(-10*time.Minute)) {
				j.count("ai", watts, counter)
				if r.IntN(400) == 0 {
					quiet = j.now.Add(time.Duration(r.IntN(2400)) * time.Second)
				}
			}
			if !j.now.Before(end.Add(-5 * time.Minute)) {
				watts = 0 // so that the end is sharp
			} else {
				watts = 100_000 + r.Int64N(600_000)
			}
			counter += watts * 1000 / 3600
		})
		counter++ // what it shows when it moves again holds for all the time since it last moved
		j.run(end.Add(6*time.Minute), func() { j.count("ai", 0, counter) })
		e := l.Totals().Energy
		if diff := e.AI - counter; diff < -1 || diff > 1 {
			t.Errorf("seed %d: booked %d mWh, the counter says %d (%d corrections)", seed, e.AI, counter, e.Corrections)
		}
		if e.Corrections == 0 || e.Estimated != 0 {
			t.Errorf("seed %d: %d corrections, %d mWh still estimated", seed, e.Corrections, e.Estimated)
		}
	}
}
