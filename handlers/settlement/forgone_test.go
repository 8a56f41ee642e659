// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// word is what one unit says at one instant of a story of statuses.
type word struct {
	at    time.Time
	agent int
	unit  events.UnitStatus
	caps  events.Capabilities
}

// statuses is a random story of agents with three units each, told every five
// seconds and whenever something changes, over hours.
func statuses(seed uint64, until time.Time) []word {
	r := rand.New(rand.NewPCG(seed, 7))
	reasons := []events.Reason{events.ReasonHeadroom, events.ReasonGridCurtail, events.ReasonEmergency, events.ReasonEconomics, events.ReasonLocal}
	var list []word
	for a := range 3 {
		silent := midnight
		units := make([]word, 3)
		for i := range units {
			units[i] = word{agent: a, unit: events.UnitStatus{Unit: fmt.Sprintf("u-%d-%d", a, i), State: events.PermitBoot, Healthy: true, Reason: events.ReasonBoot, Modelled: a == 2},
				caps: events.Capabilities{Class: "c", NameplateWatts: 1000 + r.Int64N(4000), FailsafeWatts: r.Int64N(2) * 300, MillijoulesPerTerahash: 13_000 + r.Int64N(20_000)}}
		}
		for now := midnight.Add(time.Duration(r.Int64N(int64(time.Minute)))); now.Before(until); now = now.Add(time.Duration(1 + r.Int64N(int64(5*time.Second)))) {
			if r.IntN(2000) == 0 {
				silent = now.Add(time.Duration(r.Int64N(int64(2 * time.Hour))))
			}
			if now.Before(silent) {
				continue
			}
			for i := range units {
				w := &units[i]
				w.at = now
				switch r.IntN(30) {
				case 0:
					w.unit.State, w.unit.SetpointWatts, w.unit.PowerWatts, w.unit.Reason, w.unit.SignalID = events.PermitRunning, w.caps.NameplateWatts, w.caps.NameplateWatts-r.Int64N(20), "", ""
				case 1:
					w.unit.State, w.unit.SetpointWatts, w.unit.Reason, w.unit.SignalID = events.PermitLimited, r.Int64N(w.caps.NameplateWatts), reasons[r.IntN(len(reasons))], ""
					if w.unit.Reason == events.ReasonGridCurtail || w.unit.Reason == events.ReasonEmergency {
						w.unit.SignalID = fmt.Sprint("s", r.IntN(3))
					}
				case 2:
					w.unit.PowerWatts = w.unit.SetpointWatts
				case 3:
					w.unit.PowerWatts = r.Int64N(w.caps.NameplateWatts + 100) // and now and then more than it should
				case 4:
					w.unit.PowerModelled = !w.unit.PowerModelled
				}
				list = append(list, *w)
			}
		}
	}
	slices.SortStableFunc(list, func(a, b word) int { return a.at.Compare(b.at) })
	return list
}

// tell folds a story: ticks every second, and what is said at its instants,
// together or one by one, once or twice.
func tell(t *testing.T, list []word, until time.Time, together, twice bool) *journal {
	j := newJournal(t)
	c := siteConfig(meterOf("ai", events.MeasuresAI))
	c.Tariff.IntervalSeconds, c.Tariff.GraceSeconds, c.Tariff.Indexed = 900, 20, true
	j.fold("operator", c)
	j.fold("market", &events.MarketQuote{BTCPriceMicrousd: 86_000_000_000})
	next := midnight
	clock := func(to time.Time) {
		for ; !next.After(to); next = next.Add(time.Second) {
			j.at(next).tick()
			if next.Unix()%700 == 0 {
				j.fold("iso", priceSignal("p", next.Unix()%9*10_000_000-20_000_000, time.Time{}, 0))
			}
			if next.Unix()%1000 == 0 {
				p := livePayout()
				p.RewardSats += next.Unix() % 7
				j.share(next, p, "1")
			}
		}
	}
	told := map[string]bool{}
	for len(list) > 0 {
		n := 1
		for together && n < len(list) && list[n].at.Equal(list[0].at) && list[n].agent == list[0].agent {
			n++
		}
		clock(list[0].at)
		j.at(list[0].at)
		s := &events.WorkerStatus{BootID: "b", Counter: 1}
		s.Announce = !told[list[0].unit.Unit]
		for i := range list[:n] {
			u := list[i].unit
			if s.Announce {
				u.Capabilities = &list[i].caps
			}
			told[u.Unit] = true
			s.Units = append(s.Units, u)
		}
		agent := fmt.Sprint("rig-", list[0].agent)
		j.fold(agent, s)
		if twice {
			j.fold(agent, s)
		}
		list = list[n:]
	}
	clock(until)
	return j
}

