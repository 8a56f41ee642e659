// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/sources/trace"
	"github.com/ballast-energy/ballast/workers/modelled"
)

// demoFlags describe the site that `ballast up` plays.
type demoFlags struct {
	site          string
	loadFile      string
	priceFile     string
	loadColumn    string
	priceColumn   string
	speed         int
	keepGaps      bool
	limit         config.Power
	peak          config.Power
	class         string
	levels        levelFlags
	count         int
	boot          time.Duration
	hash          hashFlags
	worker        roles.WorkerOptions // what hash and the configuration say
	plan          *gatewayPlan        // what the configuration says; nil: practice
	durationLimit time.Duration
	seed          uint64
	btcPrice      config.Money
	unsafe        bool
	compare       bool
	bare          bool
}

func (f *demoFlags) add(c *cobra.Command) {
	f.peak = 4_000_000
	f.btcPrice = 90_000_000_000
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "demo", "`id` of the site")
	fl.StringVar(&f.loadFile, "load", "", "recording of an AI load: CSV or .csv.gz `file` with time and watts")
	fl.StringVar(&f.priceFile, "price", "", "recording of an energy price: CSV or .csv.gz `file` with time and price per MWh")
	fl.StringVar(&f.loadColumn, "load-column", "", "value `column` of --load (default: the usual names)")
	fl.StringVar(&f.priceColumn, "price-column", "", "value `column` of --price (default: the usual names)")
	fl.IntVar(&f.speed, "speed", 1, "compress recordings this many times; bus time, leases, ramps and energy stay real")
	fl.BoolVar(&f.keepGaps, "keep-gaps", false, "play pauses between the runs of a recording at their length")
	fl.Var(&f.limit, "limit", "the most the site may draw (default: what a peak of 70 % of nameplate implies)")
	fl.Lookup("limit").DefValue = "" // derived
	fl.Var(&f.peak, "ai-peak", "peak of the generated AI load, without --load")
	fl.StringVar(&f.class, "class", "s21", "modelled machine `class`: bitaxe-gamma, m66s-plus, s21, s21xp")
	fl.Var(&f.levels, "level", levelUsage)
	fl.IntVar(&f.count, "machines", 0, "modelled machines (default: as many as the headroom can feed)")
	fl.DurationVar(&f.boot, "boot", 10*time.Second, "boot time of modelled machines; stock firmware needs 60s and more")
	f.hash.add(c, 1, "starts no CPU worker")
	fl.DurationVar(&f.durationLimit, "duration", 0, "end by itself after this long (a recording ends the run, too)")
	fl.Uint64Var(&f.seed, "seed", 1, "of generated load and modelled machines")
	fl.Var(&f.btcPrice, "btc-price", "dollars per bitcoin, for money at a quoted rate")
	fl.BoolVar(&f.unsafe, "unsafe-no-reductions", false, "never lower mining for the AI load and keep no reserve for it: shows what is prevented; demo only")
	fl.BoolVar(&f.compare, "compare-unsafe", false, "play a second site SITE-unsafe beside it with reductions disabled, and print both")
	fl.BoolVar(&f.bare, "no-fleet", false, "no modelled machines: only workers that join")
}

// Figures of a demo site, from what was measured on real clusters: a training
// load peaks at about 70 % of its nameplate, can rise by 36 % of its peak
// within the seconds that machines need to fall, and after it has shown its
// peak stays below it by a hair.
const (
	peakOfNameplatePercent = 70
	unlearnedPercent       = 36
	marginPercent          = 2
	aiMeter                = "ai-feeder"
	miningMeter            = "mining-1"
)

// demo is one site to play.
type demo struct {
	site   string
	config *events.SiteConfig
	peak   int64 // of the AI load
	class  modelled.Class
	count  int
	load   *trace.Series // nil: generated
	price  *trace.Series // nil: none
	unsafe bool
}

