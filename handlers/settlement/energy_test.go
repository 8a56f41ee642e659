// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func TestRemaindersAreCarried(t *testing.T) {
	j := newJournal(t)
	c := siteConfig(meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining))
	c.Tariff.IntervalSeconds, c.Tariff.GraceSeconds, c.Tariff.AccrualSeconds = 1, 0, 1
	c.ContractedWatts = 1001
	j.fold("operator", c)
	j.run(midnight.Add(hour), func() { j.read("ai", 7); j.read("mine", 13) })
	if len(j.settled) != 3600 {
		t.Fatalf("%d intervals", len(j.settled))
	}
	var sums [7]int64
	for _, e := range j.settled {
		for i, v := range figuresOf(e) {
			sums[i] += v
		}
	}
	// Unused is a difference of whole numbers, so it may lag by the carries.
	if want := [7]int64{1001_000, 0, 7000, 0, 13000, 0, 981_000}; sums != want {
		t.Errorf("sums of an hour of seconds = %v, want %v", sums, want)
	}
}

func TestEstimateIsCorrectedByTheCounter(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	quietFrom, quietUntil := midnight.Add(30*time.Minute), midnight.Add(90*time.Minute)
	counter := func() int64 { return 5_000_000 + int64(j.now.Sub(midnight).Seconds())*360_000/3600*1000 } // 360 kW
	j.run(midnight.Add(2*hour+30*time.Second), func() {
		if j.now.Before(quietFrom) || !j.now.Before(quietUntil) {
			j.count("ai", 360_000, counter())
		}
	})
	// First close: half an hour and 4 s (till stale) known, the rest at nameplate.
	first := j.settled[0]
	if first.EstimatedMilliwattHours == 0 || first.AIMilliwattHours <= 360_000_000 {
		t.Fatalf("first close %+v", first)
	}
	if len(j.settled) != 3 || j.settled[1].Reverses != j.ids[0] || j.revenue[1].Reverses == "" {
		t.Fatalf("%d settlements, %+v", len(j.settled), j.settled)
	}
	for _, e := range j.settled[1:] {
		if e.AIMilliwattHours != 360_000_000 || e.EstimatedMilliwattHours != 0 {
			t.Errorf("settled %+v", e)
		}
	}
}

func TestWithoutCounterEstimatesStand(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.run(midnight.Add(hour+30*time.Second), func() {
		if j.now.Before(midnight.Add(30 * time.Minute)) {
			j.read("ai", 360_000)
		}
	})
	// Last reading at 29:59, held for 5 s: 1804 s at 360 kW, 1796 s at 800 kW.
	want := (int64(1804)*360_000 + 1796*800_000) * 1000 / 3600
	if got := j.lastSettled().AIMilliwattHours; got != want {
		t.Errorf("AI = %d mWh, want %d", got, want)
	}
	if got, want := j.lastSettled().EstimatedMilliwattHours, int64(1796)*800_000*1000/3600; got != want {
		t.Errorf("estimated = %d mWh, want %d", got, want)
	}
	if len(j.settled) != 1 {
		t.Errorf("%d settlements", len(j.settled))
	}
}

