// SPDX-License-Identifier: Apache-2.0

package events

// SiteConfig (site.config) is everything about a site that deciders need and
// that a person decides: limits, meters, policy, tariff. A new one replaces
// the old one whole.
type SiteConfig struct {
	// LimitWatts is the most the site may draw: the lowest of rating and
	// contract at the point of connection. W.
	LimitWatts int64 `json:"limit_watts"`
	// ContinuousFactorPPM is the share of the limit usable for hours, parts
	// per million: 800000 on standard-rated breakers, 1000000 on 100 % rated
	// gear.
	ContinuousFactorPPM int64 `json:"continuous_factor_ppm"`
	// ContractedWatts is the power paid for, the base of the energy balance.
	ContractedWatts int64 `json:"contracted_watts"`
	// AINameplateWatts is what the AI load is taken to draw while its meter
	// is not believed. W.
	AINameplateWatts int64 `json:"ai_nameplate_watts"`
	// HouseWatts is a constant for house load that no meter sees. W.
	HouseWatts int64 `json:"house_watts"`
	// Reserve kept free for the next step of the AI load.
	Reserve ReserveConfig `json:"reserve"`
	// Meters that the deciders believe, at least one that sees the AI load.
	Meters []MeterConfig `json:"meters"`
	// Nodes of the power tree below the point of connection, which the fields
	// above describe: in any order, each once. With nodes, AINameplateWatts and
	// HouseWatts are load that hangs on none of them, and a unit gets a permit
	// only where its node is known (NodeConfig.Agents, Capabilities.Node). None
	// for a site that is one node.
	Nodes []NodeConfig `json:"nodes,omitempty"`
	// Outlets that dispatch may switch off when a unit does not follow.
	Outlets []OutletConfig `json:"outlets,omitempty"`
	// Programmes of the grid that the site takes part in, at most
	// MaxProgrammes. A signal of a programme that is not listed is obeyed as
	// one without a programme.
	Programmes []ProgrammeConfig `json:"programmes,omitempty"`
	// Calendar of the site, for baselines that compare days; nil: UTC, no
	// holidays.
	Calendar *CalendarConfig `json:"calendar,omitempty"`
	// Policy of dispatch.
	Policy PolicyConfig `json:"policy"`
	// Tariff of settlement.
	Tariff TariffConfig `json:"tariff"`
}

// ReserveConfig sizes the reserve:
//
//	max(floor, peak of the envelope − load, jobs + max(rise, unlearned)) + margin
//
// where jobs is what the AI jobs beneath may want without further notice beyond
// what they draw, rise the quantile by which all other AI load has been seen to
// rise within the response time, and unlearned counts until envelope and rise
// have been learned, and always where neither is on.
type ReserveConfig struct {
	// FloorWatts is the least reserve at any time, before the margin. W.
	FloorWatts int64 `json:"floor_watts"`
	// UnlearnedWatts is the largest step the AI load (that of jobs aside, with
	// Jobs) is known to take within the response time: the least reserve while the envelope has not yet
	// seen a whole window or the rise not enough readings, and always where
	// both are off. W.
	UnlearnedWatts int64 `json:"unlearned_watts"`
	// MarginWatts is added always. W.
	MarginWatts int64 `json:"margin_watts"`
	// EnvelopeSeconds is the window whose peak the AI load may return to
	// without notice; 0 switches the envelope off. s, at most 86400.
	EnvelopeSeconds int64 `json:"envelope_seconds"`
	// RiseQuantilePPM is the quantile of the rise of the AI load within the
	// response time that is kept free, learned from the node's own meters, parts
	// per million: 999000. The response time is the period of the meters, a
	// second for reading and command each, and the time to fall of the slowest
	// unit beneath; at least as long as a silent meter is believed. 0 switches
	// it off; else 500000 to 999999.
	RiseQuantilePPM int64 `json:"rise_quantile_ppm,omitempty"`
	// Jobs: AI jobs (ai.job) at the node and beneath are kept their peak free
	// while they may rise without notice.
	Jobs bool `json:"jobs,omitempty"`
	// JobLearnSeconds is how long a job must have been seen running until its
	// measured peak counts instead of the one declared; 0 means an hour.
	// s, at most 604800.
	JobLearnSeconds int64 `json:"job_learn_seconds,omitempty"`
}