// oracle integrates the story anew, in watt-nanoseconds, from beginning to end.
func oracle(list []word, from, until time.Time) (full, idle *big.Int) {
	full, idle = new(big.Int), new(big.Int)
	add := func(sum *big.Int, watts int64, a, b time.Time) {
		if a.Before(from) {
			a = from
		}
		if b.After(until) {
			b = until
		}
		if b.After(a) {
			sum.Add(sum, new(big.Int).Mul(big.NewInt(watts), big.NewInt(b.Sub(a).Nanoseconds())))
		}
	}
	const alone = 17 * time.Second // lease and fall
	for i, w := range list {
		end := until
		for _, o := range list[i+1:] {
			if o.unit.Unit == w.unit.Unit {
				end = o.at
				break
			}
		}
		failsafe := w.at.Add(alone)
		lost := failsafe.Add(time.Hour)
		first, then := failsafe, lost
		if end.Before(first) {
			first = end
		}
		if end.Before(then) {
			then = end
		}
		add(full, w.caps.NameplateWatts, w.at, then)
		add(idle, max(w.caps.NameplateWatts-w.unit.PowerWatts, 0), w.at, first)
		add(idle, w.caps.NameplateWatts-w.caps.FailsafeWatts, failsafe, then)
	}
	return full, idle
}

// What is booked as forgone is what the units could have used less what they
// used, to the milliwatt-hour over the whole time and however the statuses are
// batched; and the hashes are that energy at each unit's efficiency.
func TestForgoneIsNameplateLessDrawn(t *testing.T) {
	const intervals = 16
	until := midnight.Add(intervals * 15 * time.Minute)
	for seed := range uint64(4) {
		list := statuses(seed, until)
		var first []string
		for _, how := range []struct{ together, twice bool }{{true, false}, {false, false}, {true, true}, {false, true}} {
			j := tell(t, list, until.Add(time.Minute), how.together, how.twice)
			if len(j.settled) != intervals {
				t.Fatalf("seed %d: %d intervals settled, want %d", seed, len(j.settled), intervals)
			}
			var said []string
			var full, idle int64
			for _, c := range j.curtailed {
				full += c.NameplateMilliwattHours
				for _, l := range c.Lines {
					idle += l.MilliwattHours
				}
				said = append(said, fmt.Sprintf("%v %d %+v", c.IntervalStart, c.NameplateMilliwattHours, c.Lines))
			}
			wantFull, wantIdle := oracle(list, midnight, until)
			mwh := big.NewInt(3_600_000_000)
			if got := new(big.Int).Div(wantFull, mwh).Int64(); got != full {
				t.Errorf("seed %d: nameplate %d mWh, want %d", seed, full, got)
			}
			if got := new(big.Int).Div(wantIdle, mwh).Int64(); got != idle {
				t.Errorf("seed %d: forgone %d mWh, want %d", seed, idle, got)
			}
			if first == nil {
				first = said
			}
			if !slices.Equal(first, said) {
				t.Errorf("seed %d: another batching, other lines", seed)
			}
		}
	}
}

