// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/software"
)

// Config is the whole file.
type Config struct {
	// Bus to use or to run; see package events/bus.
	Bus bus.Config `yaml:"bus"`
	// Worker is how this machine hashes.
	Worker Worker `yaml:"worker"`
	// Outlets that this process switches: ballast outlet serve.
	Outlets OutletController `yaml:"outlets"`
	// Gateway is what this process mines for.
	Gateway Gateway `yaml:"gateway"`
	// Sites that this process knows.
	Sites []Site `yaml:"sites"`
}

// Site is one site: what deciders are told about it, and what of it this
// process plays.
type Site struct {
	ID               string   `yaml:"id"`
	Limit            Power    `yaml:"limit"`
	ContinuousFactor Share    `yaml:"continuous_factor"`
	Contracted       Power    `yaml:"contracted"`
	AINameplate      Power    `yaml:"ai_nameplate"`
	House            Power    `yaml:"house"`
	Reserve          Reserve  `yaml:"reserve"`
	Meters           []Meter  `yaml:"meters"`
	Nodes            []Node   `yaml:"nodes"`
	Outlets          []Outlet `yaml:"outlets"`
	// Programmes of the grid that the site takes part in.
	Programmes []Programme `yaml:"programmes"`
	// TimeZone and Holidays say what a day is, for baselines.
	TimeZone string   `yaml:"time_zone"`
	Holidays []string `yaml:"holidays"`
	Policy   Policy   `yaml:"policy"`
	Tariff   Tariff   `yaml:"tariff"`
}

// Reserve is kept free for the next step of the AI load.
type Reserve struct {
	Floor     Power    `yaml:"floor"`
	Unlearned Power    `yaml:"unlearned"`
	Margin    Power    `yaml:"margin"`
	Envelope  Duration `yaml:"envelope"`
	// RiseQuantile of the rise within the response time, Jobs of AI schedulers,
	// and for how long the peak of one is learned.
	RiseQuantile Share    `yaml:"rise_quantile"`
	Jobs         bool     `yaml:"jobs"`
	JobLearning  Duration `yaml:"job_learning"`
}

// reserveConfig is the part of the event.
func (r *Reserve) reserveConfig() events.ReserveConfig {
	return events.ReserveConfig{
		FloorWatts: int64(r.Floor), UnlearnedWatts: int64(r.Unlearned), MarginWatts: int64(r.Margin), EnvelopeSeconds: r.Envelope.Seconds(),
		RiseQuantilePPM: int64(r.RiseQuantile), Jobs: r.Jobs, JobLearnSeconds: r.JobLearning.Seconds(),
	}
}

// Meter is one meter that the deciders believe.
type Meter struct {
	ID       string   `yaml:"id"`
	Node     string   `yaml:"node"`
	Measures string   `yaml:"measures"`
	Group    string   `yaml:"group"`
	Period   Duration `yaml:"period"`
	Stale    Duration `yaml:"stale"`
	Stuck    Duration `yaml:"stuck"`
	Min      Power    `yaml:"min"`
	Max      Power    `yaml:"max"`
}

// Policy of dispatch.
type Policy struct {
	Lease         Duration `yaml:"lease"`
	Dead          Duration `yaml:"dead"`
	Guaranteed    Power    `yaml:"guaranteed"`
	RestartDelay  Duration `yaml:"restart_delay"`
	RampPerSecond Power    `yaml:"ramp_per_second"`
	RampBurst     Power    `yaml:"ramp_burst"`
	MinOn         Duration `yaml:"min_on"`
	MinOff        Duration `yaml:"min_off"`
	Hysteresis    Power    `yaml:"hysteresis"`
	Economics     bool     `yaml:"economics"`
	StrikeAdder   Money    `yaml:"strike_adder"`
	RampDown      Power    `yaml:"ramp_down_per_second"`
	StartWear     Money    `yaml:"start_wear"`
	SwapHorizon   Duration `yaml:"swap_horizon"`
	StartsPerDay  int64    `yaml:"max_starts_per_day"`
	StartsAtOnce  int64    `yaml:"max_starts_at_once"`
	StartWindow   Duration `yaml:"start_window"`
	StartJitter   Duration `yaml:"start_jitter"`
	// Firm are the spans for which firm headroom is told, with FirmProbability.
	Firm            []Duration `yaml:"firm"`
	FirmProbability Share      `yaml:"firm_probability"`
}

// Tariff of settlement.
type Tariff struct {
	Interval    Duration `yaml:"interval"`
	Grace       Duration `yaml:"grace"`
	Accrual     Duration `yaml:"accrual"`
	EnergyPrice Money    `yaml:"energy_price"`
	Indexed     bool     `yaml:"indexed"`
	Resale      bool     `yaml:"resale"`
	PoolFee     Share    `yaml:"pool_fee"`
	Scheme      string   `yaml:"scheme"`
}