// Measures says what a meter sees.
type Measures string

// What a meter sees.
const (
	// MeasuresTotal: all that flows through the node of the meter: the whole
	// site, at the point of connection.
	MeasuresTotal Measures = "total"
	// MeasuresAI: the AI load, or a part of it.
	MeasuresAI Measures = "ai"
	// MeasuresHouse: house load (cooling, losses, offices), or a part of it.
	MeasuresHouse Measures = "house"
	// MeasuresMining: mining, or a part of it.
	MeasuresMining Measures = "mining"
)

// MeterConfig describes one meter of the site.
type MeterConfig struct {
	// Meter is the id, the source token of its readings.
	Meter string `json:"meter"`
	// Node whose load, with all beneath it, the meter sees; empty for the point
	// of connection.
	Node string `json:"node,omitempty"`
	// Measures says what it sees.
	Measures Measures `json:"measures"`
	// Group: meters of one node and one non-empty group measure the same thing
	// and the highest is believed; all others of the same Measures add up.
	Group string `json:"group,omitempty"`
	// PeriodMilliseconds is the normal distance of two readings.
	PeriodMilliseconds int64 `json:"period_milliseconds"`
	// StaleMilliseconds after which the meter is not believed any more
	// (default in the schema: 5000).
	StaleMilliseconds int64 `json:"stale_milliseconds"`
	// StuckMilliseconds: a meter whose power reading has not changed at all
	// for this long while it keeps reporting is taken for stuck: its readings
	// are no readings until the value moves. 0 switches it off, as for sources
	// that hold a value between samples. A counter that counts shows that the
	// meter lives, and mining that reads 0 W is off, not stuck; an AI, house
	// or total meter is not excused at 0 W. Dispatch heeds it; settlement
	// books a frozen value as a steady one. ms, 0 or at least 10 periods, at
	// most 86400000.
	StuckMilliseconds int64 `json:"stuck_milliseconds,omitempty"`
	// MinWatts and MaxWatts bound what is believed; a reading outside is no
	// reading. W.
	MinWatts int64 `json:"min_watts"`
	MaxWatts int64 `json:"max_watts"`
	// CounterModulusMilliwattHours is where the energy counter wraps; 0 when
	// it never does. mWh.
	CounterModulusMilliwattHours int64 `json:"counter_modulus_milliwatt_hours,omitempty"`
}

