// SPDX-License-Identifier: Apache-2.0

package events

// PermitState is the state of a unit's permit machine.
type PermitState string

// Permit machine states. There is no autonomous state: a miner has no right to
// power without a live permit.
const (
	// PermitBoot: started, at the failsafe setpoint, nothing received yet.
	PermitBoot PermitState = "boot"
	// PermitLimited: a live permit below the unit's full power.
	PermitLimited PermitState = "limited"
	// PermitRunning: a live permit at the unit's full power.
	PermitRunning PermitState = "running"
	// PermitFailsafe: the lease ran out; left only by a ramp decided after
	// the worker's own failsafe status.
	PermitFailsafe PermitState = "failsafe"
	// PermitLocal: a person on site holds the unit; the lowest limit rules.
	PermitLocal PermitState = "local"
)

// OrderKey orders the decisions of one decider: (epoch, causing sequence,
// ordinal), compared in that order. At a worker it only rises.
type OrderKey struct {
	// Epoch of the journal.
	Epoch uint64 `json:"epoch"`
	// Sequence in JOURNAL of the event that caused the decision.
	Sequence uint64 `json:"sequence"`
	// Ordinal among the outputs of that cause, from 0.
	Ordinal uint32 `json:"ordinal"`
}

// Compare is −1, 0 or +1 as k orders before, equal to or after o.
func (k OrderKey) Compare(o OrderKey) int {
	switch {
	case k.Epoch != o.Epoch:
		if k.Epoch < o.Epoch {
			return -1
		}
		return 1
	case k.Sequence != o.Sequence:
		if k.Sequence < o.Sequence {
			return -1
		}
		return 1
	case k.Ordinal != o.Ordinal:
		if k.Ordinal < o.Ordinal {
			return -1
		}
		return 1
	}
	return 0
}

// WorkerStatus (worker.status) is an agent speaking for its units. The source
// token of the subject is the agent's id. It is proof of life (the counter)
// and, with Announce, the introduction of its units.
type WorkerStatus struct {
	// BootID is made new at every start of the agent's process.
	BootID string `json:"boot_id"`
	// Counter rises by one per status within a boot, from 1. A permit
	// renewal repeats it, and the lease runs from the instant at which this
	// status was sent.
	Counter uint64 `json:"counter"`
	// Announce: Capabilities of each listed unit are present and replace
	// what was known.
	Announce bool `json:"announce,omitempty"`
	// Leaving: the agent shuts down; its units draw nothing from now on and
	// are forgotten.
	Leaving bool `json:"leaving,omitempty"`
	// Units that this status speaks of; a large agent sends several statuses
	// with up to 500 units each.
	Units []UnitStatus `json:"units"`
}

// UnitStatus is the condition of one controllable unit.
type UnitStatus struct {
	// Unit id, unique in the site, [a-z0-9-]{1,64}; a single-unit agent uses
	// its own id.
	Unit string `json:"unit"`
	// State of the permit machine.
	State PermitState `json:"state"`
	// SetpointWatts in force at the unit. W.
	SetpointWatts int64 `json:"setpoint_watts"`
	// PowerWatts drawn now: measured, or modelled when PowerModelled or
	// Modelled is set. W.
	PowerWatts int64 `json:"power_watts"`
	// HashrateMHs is the present hash rate in MH/s, rounded down.
	HashrateMHs int64 `json:"hashrate_mhs"`
	// Hashes done since boot, decimal, exact (or as modelled).
	Hashes string `json:"hashes,omitempty"`
	// Applied is the key of the newest command obeyed.
	Applied *OrderKey `json:"applied,omitempty"`
	// LeaseMilliseconds remaining; 0 when none.
	LeaseMilliseconds int64 `json:"lease_milliseconds"`
	// LocalLimitWatts is the ceiling set on site, nil when none. W.
	LocalLimitWatts *int64 `json:"local_limit_watts,omitempty"`
	// Reason for which the unit may draw less than its full power: that of the
	// command which set the setpoint in force, or who else holds it down
	// (lease, local, worker, boot). Empty at full power, and where the agent
	// does not say.
	Reason Reason `json:"reason,omitempty"`
	// SignalID of the grid signal behind Reason, if there is one.
	SignalID string `json:"signal_id,omitempty"`
	// Healthy is false when the unit cannot follow a ramp (fault, no work).
	Healthy bool `json:"healthy"`
	// Modelled: no real machine stands behind the figures.
	Modelled bool `json:"modelled,omitempty"`
	// PowerModelled: PowerWatts comes from a power model, not from a
	// measurement; hashing may be real all the same.
	PowerModelled bool `json:"power_modelled,omitempty"`
	// Capabilities, present when the status announces.
	Capabilities *Capabilities `json:"capabilities,omitempty"`
}

// Capabilities of a unit: what it can be told and how fast it follows.
type Capabilities struct {
	// Class for people and reports: "s21", "cpu".
	Class string `json:"class"`
	// NameplateWatts is full power at the meter. W.
	NameplateWatts int64 `json:"nameplate_watts"`
	// LevelsWatts are the power levels the unit can hold besides 0, rising,
	// the last one equal to NameplateWatts; empty means continuous between
	// MinWatts and NameplateWatts, unless there are Levels.
	LevelsWatts []int64 `json:"levels_watts,omitempty"`
	// Levels are the same with more said of each, and go before LevelsWatts:
	// rising in watts, the last one at NameplateWatts and with
	// MillijoulesPerTerahash. Whoever announces them gives LevelsWatts too, the
	// levels that hash, for readers that know no Levels; or leaves it out.
	Levels []PowerLevel `json:"levels,omitempty"`
	// MinWatts is the lowest power at which it hashes. W.
	MinWatts int64 `json:"min_watts"`
	// FailsafeWatts is what it falls to without a permit. W.
	FailsafeWatts int64 `json:"failsafe_watts"`
	// MillijoulesPerTerahash at full power, at the meter.
	MillijoulesPerTerahash int64 `json:"millijoules_per_terahash"`
	// FallMilliseconds from a curtail to the new power; BootMilliseconds of
	// full power without shares after a start.
	FallMilliseconds int64 `json:"fall_milliseconds"`
	BootMilliseconds int64 `json:"boot_milliseconds"`
	// Meter that sees this unit, or empty when only the unit itself reports.
	Meter string `json:"meter,omitempty"`
	// Node of the site's power tree on which the unit hangs, RootNode for the
	// point of connection itself; needed where the site has nodes and none of
	// them lists the agent.
	Node string `json:"node,omitempty"`
}