// One kilowatt-hour is worth what hashprice says: 205.367753… satoshi at 15 J/TH
// and so on, less the fee, to the millisatoshi; no fraction of a hash is lost
// over hundreds of statuses.
func TestForgoneIsWorthItsVectors(t *testing.T) {
	for _, c := range []struct {
		millijoules, fee, msat int64
		hashes                 string
	}{
		{15_000, 0, 205_367, "240000000000000000"},
		{17_000, 0, 181_206, "211764705882352941"},
		{20_000, 0, 154_025, "180000000000000000"},
		{30_000, 0, 102_683, "120000000000000000"},
		{20_000, 20_000, 150_945, "180000000000000000"},
	} {
		j := newJournal(t)
		j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
		j.fold("market", &events.MarketQuote{BTCPriceMicrousd: 100_000_000_000})
		p := livePayout()
		p.FeePPM = c.fee
		s := status("rig", 4000, false, "", true)
		s.Units[0].Reason, s.Units[0].SignalID = events.ReasonGridCurtail, "sig"
		s.Units[0].Capabilities.MillijoulesPerTerahash = c.millijoules
		j.run(midnight.Add(hour+30*time.Second), func() {
			if j.now.Unix()%7 == 0 || j.now.Equal(midnight) {
				j.fold("rig", s)
			}
			if j.now.Equal(midnight.Add(time.Minute)) {
				j.share(j.now, p, "1")
			}
		})
		want := events.CurtailmentLine{
			Basis: events.BasisLive, Reason: events.ReasonGridCurtail, SignalID: "sig", MilliwattHours: 1_000_000, Hashes: c.hashes,
			ForgoneMillisats: c.msat, ForgoneMicrousd: c.msat, AvoidedCostMicrousd: 50_000, NetMicrousd: c.msat - 50_000,
		}
		if len(j.curtailed) != 1 || len(j.curtailed[0].Lines) != 1 || j.curtailed[0].Lines[0] != want {
			t.Errorf("%d mJ/TH: %+v, want %+v", c.millijoules, j.curtailed, want)
		}
	}
}

// A unit whose agent is gone for good is waited for an hour, no longer; one
// that left is not waited for at all.
func TestForgoneOfTheLost(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.fold("rig", status("rig", 5000, false, "", true))
	j.fold("gone", status("gone", 1000, false, "", true))
	j.at(midnight.Add(10*time.Second)).fold("gone", &events.WorkerStatus{BootID: "b", Counter: 2, Leaving: true})
	j.run(midnight.Add(4*hour), nil)
	var full, lease, other int64
	for _, c := range j.curtailed {
		full += c.NameplateMilliwattHours
		for _, l := range c.Lines {
			if l.Reason == events.ReasonLease {
				lease += l.MilliwattHours
			} else {
				other += l.MilliwattHours
			}
		}
	}
	// An hour and 17 s of 5 kW, 10 s of another 5 kW of which it used 1 kW.
	if full != 5_000_000+5_000_000*27/3600 || lease != 4_900_000 || other != 4_000_000*10/3600 {
		t.Errorf("nameplate %d, for want of a lease %d, otherwise %d mWh", full, lease, other)
	}
	if len(j.curtailed) != 2 {
		t.Errorf("%d intervals: one without any unit says nothing", len(j.curtailed))
	}
}

// What a unit does not say follows from its state; a reason of a later version
// is none that can be booked, and its signal neither.
func TestForgoneWithoutAWord(t *testing.T) {
	for _, c := range []struct {
		say  events.UnitStatus
		want events.Reason
	}{
		{events.UnitStatus{State: events.PermitBoot, Healthy: true}, events.ReasonBoot},
		{events.UnitStatus{State: events.PermitFailsafe, Healthy: true}, events.ReasonLease},
		{events.UnitStatus{State: events.PermitLocal, Healthy: true}, events.ReasonLocal},
		{events.UnitStatus{State: events.PermitLimited, Healthy: true}, events.ReasonUnsaid},
		{events.UnitStatus{State: events.PermitLimited}, events.ReasonWorker},
		{events.UnitStatus{State: events.PermitRunning, SetpointWatts: 5000, Healthy: true}, events.ReasonMachine},
		{events.UnitStatus{State: events.PermitRunning, SetpointWatts: 5000, Healthy: true, Reason: "later", SignalID: "s"}, events.ReasonMachine},
		{events.UnitStatus{State: events.PermitRunning, SetpointWatts: 5000, Reason: events.ReasonWorker}, events.ReasonWorker},
	} {
		j := newJournal(t)
		j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
		s := status("rig", 4000, false, "", true)
		k := s.Units[0].Capabilities
		s.Units[0] = c.say
		s.Units[0].Unit, s.Units[0].Capabilities, s.Units[0].PowerWatts = "rig", k, 4000
		j.run(midnight.Add(hour+30*time.Second), func() { j.fold("rig", s) })
		want := fmt.Sprint(c.want, " ", 1_000_000, " ")
		if l := j.curtailed[0].Lines; len(l) != 1 || fmt.Sprint(l[0].Reason, " ", l[0].MilliwattHours, " ", l[0].SignalID) != want {
			t.Errorf("%+v: %+v, want %s", c.say, l, want)
		}
	}
}