// PolicyConfig is how dispatch behaves.
type PolicyConfig struct {
	// LeaseMilliseconds is the life of a permit, 10000-15000 on a real site.
	LeaseMilliseconds int64 `json:"lease_milliseconds"`
	// DeadMilliseconds of silence of the AI meter after which mining gets
	// only GuaranteedWatts. ms.
	DeadMilliseconds int64 `json:"dead_milliseconds"`
	// GuaranteedWatts is what mining may draw with dead meters, default 0. W.
	GuaranteedWatts int64 `json:"guaranteed_watts"`
	// RestartDelayMilliseconds without any increase after meters come back.
	RestartDelayMilliseconds int64 `json:"restart_delay_milliseconds"`
	// RampWattsPerSecond and RampBurstWatts bound increases: a token bucket.
	RampWattsPerSecond int64 `json:"ramp_watts_per_second"`
	RampBurstWatts     int64 `json:"ramp_burst_watts"`
	// MinOnMilliseconds: no economic stop of a unit that runs for less;
	// reductions for any other reason ignore it.
	MinOnMilliseconds int64 `json:"min_on_milliseconds"`
	// MinOffMilliseconds: no start of a unit that stopped less long ago.
	MinOffMilliseconds int64 `json:"min_off_milliseconds"`
	// HysteresisWatts of free headroom needed before anything is raised.
	HysteresisWatts int64 `json:"hysteresis_watts"`
	// Economics switches the strike price on: a unit runs only while energy
	// costs less than what it earns. Off, mining follows headroom alone.
	Economics bool `json:"economics"`
	// StrikeAdderMicrousdPerMWh is added to the energy price before the
	// comparison (delivery, losses, wear). µ$/MWh.
	StrikeAdderMicrousdPerMWh int64 `json:"strike_adder_microusd_per_mwh"`
	// RampDownWattsPerSecond bounds reductions that only save or earn money (a
	// price, a better unit in the place of a worse one); 0: no bound. Nothing
	// else is ever slowed down. W/s.
	RampDownWattsPerSecond int64 `json:"ramp_down_watts_per_second,omitempty"`
	// StartWearMicrousdPerMW is what one start wears off a machine, per MW of
	// its nameplate. Above 0 every start has a price, this and the energy of
	// the boot: with Economics a unit starts once the margin that it forgoes
	// while it could run has come to that price, stops once it has lost as much
	// again (and a share of it for what is left of MinOnMilliseconds, which then
	// bars no stop), and takes the place of a worse one only where that earns
	// the price back within SwapHorizonMilliseconds. 0: starts cost nothing.
	// µ$/MW.
	StartWearMicrousdPerMW int64 `json:"start_wear_microusd_per_mw,omitempty"`
	// SwapHorizonMilliseconds: see StartWearMicrousdPerMW; 0 means an hour. ms.
	SwapHorizonMilliseconds int64 `json:"swap_horizon_milliseconds,omitempty"`
	// MaxStartsPerDay of one unit, on average over days, and as many at once
	// after a day of rest; 0: no bound. It bars starts, never a reduction, and
	// none while a setpoint of the grid overrides economics.
	MaxStartsPerDay int64 `json:"max_starts_per_day,omitempty"`
	// MaxStartsAtOnce is how many units of the site may be starting at one
	// time; 0: no bound. A unit is starting for its boot time, and for
	// StartWindowMilliseconds at least.
	MaxStartsAtOnce         int64 `json:"max_starts_at_once,omitempty"`
	StartWindowMilliseconds int64 `json:"start_window_milliseconds,omitempty"`
	// StartJitterMilliseconds: a unit that could start waits for a time of its
	// own below this, always the same one, so that not all start as one. ms.
	StartJitterMilliseconds int64 `json:"start_jitter_milliseconds,omitempty"`
	// FirmSeconds are the spans for which headroom.published says how much of
	// the headroom is still there at their end with FirmProbabilityPPM; none
	// means 300, 900 and 3600. Up to six, 60 to 86400 each. s.
	FirmSeconds []int64 `json:"firm_seconds,omitempty"`
	// FirmProbabilityPPM, 500000 to 999999 parts per million; 0 means 950000.
	FirmProbabilityPPM int64 `json:"firm_probability_ppm,omitempty"`
}

// TariffConfig is how settlement books energy and money.
type TariffConfig struct {
	// IntervalSeconds of settlement; divides a day. s.
	IntervalSeconds int64 `json:"interval_seconds"`
	// GraceSeconds after an interval's end before it closes. s.
	GraceSeconds int64 `json:"grace_seconds"`
	// AccrualSeconds between revenue.accrued events; divides the interval. s.
	AccrualSeconds int64 `json:"accrual_seconds"`
	// EnergyPriceMicrousdPerMWh is the fixed price of energy, used while no
	// price signal is in force. µ$/MWh.
	EnergyPriceMicrousdPerMWh int64 `json:"energy_price_microusd_per_mwh"`
	// Indexed: price signals set the price of energy; otherwise they are
	// opportunity prices for dispatch only.
	Indexed bool `json:"indexed"`
	// ResaleAllowed: contracted but unused energy is sold at the price in
	// force.
	ResaleAllowed bool `json:"resale_allowed"`
	// PoolFeePPM and Scheme of the payout, for shares whose verdict does not
	// carry them. Scheme is fpps or pps.
	PoolFeePPM int64  `json:"pool_fee_ppm"`
	Scheme     Scheme `json:"scheme"`
}
