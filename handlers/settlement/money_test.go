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
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

func ptr[T any](v T) *T { return &v }

func priceSignal(id string, microusd int64, starts time.Time, seconds int64) *events.GridSignal {
	s := &events.GridSignal{SignalID: id, Kind: events.SignalPrice, PriceMicrousdPerMWh: &microusd, DurationSeconds: seconds}
	if !starts.IsZero() {
		s.StartsAt = &starts
	}
	return s
}

// mineAt runs an hour with 360 kW of mining, telling the decider things at
// given seconds.
func mineAt(t *testing.T, c *events.SiteConfig, at map[int]func(*journal)) *journal {
	j := newJournal(t)
	j.fold("operator", c)
	j.run(midnight.Add(hour+30*time.Second), func() {
		if f := at[int(j.now.Sub(midnight).Seconds())]; f != nil {
			f(j)
		}
		j.read("ai", 140_000)
		j.read("mine", 360_000)
	})
	return j
}

func TestPriceInForce(t *testing.T) {
	meters := []events.MeterConfig{meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining)}
	say := func(source string, s *events.GridSignal) func(*journal) {
		return func(j *journal) { j.fold(source, s) }
	}
	for _, c := range []struct {
		name       string
		indexed    bool
		resale     bool
		at         map[int]func(*journal)
		cost, mean int64 // µ$, µ$/MWh
		earned     int64
	}{
		{"fixed, signals ignored", false, false, map[int]func(*journal){0: say("iso", priceSignal("a", 90_000_000, time.Time{}, 0))}, 18_000_000, 50_000_000, 0},
		{"indexed without a signal", true, false, nil, 18_000_000, 50_000_000, 0},
		{"from half past on", true, false, map[int]func(*journal){1800: say("iso", priceSignal("a", 90_000_000, time.Time{}, 0))}, 9_000_000 + 16_200_000, 70_000_000, 0},
		{"announced", true, false, map[int]func(*journal){5: say("iso", priceSignal("a", 90_000_000, midnight.Add(1800*time.Second), 0))}, 25_200_000, 70_000_000, 0},
		{"a window", true, false, map[int]func(*journal){5: say("iso", priceSignal("a", 90_000_000, midnight.Add(900*time.Second), 900))}, 4_500_000*3 + 8_100_000, 60_000_000, 0},
		{"negative", true, true, map[int]func(*journal){0: say("iso", priceSignal("a", -10_000_000, time.Time{}, 0))}, -3_600_000, -10_000_000, 0},
		{"drill", true, false, map[int]func(*journal){0: func(j *journal) {
			s := priceSignal("a", 90_000_000, time.Time{}, 0)
			s.Test = true
			j.fold("iso", s)
		}}, 18_000_000, 50_000_000, 0},
		{"cancelled by its source", true, false, map[int]func(*journal){
			0:    say("iso", priceSignal("a", 90_000_000, time.Time{}, 0)),
			1800: say("iso", &events.GridSignal{Kind: events.SignalRestore, Cancels: "a"}),
		}, 16_200_000 + 9_000_000, 70_000_000, 0},
		{"not cancelled by another", true, false, map[int]func(*journal){
			0:    say("iso", priceSignal("a", 90_000_000, time.Time{}, 0)),
			1800: say("other", &events.GridSignal{Kind: events.SignalRestore, Cancels: "a"}),
		}, 32_400_000, 90_000_000, 0},
		{"cancelled by the operator", true, false, map[int]func(*journal){
			0:    say("iso", priceSignal("a", 90_000_000, time.Time{}, 0)),
			1800: say("operator", &events.GridSignal{Kind: events.SignalRestore, Cancels: "a"}),
		}, 25_200_000, 70_000_000, 0},
		{"superseded", true, false, map[int]func(*journal){
			0: say("iso", priceSignal("a", 90_000_000, time.Time{}, 0)),
			1800: func(j *journal) {
				s := priceSignal("b", 10_000_000, time.Time{}, 900)
				s.Supersedes = "a"
				j.fold("iso", s)
			},
		}, 16_200_000 + 900_000 + 4_500_000, 60_000_000, 0},
		{"lower precedence loses", true, false, map[int]func(*journal){
			0: func(j *journal) {
				s := priceSignal("a", 90_000_000, time.Time{}, 0)
				s.Precedence = events.PrecedenceAIContract
				j.fold("iso", s)
			},
			1800: say("iso", priceSignal("b", 10_000_000, time.Time{}, 0)),
		}, 32_400_000, 90_000_000, 0},
		{"resale", true, true, map[int]func(*journal){1800: say("iso", priceSignal("a", 90_000_000, time.Time{}, 0))}, 25_200_000, 70_000_000, 12_500_000 + 22_500_000},
		{"nobody pays for resale at a negative price", true, true, map[int]func(*journal){1800: say("iso", priceSignal("a", -90_000_000, time.Time{}, 0))}, 9_000_000 - 16_200_000, -20_000_000, 12_500_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := siteConfig(meters...)
			cfg.Tariff.Indexed, cfg.Tariff.ResaleAllowed = c.indexed, c.resale
			j := mineAt(t, cfg, c.at)
			r, e := j.revenue[0], j.settled[0]
			if r.EnergyCostMicrousd != c.cost || r.PriceMicrousdPerMWh != c.mean || r.ResaleMicrousd != c.earned {
				t.Errorf("cost %d, mean price %d, resale %d; want %d, %d, %d",
					r.EnergyCostMicrousd, r.PriceMicrousdPerMWh, r.ResaleMicrousd, c.cost, c.mean, c.earned)
			}
			if r.MarginMicrousd != c.earned-c.cost {
				t.Errorf("margin %d", r.MarginMicrousd)
			}
			if !c.resale && e.ResoldMilliwattHours != 0 || e.ResoldMilliwattHours+e.UnusedMilliwattHours != 500_000_000 {
				t.Errorf("resold %d, unused %d mWh", e.ResoldMilliwattHours, e.UnusedMilliwattHours)
			}
			if c.name == "resale" && e.UnusedMilliwattHours != 0 {
				t.Errorf("unused %d mWh", e.UnusedMilliwattHours)
			}
		})
	}
}

