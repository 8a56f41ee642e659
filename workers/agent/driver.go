// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"

	"github.com/ballast-energy/ballast/events"
)

// Unit is one controllable unit behind a driver.
type Unit struct {
	// ID unique in the site, [a-z0-9-]{1,64}.
	ID string
	// Capabilities as announced. NameplateWatts is the most the unit is ever
	// set to, FailsafeWatts what it is set to without a permit.
	Capabilities events.Capabilities
}

// Order sets one unit.
type Order struct {
	// Unit is the place in Driver.Units.
	Unit int
	// Watts is the most the unit may draw from now on; 0 means off. W.
	Watts int64
}

// Driver is what stands behind the units of an agent. Its methods are called
// by one goroutine and must return without waiting for a machine or a network:
// the next reduction waits behind them.
type Driver interface {
	// Units are always the same ones in the same order; their capabilities
	// may change between calls.
	Units() []Unit
	// Drive puts setpoints in force; units not listed keep theirs. The slice
	// is the agent's again after the call.
	Drive(orders []Order)
	// Measure fills in what the unit does now: PowerWatts, HashrateMHs,
	// Hashes, Healthy, Modelled and PowerModelled. The other fields are the agent's.
	Measure(unit int, s *events.UnitStatus)
}

// Worker is a Driver that hashes: it is given mining work.
type Worker interface {
	// Work takes a job; it must not block, and owns w.
	Work(w *events.WorkAssigned)
}

// Drainer is a Driver with something to finish on shutdown, such as shares not
// yet published. It is called after all units were set to 0 W.
type Drainer interface {
	// Drain returns when all is done or ctx ends. It may block.
	Drain(ctx context.Context) error
}