// Default is what holds for keys that are not written.
func Default() Config {
	return Config{
		Bus:     bus.Config{DataDir: "data", Listen: "127.0.0.1:4222"},
		Worker:  Worker{Kernel: hashengine.AutoKernel, Nice: hashengine.DefaultNice, WattsPerThread: software.DefaultWattsPerThread},
		Gateway: defaultGateway(),
	}
}

// defaultSite is what holds for keys of a site that are not written.
func defaultSite() Site {
	return Site{
		ContinuousFactor: 1_000_000,
		Reserve:          Reserve{Envelope: Duration(time.Hour)},
		Policy: Policy{
			Lease: Duration(events.DefaultLease), Dead: Duration(60 * time.Second), RestartDelay: Duration(60 * time.Second),
			RampPerSecond: 100_000, RampBurst: 500_000, MinOn: Duration(5 * time.Minute), MinOff: Duration(60 * time.Second),
		},
		Tariff: Tariff{
			Interval: Duration(5 * time.Minute), Grace: Duration(30 * time.Second), Accrual: Duration(time.Minute),
			EnergyPrice: 40_000_000, PoolFee: 10_000, Scheme: "fpps",
		},
	}
}

// UnmarshalYAML fills a site over its defaults.
func (s *Site) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Site
	p := plain(defaultSite())
	if err := unmarshal(&p); err != nil {
		return err
	}
	*s = Site(p)
	return nil
}

// UnmarshalYAML fills a meter over its defaults.
func (m *Meter) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Meter
	p := plain{Period: Duration(time.Second), Stale: Duration(5 * time.Second)}
	if err := unmarshal(&p); err != nil {
		return err
	}
	*m = Meter(p)
	return nil
}

// Load reads a file, or only defaults when path is empty, and applies the
// environment. The error of a bad file shows the line.
func Load(path string, environ []string) (*Config, error) {
	c := Default()
	if path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
		if err := Parse(b, &c); err != nil {
			return nil, fmt.Errorf("config %s: %w", path, err)
		}
	}
	if err := c.applyEnv(environ); err != nil {
		return nil, err
	}
	return &c, c.Validate()
}

// Parse reads YAML over c; unknown keys and duplicate keys are errors.
func Parse(b []byte, c *Config) error {
	read := *c
	if err := yaml.UnmarshalWithOptions(b, &read, yaml.Strict()); err != nil {
		return fmt.Errorf("%s", yaml.FormatError(err, false, true))
	}
	// The library makes nothing of a file without keys, defaults included.
	if !reflect.ValueOf(read).IsZero() {
		*c = read
	}
	return nil
}

// envPrefix of variables that override a key.
const envPrefix = "BALLAST_"

// envSections are those whose variables are all ours: one that matches no key
// is an error, because a misspelt override that does nothing is worse than
// none.
var envSections = []string{"BUS_", "WORKER_", "GATEWAY_"}

// applyEnv overrides scalars outside lists: BALLAST_<PATH IN UPPER CASE>.
func (c *Config) applyEnv(environ []string) error {
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		rest, ok := strings.CutPrefix(name, envPrefix)
		if !ok {
			continue
		}
		field := fieldByPath(reflect.ValueOf(c).Elem(), strings.ToLower(rest))
		if !field.IsValid() {
			if !slices.ContainsFunc(envSections, func(s string) bool { return strings.HasPrefix(rest, s) }) {
				continue // other BALLAST_ variables belong to other parts
			}
			return fmt.Errorf("environment %s: the configuration has no key for it", name)
		}
		if err := yaml.Unmarshal([]byte(value), field.Addr().Interface()); err != nil {
			return fmt.Errorf("environment %s=%q: %w", name, value, err)
		}
	}
	return nil
}

// fieldByPath finds the scalar whose yaml tags, joined by underscores, are
// path.
func fieldByPath(v reflect.Value, path string) reflect.Value {
	for i := range v.NumField() {
		tag, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		f := v.Field(i)
		switch {
		case tag == "" || tag == "-" || f.Kind() == reflect.Slice:
		case f.Kind() == reflect.Struct:
			if rest, ok := strings.CutPrefix(path, tag+"_"); ok {
				if found := fieldByPath(f, rest); found.IsValid() {
					return found
				}
			}
		case tag == path:
			return f
		}
	}
	return reflect.Value{}
}