func TestCounters(t *testing.T) {
	const watts = 360_000 // 100 000 mWh each second
	for _, c := range []struct {
		name    string
		modulus int64
		// value of the counter after s seconds, and the power shown beside it
		value func(s int64) (mwh, watts int64)
		want  int64 // mWh of the first hour, within 100 Wh
		alert bool
	}{
		{"counter beats power", 0, func(s int64) (int64, int64) { return s * 100_000, watts * 3 / 4 }, 360_000_000, false},
		{"rollover", 10_000_000, func(s int64) (int64, int64) { return s * 100_000 % 10_000_000, watts }, 360_000_000, false},
		{"reset", 0, func(s int64) (int64, int64) { return s % 1000 * 100_000, watts }, 360_000_000, false},
		{"reset below its modulus", 1 << 50, func(s int64) (int64, int64) { return s % 1000 * 100_000, watts }, 360_000_000, false},
		{"jump", 0, func(s int64) (int64, int64) { return s*100_000 + s/1800*1e12, watts }, 360_000_000, true},
		{"stuck", 0, func(int64) (int64, int64) { return 77, watts }, 360_000_000, false},
		{"thousandfold too small", 0, func(s int64) (int64, int64) { return s * 100, watts }, 360_000_000, true},
		{"thousandfold too large", 0, func(s int64) (int64, int64) { return s * 100_000_000, watts }, 360_000_000, true},
		{"coarse steps of 1 kWh", 0, func(s int64) (int64, int64) { return s / 10 * 1_000_000, watts }, 360_000_000, false},
		{"moves a minute late", 0, func(s int64) (int64, int64) { return s / 60 * 6_000_000, watts }, 360_000_000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := newJournal(t)
			m := meterOf("ai", events.MeasuresAI)
			m.CounterModulusMilliwattHours = c.modulus
			j.fold("operator", siteConfig(m))
			j.run(midnight.Add(hour+30*time.Second), func() {
				mwh, w := c.value(int64(j.now.Sub(midnight).Seconds()))
				j.count("ai", w, mwh)
			})
			if got := j.settled[0].AIMilliwattHours; got < c.want-100_000 || got > c.want+100_000 {
				t.Errorf("AI = %d mWh, want about %d", got, c.want)
			}
			if c.alert != slices.Contains(j.raised, "settlement-counter/ai") {
				t.Errorf("alerts %v", j.raised)
			}
			if len(j.settled) != 1 {
				t.Errorf("%d settlements", len(j.settled))
			}
		})
	}
}

func TestBadReadingsAreNoReadings(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.run(midnight.Add(hour+30*time.Second), func() {
		j.read("ai", 300_000)
		at := j.now
		for _, r := range []events.MeterReading{
			{PowerWatts: -5, SampledAt: at, Quality: events.QualityGood},
			{PowerWatts: 2_000_001, SampledAt: at, Quality: events.QualityGood},
			{PowerWatts: 1, SampledAt: at, Quality: events.QualityBad},
			{PowerWatts: 1, SampledAt: at.Add(-time.Second), Quality: events.QualityGood},
			{PowerWatts: 1, SampledAt: at.Add(-time.Hour), Quality: events.QualityGood},
			{PowerWatts: 1, SampledAt: at.Add(time.Hour), Quality: events.QualityGood},
		} {
			j.fold("ai", &r)
		}
		j.read("nobody", 5)
	})
	if e := j.lastSettled(); e.AIMilliwattHours != 300_000_000 || e.EstimatedMilliwattHours != 0 {
		t.Errorf("settled %+v", e)
	}
	if !slices.Equal(j.raised, []string{"settlement-late/ai"}) {
		t.Errorf("alerts %v", j.raised)
	}
}