func TestPriceEverySecond(t *testing.T) {
	c := siteConfig(meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining))
	c.Tariff.Indexed = true
	at := map[int]func(*journal){}
	for s := range 3600 {
		at[s] = func(j *journal) { j.fold("iso", priceSignal("p", int64(s)*1_000_000, time.Time{}, 0)) }
	}
	j := mineAt(t, c, at)
	// Constant power: the mean price is exact even where cuts were merged.
	if r := j.revenue[0]; r.PriceMicrousdPerMWh != 1_799_500_000 || r.EnergyCostMicrousd != 1_799_500_000*36/100 {
		t.Errorf("cost %d at %d", r.EnergyCostMicrousd, r.PriceMicrousdPerMWh)
	}
	if n := len(j.d.Periods); n > maxPeriods+10 {
		t.Errorf("%d periods", n)
	}
}

func TestVerdicts(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.fold("market", &events.MarketQuote{BTCPriceMicrousd: 86_000_000_000})
	j.fold("market", &events.MarketQuote{BTCPriceMicrousd: 1_000_000_000, Practice: true})
	// A node's template says nothing of prices.
	j.fold("gw-1", &events.MarketQuote{NBits: "17034219", NetworkOnly: true})
	j.fold("gw-1", &events.MarketQuote{NBits: "17034219", NetworkOnly: true, Practice: true})
	j.fold("rig", status("rig", 0, false, "", true))
	with := func(change func(*events.Payout)) events.Payout {
		p := livePayout()
		change(&p)
		return p
	}
	j.at(midnight.Add(time.Minute))
	for range 400 {
		j.share(j.now, livePayout(), "1048576")
	}
	dup := events.New("tx1", "gw-1", &events.ShareAccepted{ShareID: fmt.Sprintf("%064x", j.shares), Unit: "rig", Difficulty: "1048576", Payout: livePayout()})
	j.foldEvent(dup)
	for _, s := range []events.Scheme{events.SchemePPLNS, events.SchemeSolo} {
		j.share(j.now, with(func(p *events.Payout) { p.Scheme = s }), "1e3")
	}
	j.share(j.now, with(func(p *events.Payout) { p.Scheme = events.SchemePPS; p.Basis = events.BasisPractice }), "1048576")
	j.share(j.now, with(func(p *events.Payout) { p.Basis = events.BasisModelled }), "524288")
	j.share(j.now, with(func(p *events.Payout) { p.Basis = events.BasisModelled }), "524288")
	j.share(j.now, livePayout(), "zero") // accepted, but not a difficulty
	j.fold("gw-1", &events.ShareRejected{ShareID: "r1", Unit: "rig", Difficulty: "1", Reason: events.RejectStale, Basis: events.BasisLive})
	j.fold("gw-1", &events.ShareRejected{ShareID: "r1", Unit: "rig", Difficulty: "1", Reason: events.RejectStale, Basis: events.BasisLive})
	j.fold("gw-1", &events.ShareUnknown{ShareID: "u1", Unit: "rig", Difficulty: "1", Basis: events.BasisModelled})
	j.at(midnight.Add(30 * time.Minute))
	for range 600 {
		j.share(j.now, livePayout(), "1048576")
	}
	j.run(midnight.Add(hour+30*time.Second), func() { j.read("ai", 1000) })

	want := []events.BasisTotal{
		{Basis: events.BasisLive, SharesAccepted: 1003, SharesRejected: 1, RevenueMillisats: 3_776_708, RevenueMicrousd: 1_299_187 + 1_948_781},
		{Basis: events.BasisPractice, SharesAccepted: 1, RevenueMillisats: 3776, RevenueMicrousd: 37},
		{Basis: events.BasisModelled, SharesAccepted: 2, SharesUnknown: 1, RevenueMillisats: 3776, RevenueMicrousd: 3247},
	}
	if got := j.revenue[0].Totals; !slices.Equal(got, want) {
		t.Errorf("totals\n%+v, want\n%+v", got, want)
	}
	var credits []int64
	for _, a := range j.accrued {
		credits = append(credits, a.ValueMillisats)
	}
	if want := []int64{1_510_683, 0, 0, 3776, 3776, 2_266_025}; !slices.Equal(credits, want) {
		t.Errorf("credits %v, want %v", credits, want)
	}
	if !slices.Equal(j.raised, []string{"settlement-payout"}) {
		t.Errorf("alerts %v", j.raised)
	}
	// All accepted shares of the rig at 20 J/TH: Σ D · 4295032833 · 20 / 10^12 J.
	joules := new(big.Int).Mul(big.NewInt(1002*1048576+2000), big.NewInt(work.HashesPerDifficulty*20))
	joules.Div(joules, big.NewInt(3_600_000_000_000)) // 10^12 hashes per TH, 3.6 J per mWh
	if got := j.settled[0].WitnessMilliwattHours; got != joules.Int64() {
		t.Errorf("witness = %d mWh, want %v", got, joules)
	}
}