// A unit that is ill when a signal comes was off anyway: nothing of it is that
// signal's until it is well again.
func TestForgoneOfTheIll(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	s := status("rig", 0, false, "", true)
	u := &s.Units[0]
	j.run(midnight.Add(hour+30*time.Second), func() {
		switch minute := j.now.Sub(midnight) / time.Minute; {
		case minute < 10: // broken at full power
			u.SetpointWatts, u.Healthy, u.Reason, u.SignalID = 5000, false, events.ReasonWorker, ""
		case minute < 30: // and lowered
			u.SetpointWatts, u.Reason, u.SignalID = 0, events.ReasonGridCurtail, "sig"
		case minute < 40: // mended
			u.Healthy = true
		default: // what goes wrong while it is lowered takes nothing from the signal
			u.Healthy = false
		}
		j.fold("rig", s)
	})
	if len(j.curtailed) != 1 {
		t.Fatalf("%d intervals", len(j.curtailed))
	}
	l := j.curtailed[0].Lines
	if len(l) != 2 || l[0].Reason != events.ReasonGridCurtail || l[0].SignalID != "sig" || l[0].MilliwattHours != 2_500_000 ||
		l[1].Reason != events.ReasonWorker || l[1].SignalID != "" || l[1].MilliwattHours != 2_500_000 {
		t.Errorf("lines %+v", l)
	}
}

// However many signals there are, an interval is one event of bounded size, and
// nothing of the energy is lost.
func TestForgoneIsBounded(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	s := status("rig", 0, false, "", true)
	n := 0
	j.run(midnight.Add(hour+30*time.Second), func() {
		n++
		s.Units[0].Reason, s.Units[0].SignalID = events.ReasonGridCurtail, fmt.Sprint("s", n)
		if n%2 == 0 {
			s.Units[0].Reason = events.ReasonEmergency
		}
		j.fold("rig", s)
	})
	if len(j.curtailed) != 1 {
		t.Fatalf("%d intervals", len(j.curtailed))
	}
	var sum int64
	for _, l := range j.curtailed[0].Lines {
		sum += l.MilliwattHours
	}
	if k := len(j.curtailed[0].Lines); k > events.MaxCurtailmentLines || k < 100 || sum != 5_000_000 {
		t.Errorf("%d lines of %d mWh", k, sum)
	}
	if !slices.Contains(j.raised, "settlement-signals") {
		t.Errorf("raised %v", j.raised)
	}
}

// Units whose shares were accepted for the practice pool are practice, those
// without a machine modelled; one that has found nothing yet is what the others
// of the site are.
func TestForgoneByBasis(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.fold("market", &events.MarketQuote{BTCPriceMicrousd: 5_000_000, Practice: true})
	for _, id := range []string{"cpu", "new", "sim"} {
		j.fold(id, status(id, 0, id == "sim", "", true))
	}
	p := livePayout()
	p.Basis = events.BasisPractice
	j.fold("gw-1", &events.ShareAccepted{ShareID: fmt.Sprintf("%064x", 1), JobID: "j", Agent: "cpu", Unit: "cpu", Difficulty: "1", Payout: p, JudgedAt: midnight})
	j.run(midnight.Add(hour+30*time.Second), func() {
		for _, id := range []string{"cpu", "new", "sim"} {
			j.fold(id, status(id, 0, id == "sim", "", false))
		}
	})
	if len(j.curtailed) != 1 {
		t.Fatalf("%d intervals", len(j.curtailed))
	}
	c := j.curtailed[0]
	if len(c.Lines) != 2 || c.Lines[0].Basis != events.BasisPractice || c.Lines[0].MilliwattHours != 10_000_000 || c.Lines[0].ModelledMilliwattHours != 0 ||
		c.Lines[1].Basis != events.BasisModelled || c.Lines[1].MilliwattHours != 5_000_000 || c.Lines[1].ModelledMilliwattHours != 5_000_000 {
		t.Errorf("lines %+v", c.Lines)
	}
	if c.Lines[0].ForgoneMillisats == 0 || c.Lines[1].ForgoneMillisats != 0 || len(c.Rates) != 1 || c.Rates[0].BTCPriceMicrousd != 5_000_000 {
		t.Errorf("worth %+v at %+v", c.Lines, c.Rates)
	}
}