func TestGroupsAndTotals(t *testing.T) {
	grouped := func(id string, m events.Measures, g string) events.MeterConfig {
		c := meterOf(id, m)
		c.Group = g
		return c
	}
	for _, c := range []struct {
		name  string
		house int64
		m     []events.MeterConfig
		watts map[string]int64
		want  [7]int64 // kWh
	}{
		{"highest of a group", 0,
			[]events.MeterConfig{grouped("a", events.MeasuresAI, "g"), grouped("b", events.MeasuresAI, "g"), meterOf("c", events.MeasuresAI)},
			map[string]int64{"a": 200_000, "b": 210_000, "c": 50_000}, [7]int64{1000, 0, 260, 0, 0, 0, 740}},
		{"silent member of a group", 0,
			[]events.MeterConfig{grouped("a", events.MeasuresAI, "g"), grouped("b", events.MeasuresAI, "g")},
			map[string]int64{"a": 200_000}, [7]int64{1000, 0, 200, 0, 0, 0, 800}},
		{"total above parts is house load", 10_000,
			[]events.MeterConfig{meterOf("ai", events.MeasuresAI), meterOf("all", events.MeasuresTotal), meterOf("mine", events.MeasuresMining)},
			map[string]int64{"ai": 300_000, "mine": 200_000, "all": 560_000}, [7]int64{1000, 0, 300, 60, 200, 0, 440}},
		{"total below parts is not believed", 0,
			[]events.MeterConfig{meterOf("ai", events.MeasuresAI), meterOf("all", events.MeasuresTotal), meterOf("mine", events.MeasuresMining)},
			map[string]int64{"ai": 300_000, "mine": 200_000, "all": 400_000}, [7]int64{1000, 0, 300, 0, 200, 0, 500}},
		{"AI seen by the total only", 10_000,
			[]events.MeterConfig{meterOf("all", events.MeasuresTotal), meterOf("mine", events.MeasuresMining), meterOf("fans", events.MeasuresHouse)},
			map[string]int64{"all": 600_000, "mine": 200_000, "fans": 30_000}, [7]int64{1000, 0, 360, 40, 200, 0, 400}},
		{"overdrawn", 0,
			[]events.MeterConfig{meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining)},
			map[string]int64{"ai": 900_000, "mine": 200_000}, [7]int64{1000, 100, 900, 0, 200, 0, 0}},
		{"AI silent, total known", 0,
			[]events.MeterConfig{meterOf("ai", events.MeasuresAI), meterOf("all", events.MeasuresTotal), meterOf("mine", events.MeasuresMining)},
			map[string]int64{"mine": 200_000, "all": 560_000}, [7]int64{1000, 0, 360, 0, 200, 0, 440}},
		{"everything silent", 5_000,
			[]events.MeterConfig{meterOf("ai", events.MeasuresAI), meterOf("all", events.MeasuresTotal), meterOf("mine", events.MeasuresMining)},
			nil, [7]int64{1000, 0, 800, 5, 0, 0, 195}},
		{"total silent, AI seen by nothing else", 5_000,
			[]events.MeterConfig{meterOf("all", events.MeasuresTotal), meterOf("mine", events.MeasuresMining)},
			map[string]int64{"mine": 100_000}, [7]int64{1000, 0, 800, 5, 100, 0, 95}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := newJournal(t)
			cfg := siteConfig(c.m...)
			cfg.HouseWatts = c.house
			j.fold("operator", cfg)
			j.run(midnight.Add(hour+30*time.Second), func() {
				for _, m := range c.m {
					if w, ok := c.watts[m.Meter]; ok {
						j.read(m.Meter, w)
					}
				}
			})
			got := figuresOf(j.lastSettled())
			for i := range got {
				got[i] /= 1_000_000
			}
			if got != c.want {
				t.Errorf("balance = %v kWh, want %v", got, c.want)
			}
		})
	}
}

func status(agent string, watts int64, modelled bool, meter string, announce bool) *events.WorkerStatus {
	u := events.UnitStatus{Unit: agent, State: events.PermitRunning, PowerWatts: watts, Healthy: true, Modelled: modelled}
	if announce {
		u.Capabilities = &events.Capabilities{Class: "cpu", NameplateWatts: 5000, FailsafeWatts: 100, MillijoulesPerTerahash: 20_000, Meter: meter}
	}
	return &events.WorkerStatus{BootID: "b", Counter: 1, Announce: announce, Units: []events.UnitStatus{u}}
}