func TestLateSharesCorrectTheirInterval(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.run(midnight.Add(3*hour+30*time.Second), func() {
		j.read("ai", 1000)
		if j.now.Equal(midnight.Add(2*hour + 10*time.Minute)) { // the relay was away since 00:20
			for i := range 100 {
				j.share(midnight.Add(20*time.Minute+time.Duration(i)*time.Minute), livePayout(), "1048576")
			}
		}
	})
	if len(j.settled) != 5 || len(j.revenue) != 5 {
		t.Fatalf("%d settlements", len(j.settled))
	}
	for i, want := range []struct {
		reverses int
		shares   int64
	}{{-1, 0}, {-1, 0}, {0, 40}, {1, 60}, {-1, 0}} {
		e, r := j.settled[i], j.revenue[i]
		var shares int64
		if len(r.Totals) > 0 {
			shares = r.Totals[0].SharesAccepted
		}
		reverses := ""
		if want.reverses >= 0 {
			reverses = j.ids[want.reverses]
		}
		if shares != want.shares || e.Reverses != reverses {
			t.Errorf("settlement %d: %d shares, reverses %q; want %d, %q", i, shares, e.Reverses, want.shares, reverses)
		}
	}
	for _, a := range j.accrued {
		if a.Until.Sub(a.From) != time.Minute || a.SharesAccepted != 1 {
			t.Errorf("accrual %+v", a)
		}
	}
}

func TestVeryLateSharesAreBookedNow(t *testing.T) {
	j := newJournal(t)
	c := siteConfig(meterOf("ai", events.MeasuresAI))
	c.Tariff.IntervalSeconds, c.Tariff.GraceSeconds = 60, 0
	j.fold("operator", c)
	j.run(midnight.Add(2*hour), func() { j.read("ai", 1000) })
	j.share(midnight.Add(10*time.Minute), livePayout(), "1048576")
	before := len(j.revenue)
	j.run(midnight.Add(2*hour+time.Minute), func() { j.read("ai", 1000) })
	if got := j.revenue[before:]; len(got) != 1 || len(got[0].Totals) != 1 || got[0].Reverses != "" {
		t.Errorf("revenue %+v", got)
	}
	if !slices.Equal(j.raised, []string{"settlement-late-share"}) {
		t.Errorf("alerts %v", j.raised)
	}
	j.run(midnight.Add(2*hour+3*time.Minute), nil)
	if !slices.Equal(j.cleared, j.raised) {
		t.Errorf("cleared %v", j.cleared)
	}
}