// demos makes the sites of the flags.
func (f *demoFlags) demos() ([]demo, error) {
	if f.speed < 1 || f.speed > 3600 {
		return nil, fmt.Errorf("--speed %d: use 1 to 3600", f.speed)
	}
	class, err := f.machineClass()
	if err != nil {
		return nil, err
	}
	d := demo{site: f.site, class: class, peak: int64(f.peak), unsafe: f.unsafe}
	// A generated load often runs near its peak: what the peak leaves is fed
	// most of the time, and the CPU worker, last in merit, with it.
	low := d.peak * 98 / 100
	if f.loadFile != "" {
		s, err := trace.Read(f.loadFile, trace.Options{Quantity: trace.Watts, ValueColumn: f.loadColumn, KeepGaps: f.keepGaps})
		if err != nil {
			return nil, err
		}
		d.load = s
		low, d.peak = s.Range()
		if d.peak < 1000 {
			return nil, fmt.Errorf("--load %s peaks at %d W: a site below 1 kW has no headroom worth mining", f.loadFile, d.peak)
		}
	}
	if f.priceFile != "" {
		s, err := trace.Read(f.priceFile, trace.Options{Quantity: trace.Price, ValueColumn: f.priceColumn})
		if err != nil {
			return nil, err
		}
		d.price = s
	}
	limit := int64(f.limit)
	if limit == 0 {
		limit = d.peak * 100 / peakOfNameplatePercent
	}
	if limit <= low {
		return nil, fmt.Errorf("--limit %s is not above the lowest AI load %s: there is no headroom", watts(limit), watts(low))
	}
	d.count = f.count
	if d.count == 0 {
		full := class.Levels[len(class.Levels)-1].Watts
		d.count = int(max((limit-low)/full, 1))
	}
	if f.bare {
		d.count = 0
	}
	d.config = f.siteConfig(limit, d.peak, class, d.price != nil)
	if err := d.config.Validate(); err != nil {
		return nil, fmt.Errorf("demo site: %w", err)
	}
	sites := []demo{d}
	if f.compare {
		u := d
		u.site, u.unsafe = d.site+"-unsafe", true
		sites = append(sites, u)
	}
	return sites, nil
}

// machineClass of the flags, with their boot time.
func (f *demoFlags) machineClass() (modelled.Class, error) {
	class, ok := modelled.Classes()[f.class]
	if !ok {
		return class, fmt.Errorf("--class %q: use bitaxe-gamma, m66s-plus, s21 or s21xp", f.class)
	}
	class.Boot = f.boot
	return class, f.levels.apply(&class)
}

// siteConfig of a demo: a real policy with waits cut to what a person sits
// through. The lease and the limits are not cut.
func (f *demoFlags) siteConfig(limit, peak int64, class modelled.Class, priced bool) *events.SiteConfig {
	full := class.Levels[len(class.Levels)-1].Watts
	// The envelope answers "the load may come back to where it was": a minute
	// of it covers the dips of a training job; compressed, they are shorter.
	envelope := int64(60)
	if f.speed >= 10 {
		envelope = 20
	}
	return &events.SiteConfig{
		LimitWatts: limit, ContinuousFactorPPM: 1_000_000, ContractedWatts: limit, AINameplateWatts: max(limit, peak),
		Reserve: events.ReserveConfig{UnlearnedWatts: peak * unlearnedPercent / 100, MarginWatts: peak * marginPercent / 100, EnvelopeSeconds: envelope},
		Meters: []events.MeterConfig{
			{Meter: aiMeter, Measures: events.MeasuresAI, PeriodMilliseconds: 2000, StaleMilliseconds: 5000, MaxWatts: 2 * limit},
			{Meter: miningMeter, Measures: events.MeasuresMining, PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 2 * limit},
		},
		Policy: events.PolicyConfig{
			LeaseMilliseconds: events.DefaultLease.Milliseconds(), DeadMilliseconds: 60_000, RestartDelayMilliseconds: 10_000,
			RampWattsPerSecond: max(limit/20, full), RampBurstWatts: max(limit/5, full),
			MinOnMilliseconds: 30_000, MinOffMilliseconds: 5_000, HysteresisWatts: max(limit/100, full),
			Economics: priced, StrikeAdderMicrousdPerMWh: 5_000_000,
		},
		Tariff: events.TariffConfig{
			IntervalSeconds: 60, GraceSeconds: 5, AccrualSeconds: 10,
			EnergyPriceMicrousdPerMWh: 40_000_000, Indexed: priced, PoolFeePPM: 10_000, Scheme: events.SchemeFPPS,
		},
	}
}

// quote is the market of a demo: a real network of late 2025 at a given price.
func (f *demoFlags) quote() events.MarketQuote {
	return events.MarketQuote{NBits: "17034219", Height: 870_000, SubsidySats: 312_500_000, FeesSats: 5_000_000, BTCPriceMicrousd: int64(f.btcPrice)}
}