// On a chain whose blocks are easier than a share, hashes are worth what shares
// are paid: the reward each.
func TestForgoneOnAnEasyChain(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	s := status("cpu", 0, false, "", true)
	s.Units[0].Capabilities.NameplateWatts, s.Units[0].Capabilities.MillijoulesPerTerahash = 10, 36_000_000_000 // 10^9 hashes per 10 Wh
	j.fold("cpu", s)
	p := livePayout()
	p.Basis, p.NBits, p.FeePPM, p.RewardSats = events.BasisPractice, "207fffff", 0, 5_000_000_000
	share := &events.ShareAccepted{ShareID: fmt.Sprintf("%064x", 1), JobID: "j", Agent: "cpu", Unit: "cpu", Difficulty: "0.001", Payout: p, JudgedAt: midnight}
	j.fold("gw-1", share)
	local := *share
	local.ShareID, local.Difficulty, local.Local = fmt.Sprintf("%064x", 2), "0.0001", true
	j.fold("gw-1", &local)
	j.run(midnight.Add(hour+30*time.Second), func() { j.fold("cpu", status("cpu", 0, false, "", false)) })
	if len(j.curtailed) != 1 || len(j.curtailed[0].Lines) != 1 {
		t.Fatalf("%+v", j.curtailed)
	}
	// 4295032 hashes are a share of difficulty 0.001.
	want := new(big.Int).Div(new(big.Int).Mul(big.NewInt(1_000_000_000), big.NewInt(5_000_000_000_000)), big.NewInt(4_295_032)).Int64()
	if l := j.curtailed[0].Lines[0]; l.Hashes != "1000000000" || l.ForgoneMillisats != want {
		t.Errorf("%s hashes worth %d msat, want %d", l.Hashes, l.ForgoneMillisats, want)
	}
	if r := j.curtailed[0].Rates; len(r) != 1 || r[0].ShareDifficulty != "0.001" {
		t.Errorf("rates %+v", r)
	}
}

// What an interval could have earned is in no margin, and a correction of the
// interval leaves it as it was.
func TestForgoneIsNoTermOfTheMargin(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.fold("rig", status("rig", 0, false, "", true))
	j.run(midnight.Add(hour+5*time.Minute), func() {
		j.fold("rig", status("rig", 0, false, "", false))
		if j.now.Equal(midnight.Add(hour + 2*time.Minute)) {
			j.share(midnight.Add(30*time.Minute), livePayout(), "1048576") // late: the interval is corrected
		}
	})
	if len(j.revenue) < 2 {
		t.Fatalf("%d settlements of energy, %d of revenue: want a correction", len(j.settled), len(j.revenue))
	}
	if len(j.curtailed) != 1 || j.curtailed[0].EnergyEventID != j.ids[0] {
		t.Errorf("curtailments %+v", j.curtailed)
	}
	for _, r := range j.revenue {
		if r.MarginMicrousd != sumMicrousd(r) {
			t.Errorf("margin %d, want %d", r.MarginMicrousd, sumMicrousd(r))
		}
	}
}

func sumMicrousd(r *events.RevenueSettled) int64 {
	n := r.ResaleMicrousd - r.EnergyCostMicrousd
	for _, t := range r.Totals {
		n += t.RevenueMicrousd
	}
	return n
}
