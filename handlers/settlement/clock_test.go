// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func TestClockSetBack(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining)))
	counter := int64(0)
	each := func() {
		counter += 100_000 // 360 kW
		j.count("ai", 360_000, counter)
		j.read("mine", 1000)
	}
	j.run(midnight.Add(30*time.Minute), each)
	j.share(j.now, livePayout(), "1048576")
	// A false year, then the truth again.
	j.at(midnight.AddDate(1, 0, 0))
	j.run(midnight.AddDate(1, 0, 0).Add(10*time.Minute), each)
	j.share(j.now, livePayout(), "1048576")
	j.at(midnight.Add(31 * time.Minute))
	j.run(midnight.Add(2*hour+30*time.Second), each)
	if !slices.Equal(j.raised, []string{"settlement-gap", "settlement-clock"}) {
		t.Errorf("alerts %v", j.raised)
	}
	var starts []time.Duration
	var shares int64
	for i, e := range j.settled {
		if e.Reverses != "" {
			continue
		}
		starts = append(starts, e.IntervalStart.Sub(midnight))
		for _, b := range j.revenue[i].Totals {
			shares += b.SharesAccepted
		}
	}
	want := []time.Duration{0, midnight.AddDate(1, 0, 0).Sub(midnight), 31 * time.Minute, hour}
	if !slices.Equal(starts, want) || shares != 2 {
		t.Errorf("intervals from %v with %d shares, want %v with 2", starts, shares, want)
	}
	if e := j.lastSettled(); e.AIMilliwattHours != 360_000_000 || e.EstimatedMilliwattHours != 0 {
		t.Errorf("settled %+v", e)
	}
}

// What a share was paid in a year that never was is not the newest for all of
// the year to come.
func TestRatesAfterClockSetBack(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.at(midnight.AddDate(1, 0, 0)).fold("rig", status("rig", 0, false, "", true))
	j.share(j.now, livePayout(), "1048576")
	j.at(midnight.Add(time.Minute))
	now := livePayout()
	now.RewardSats /= 2
	j.share(j.now, now, "1048576")
	j.run(midnight.Add(hour+30*time.Second), func() { j.fold("rig", status("rig", 0, false, "", false)) })
	c := j.curtailed[len(j.curtailed)-1]
	if len(c.Rates) != 1 || c.Rates[0].Payout != now {
		t.Errorf("valued at %+v, want %+v", c.Rates, now)
	}
}

func TestClockSetBackAtOnce(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.at(midnight.Add(-5 * hour)).tick()
	j.run(midnight.Add(-4*hour+time.Minute), func() { j.read("ai", 1000) })
	if len(j.settled) != 1 || !j.settled[0].IntervalStart.Equal(midnight.Add(-5*hour)) {
		t.Errorf("settled %+v", j.settled)
	}
}

// TestHashSeesEverything changes one thing of a short journal at a time.
func TestHashSeesEverything(t *testing.T) {
	type story struct {
		config  *events.SiteConfig
		reading events.MeterReading
		status  *events.WorkerStatus
		signal  *events.GridSignal
		quote   events.MarketQuote
		share   events.ShareAccepted
		step    time.Duration
	}
	tell := func(change func(*story)) uint64 {
		counter := int64(5)
		s := story{
			config:  siteConfig(meterOf("ai", events.MeasuresAI)),
			reading: events.MeterReading{PowerWatts: 5, EnergyMilliwattHours: &counter, SampledAt: midnight.Add(time.Second), Quality: events.QualityGood},
			status:  status("rig", 5, false, "", true),
			signal:  priceSignal("a", 7, time.Time{}, 60),
			quote:   events.MarketQuote{BTCPriceMicrousd: 9},
			share:   events.ShareAccepted{ShareID: "s", Unit: "rig", Difficulty: "1", Payout: livePayout()},
			step:    time.Second,
		}
		change(&s)
		j := newJournal(t)
		j.fold("operator", s.config)
		j.at(midnight.Add(s.step))
		j.fold("ai", &s.reading)
		j.fold("rig", s.status)
		j.fold("iso", s.signal)
		j.fold("market", &s.quote)
		j.fold("gw-1", &s.share)
		return j.d.StateHash()
	}
	seen := map[uint64]string{}
	for name, change := range map[string]func(*story){
		"nothing":     func(*story) {},
		"time":        func(s *story) { s.step += time.Millisecond },
		"limit":       func(s *story) { s.config.LimitWatts++ },
		"contract":    func(s *story) { s.config.ContractedWatts++ },
		"nameplate":   func(s *story) { s.config.AINameplateWatts++ },
		"house":       func(s *story) { s.config.HouseWatts++ },
		"grace":       func(s *story) { s.config.Tariff.GraceSeconds++ },
		"accrual":     func(s *story) { s.config.Tariff.AccrualSeconds = 30 },
		"price":       func(s *story) { s.config.Tariff.EnergyPriceMicrousdPerMWh++ },
		"indexed":     func(s *story) { s.config.Tariff.Indexed = true },
		"resale":      func(s *story) { s.config.Tariff.ResaleAllowed = true },
		"lease":       func(s *story) { s.config.Policy.LeaseMilliseconds++ },
		"stale":       func(s *story) { s.config.Meters[0].StaleMilliseconds++ },
		"modulus":     func(s *story) { s.config.Meters[0].CounterModulusMilliwattHours = 9 },
		"kind":        func(s *story) { s.config.Meters[0].Measures = events.MeasuresTotal },
		"watts":       func(s *story) { s.reading.PowerWatts++ },
		"counter":     func(s *story) { *s.reading.EnergyMilliwattHours++ },
		"sampled":     func(s *story) { s.reading.SampledAt = midnight },
		"suspect":     func(s *story) { s.reading.Quality = events.QualitySuspect },
		"modelled":    func(s *story) { s.reading.Modelled = true },
		"unit":        func(s *story) { s.status.Units[0].PowerWatts++ },
		"unit kind":   func(s *story) { s.status.Units[0].Modelled = true },
		"unit power":  func(s *story) { s.status.Units[0].PowerModelled = true },
		"unit reason": func(s *story) { s.status.Units[0].Reason = events.ReasonHeadroom },
		"unit signal": func(s *story) {
			s.status.Units[0].Reason, s.status.Units[0].SignalID = events.ReasonHeadroom, "sig"
		},
		"full power":  func(s *story) { s.status.Units[0].Capabilities.NameplateWatts++ },
		"failsafe":    func(s *story) { s.status.Units[0].Capabilities.FailsafeWatts++ },
		"efficiency":  func(s *story) { s.status.Units[0].Capabilities.MillijoulesPerTerahash++ },
		"unit meter":  func(s *story) { s.status.Units[0].Capabilities.Meter = "m" },
		"signal":      func(s *story) { *s.signal.PriceMicrousdPerMWh++ },
		"window":      func(s *story) { s.signal.DurationSeconds++ },
		"quote":       func(s *story) { s.quote.BTCPriceMicrousd++ },
		"quote kind":  func(s *story) { s.quote.Practice = true },
		"share":       func(s *story) { s.share.ShareID = "t" },
		"difficulty":  func(s *story) { s.share.Difficulty = "2" },
		"reward":      func(s *story) { s.share.Payout.RewardSats++ },
		"share basis": func(s *story) { s.share.Payout.Basis = events.BasisModelled },
	} {
		h := tell(change)
		if other, ok := seen[h]; ok {
			t.Errorf("%q and %q give the same hash", name, other)
		}
		seen[h] = name
	}
}