// Validate checks what YAML cannot: every site makes a valid site.config.
func (c *Config) Validate() error {
	if err := c.Bus.Validate(); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	if err := c.Worker.Validate(); err != nil {
		return fmt.Errorf("config: worker: %w", err)
	}
	if err := c.Outlets.Validate(); err != nil {
		return fmt.Errorf("config: outlets: %w", err)
	}
	if err := c.Gateway.Validate(); err != nil {
		return fmt.Errorf("config: gateway: %w", err)
	}
	seen := map[string]bool{}
	for i := range c.Sites {
		s := &c.Sites[i]
		if err := events.CheckToken(fmt.Sprintf("sites[%d].id", i), s.ID); err != nil {
			return fmt.Errorf("config: %w", err)
		}
		if seen[s.ID] {
			return fmt.Errorf("config: site %s is there twice", s.ID)
		}
		seen[s.ID] = true
		if _, err := s.calendarConfig(); err != nil {
			return fmt.Errorf("sites: %s: %w", s.ID, err)
		}
		if err := s.SiteConfig().Validate(); err != nil {
			return fmt.Errorf("config: site %s: %w", s.ID, err)
		}
	}
	return nil
}

// SiteConfig is the event that deciders read.
func (s *Site) SiteConfig() *events.SiteConfig {
	c := &events.SiteConfig{
		LimitWatts:          int64(s.Limit),
		ContinuousFactorPPM: int64(s.ContinuousFactor),
		ContractedWatts:     int64(s.Contracted),
		AINameplateWatts:    int64(s.AINameplate),
		HouseWatts:          int64(s.House),
		Reserve:             s.Reserve.reserveConfig(),
		Policy: events.PolicyConfig{
			FirmSeconds: firmSeconds(s.Policy.Firm), FirmProbabilityPPM: int64(s.Policy.FirmProbability),
			LeaseMilliseconds: s.Policy.Lease.Millis(), DeadMilliseconds: s.Policy.Dead.Millis(),
			GuaranteedWatts: int64(s.Policy.Guaranteed), RestartDelayMilliseconds: s.Policy.RestartDelay.Millis(),
			RampWattsPerSecond: int64(s.Policy.RampPerSecond), RampBurstWatts: int64(s.Policy.RampBurst),
			MinOnMilliseconds: s.Policy.MinOn.Millis(), MinOffMilliseconds: s.Policy.MinOff.Millis(),
			HysteresisWatts: int64(s.Policy.Hysteresis), Economics: s.Policy.Economics,
			StrikeAdderMicrousdPerMWh: int64(s.Policy.StrikeAdder), RampDownWattsPerSecond: int64(s.Policy.RampDown),
			StartWearMicrousdPerMW: int64(s.Policy.StartWear), SwapHorizonMilliseconds: s.Policy.SwapHorizon.Millis(),
			MaxStartsPerDay: s.Policy.StartsPerDay, MaxStartsAtOnce: s.Policy.StartsAtOnce,
			StartWindowMilliseconds: s.Policy.StartWindow.Millis(), StartJitterMilliseconds: s.Policy.StartJitter.Millis(),
		},
		Tariff: events.TariffConfig{
			IntervalSeconds: s.Tariff.Interval.Seconds(), GraceSeconds: s.Tariff.Grace.Seconds(),
			AccrualSeconds: s.Tariff.Accrual.Seconds(), EnergyPriceMicrousdPerMWh: int64(s.Tariff.EnergyPrice),
			Indexed: s.Tariff.Indexed, ResaleAllowed: s.Tariff.Resale,
			PoolFeePPM: int64(s.Tariff.PoolFee), Scheme: events.Scheme(s.Tariff.Scheme),
		},
	}
	if c.ContractedWatts == 0 {
		c.ContractedWatts = c.LimitWatts
	}
	// In a power tree the key is for load that hangs on none of its nodes, of
	// which there need not be any.
	if c.AINameplateWatts == 0 && len(s.Nodes) == 0 {
		c.AINameplateWatts = c.LimitWatts
	}
	for _, m := range s.Meters {
		hi := int64(m.Max)
		if hi == 0 {
			hi = 2 * c.LimitWatts
		}
		c.Meters = append(c.Meters, events.MeterConfig{
			Meter: m.ID, Node: m.Node, Measures: events.Measures(m.Measures), Group: m.Group,
			PeriodMilliseconds: m.Period.Millis(), StaleMilliseconds: m.Stale.Millis(), StuckMilliseconds: m.Stuck.Millis(),
			MinWatts: int64(m.Min), MaxWatts: hi,
		})
	}
	for _, o := range s.Outlets {
		c.Outlets = append(c.Outlets, events.OutletConfig{Outlet: o.ID, Controller: o.Controller, Agent: o.Agent, Unit: o.Unit})
	}
	for i := range s.Nodes {
		c.Nodes = append(c.Nodes, s.Nodes[i].nodeConfig())
	}
	for i := range s.Programmes {
		c.Programmes = append(c.Programmes, s.Programmes[i].programmeConfig())
	}
	c.Calendar, _ = s.calendarConfig() // Validate has looked at it
	return c
}

func firmSeconds(spans []Duration) []int64 {
	var out []int64
	for _, d := range spans {
		out = append(out, d.Seconds())
	}
	return out
}