func TestBlocksOfATestChainAreCappedAndHeldBack(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	p := events.Payout{Pool: "practice", NBits: "207fffff", RewardSats: 5_000_000_000, Scheme: events.SchemeFPPS, Basis: events.BasisPractice}
	const shares = 2000 // 50 BTC each: more than an event can carry
	for range shares {
		j.share(midnight.Add(time.Minute), p, "0.001")
	}
	j.run(midnight.Add(hour+30*time.Second), nil)
	j.share(j.now, p, "0.001")
	j.run(midnight.Add(2*hour+30*time.Second), nil)
	var all int64
	for _, r := range j.revenue {
		all += r.Totals[0].RevenueMillisats
	}
	if want := int64((shares + 1) * 5_000_000_000_000); all != want || j.revenue[0].Totals[0].RevenueMillisats != events.MaxInteger {
		t.Errorf("revenue = %d msat, want %d", all, want)
	}
	if !slices.Contains(j.raised, "settlement-ceiling/practice") {
		t.Errorf("alerts %v", j.raised)
	}
}

// TestCreditsAreExactHoweverTheyCome books random shares of several pools,
// bases, targets, rewards and fees, at random times and in random order, and
// compares each purse with one rational sum.
func TestCreditsAreExactHoweverTheyCome(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 5_000
	}
	r := rand.New(rand.NewPCG(3, 9))
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	difficulties := []string{"0.001", "1", "512.25", "65536", "1048576"}
	exact := map[string]*big.Int{}
	booked := map[string]int64{}
	carry := map[string]string{}
	den := work.Denominator()
	var left int
	j.onOutput = func(e *events.Event) {
		if a, ok := e.Data.(*events.RevenueAccrued); ok {
			k := a.Payout.Pool + string(a.Payout.Basis)
			booked[k] += a.ValueMillisats
			carry[k] = a.CarryNumerator
			left -= int(a.SharesAccepted)
		}
	}
	for i := range n {
		p := events.Payout{
			Pool: []string{"p", "q"}[r.IntN(2)], NBits: []string{"17034219", "1702068f"}[r.IntN(2)],
			RewardSats: 312_500_000 + r.Int64N(3)*5_000_000, FeePPM: r.Int64N(2) * 20_000,
			Scheme: []events.Scheme{events.SchemeFPPS, events.SchemePPS}[r.IntN(2)],
			Basis:  []events.Basis{events.BasisLive, events.BasisModelled}[r.IntN(2)],
		}
		text := difficulties[r.IntN(len(difficulties))]
		j.share(j.now.Add(-time.Duration(r.IntN(7200))*time.Second), p, text)
		left++
		d, _ := work.ParseDifficulty(text)
		ep, _ := work.NewEpoch(p.NBits, p.RewardSats, p.FeePPM)
		var s work.Sum
		ep.Add(&s, d)
		k := p.Pool + string(p.Basis)
		if exact[k] == nil {
			exact[k] = new(big.Int)
		}
		exact[k].Add(exact[k], ep.Numerator(&s))
		if i%20 == 0 {
			j.at(j.now.Add(time.Duration(r.IntN(20)) * time.Second)).tick()
		}
	}
	j.run(j.now.Add(2*hour), nil)
	if left != 0 {
		t.Errorf("%d shares were not booked", left)
	}
	for k, x := range exact {
		want, rest := new(big.Int).QuoRem(x, den, new(big.Int))
		if want.Int64() != booked[k] || rest.String() != carry[k] {
			t.Errorf("%s: booked %d msat, want %v; carry %s, want %v", k, booked[k], want, carry[k], rest)
		}
	}
}

func TestSharesBeforeTheFirstConfiguration(t *testing.T) {
	j := newJournal(t)
	j.share(midnight, livePayout(), "1048576")
	j.fold("rig", status("rig", 3600, false, "", true))
	j.at(midnight.Add(90*time.Second)).fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.run(midnight.Add(hour+30*time.Second), func() { j.read("ai", 1000) })
	r, e := j.revenue[0], j.settled[0]
	if len(r.Totals) != 1 || r.Totals[0].SharesAccepted != 1 || r.Totals[0].RevenueMillisats != 3776 {
		t.Errorf("revenue %+v", r)
	}
	if !e.IntervalStart.Equal(midnight.Add(90*time.Second)) || e.ContractedMilliwattHours != 975_000_000 {
		t.Errorf("settled %+v", e)
	}
}