func TestUnitsWithoutAMeter(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining)))
	j.run(midnight.Add(hour+30*time.Second), func() {
		j.read("ai", 100_000)
		j.read("mine", 7000)
		first := j.now.Equal(midnight)
		if j.now.Before(midnight.Add(30 * time.Minute)) { // then silent: failsafe after lease and fall
			j.fold("rig", status("rig", 3600, false, "", first))
		}
		j.fold("sim", status("sim", 2000, true, "unknown", first))
		j.fold("metered", status("metered", 7000, true, "mine", first))
		real := status("real", 1000, false, "", first) // real hashes at a modelled power, an hour through
		real.Units[0].PowerModelled = true
		j.fold("real", real)
		if j.now.Equal(midnight.Add(15 * time.Minute)) {
			j.fold("gone", status("gone", 5000, false, "", true))
		}
		if j.now.Equal(midnight.Add(15*time.Minute + 10*time.Second)) {
			j.fold("gone", &events.WorkerStatus{BootID: "b", Counter: 2, Leaving: true})
		}
	})
	e := j.lastSettled()
	// rig: 1799 s + 17 s at 3600 W, then 100 W; sim 2000 W; real 1000 W; gone 10 s at 5000 W.
	units := (int64(1816)*3600 + 1784*100 + 3600*2000 + 3600*1000 + 10*5000) * 1000 / 3600
	if want := units + 7_000_000; e.MiningMilliwattHours != want {
		t.Errorf("mining = %d mWh, want %d", e.MiningMilliwattHours, want)
	}
	if e.EstimatedMilliwattHours != units || e.ModelledMilliwattHours != 3_000_000 {
		t.Errorf("estimated %d, want %d; modelled %d", e.EstimatedMilliwattHours, units, e.ModelledMilliwattHours)
	}
}

func TestMiningMeterSilentUnitsSpeak(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining)))
	j.run(midnight.Add(hour+30*time.Second), func() {
		j.read("ai", 100_000)
		j.fold("rig", status("rig", 3000, false, "mine", j.now.Equal(midnight)))
	})
	if e := j.lastSettled(); e.MiningMilliwattHours != 3_000_000 || e.EstimatedMilliwattHours != 3_000_000 {
		t.Errorf("settled %+v", e)
	}
}

func TestOverTheLimit(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining)))
	j.run(midnight.Add(hour+30*time.Second), func() {
		ai, mine := int64(700_000), int64(300_000)
		switch s := j.now.Sub(midnight); {
		case s >= 1000*time.Second && s < 1010*time.Second:
			mine = 300_001 // mining's doing
		case s >= 2000*time.Second && s < 2005*time.Second:
			ai = 1_000_001 // over with or without
		}
		j.read("ai", ai)
		j.read("mine", mine)
	})
	if e := j.lastSettled(); e.OverLimitMilliseconds != 15_000 || e.OverLimitByMiningMilliseconds != 10_000 {
		t.Errorf("over for %d ms, by mining %d ms", e.OverLimitMilliseconds, e.OverLimitByMiningMilliseconds)
	}
	if e := j.lastSettled(); e.OverdrawnMilliwattHours != (10*1+5*300_001)*1000/3600 {
		t.Errorf("overdrawn %d mWh", e.OverdrawnMilliwattHours)
	}
}

func TestJournalGaps(t *testing.T) {
	t.Run("short", func(t *testing.T) {
		j := newJournal(t)
		j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
		j.read("ai", 100_000)
		j.at(midnight.Add(3*hour + 31*time.Second)).tick()
		if len(j.settled) != 3 {
			t.Fatalf("%d intervals", len(j.settled))
		}
		if e := j.settled[2]; e.AIMilliwattHours != 800_000_000 || e.EstimatedMilliwattHours != 800_000_000 {
			t.Errorf("settled %+v", e)
		}
	})
	t.Run("long", func(t *testing.T) {
		j := newJournal(t)
		j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
		j.read("ai", 100_000)
		back := midnight.AddDate(1, 0, 0).Add(10 * time.Minute)
		j.at(back)
		j.run(back.Add(hour), func() { j.read("ai", 100_000) })
		if len(j.settled) != 2 || !slices.Equal(j.raised, []string{"settlement-gap"}) {
			t.Fatalf("%d intervals, alerts %v", len(j.settled), j.raised)
		}
		if e := j.settled[1]; !e.IntervalStart.Equal(midnight.AddDate(1, 0, 0)) || e.ContractedMilliwattHours != 1e9 {
			t.Errorf("settled %+v", e)
		}
	})
	t.Run("backwards", func(t *testing.T) {
		j := newJournal(t)
		j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
		j.run(midnight.Add(10*time.Minute), func() { j.read("ai", 100_000) })
		j.at(midnight)
		j.run(midnight.Add(hour+30*time.Second), func() { j.read("ai", 100_000) })
		if e := j.lastSettled(); len(j.settled) != 1 || e.AIMilliwattHours < 100_000_000 {
			t.Errorf("settled %+v", e)
		}
	})
}

func TestReconfiguring(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.run(midnight.Add(30*time.Minute-time.Second), func() { j.read("ai", 300_000) })
	j.at(midnight.Add(30 * time.Minute))
	c := siteConfig(meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining))
	c.ContractedWatts = 500_000
	j.fold("operator", c)
	j.run(midnight.Add(hour+30*time.Second), func() { j.read("ai", 300_000); j.read("mine", 100_000) })
	if want := [7]int64{750_000_000, 0, 300_000_000, 0, 50_000_000, 0, 400_000_000}; figuresOf(j.lastSettled()) != want {
		t.Errorf("balance = %v, want %v", figuresOf(j.lastSettled()), want)
	}
	// Another interval length ends the interval at once.
	j.at(midnight.Add(hour + 10*time.Minute))
	c.Tariff.IntervalSeconds = 900
	j.fold("operator", c)
	j.run(midnight.Add(hour+31*time.Minute), func() { j.read("ai", 300_000); j.read("mine", 0) })
	var ends []time.Duration
	for _, e := range j.settled {
		ends = append(ends, e.IntervalEnd.Sub(midnight))
	}
	if want := []time.Duration{hour, hour + 10*time.Minute, hour + 15*time.Minute, hour + 30*time.Minute}; !slices.Equal(ends, want) {
		t.Errorf("intervals end at %v, want %v", ends, want)
	}
}

// TestPowerTree: a meter beneath another of its kind adds nothing to the site,
// and a unit behind it is seen by the one above.
func TestPowerTree(t *testing.T) {
	at := func(node string, m events.MeterConfig) events.MeterConfig {
		m.Node = node
		return m
	}
	cfg := siteConfig(meterOf("mine", events.MeasuresMining), at("pdu-1", meterOf("mine-1", events.MeasuresMining)),
		at("pdu-1", meterOf("ai-1", events.MeasuresAI)), at("rack", meterOf("ai-rack", events.MeasuresAI)), at("pdu-2", meterOf("ai-2", events.MeasuresAI)))
	cfg.HouseWatts = 10_000
	cfg.Nodes = []events.NodeConfig{
		{Node: "pdu-1", LimitWatts: 500_000, ContinuousFactorPPM: 1_000_000, HouseWatts: 5_000},
		{Node: "rack", Parent: "pdu-1", LimitWatts: 100_000, ContinuousFactorPPM: 1_000_000},
		{Node: "pdu-2", LimitWatts: 500_000, ContinuousFactorPPM: 1_000_000},
	}
	j := newJournal(t)
	j.fold("operator", cfg)
	j.fold("rig", status("rig", 90_000, false, "mine-1", true))
	j.run(midnight.Add(hour+30*time.Second), func() {
		j.read("mine", 200_000)
		j.read("mine-1", 100_000)
		j.read("ai-1", 150_000)
		j.read("ai-rack", 50_000)
		j.read("ai-2", 120_000)
	})
	got := figuresOf(j.lastSettled())
	for i := range got {
		got[i] /= 1_000_000
	}
	if want := [7]int64{1000, 0, 270, 15, 200, 0, 515}; got != want {
		t.Errorf("balance = %v kWh, want %v", got, want)
	}
}
