// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"math"

	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

// Bounds on what is remembered.
const (
	// MaxPoints of the power tree are measured: the point of connection, nodes
	// of programmes, and nodes that running events name.
	MaxPoints = 16
	// MaxEvents run, are announced or wait for the last word at once.
	MaxEvents = 128
	// maxRestores wait for their time.
	maxRestores = 64
	// maxSeen ids of signals by which copies are known.
	maxSeen = 1024
	// maxUnits and maxAgents whose words on price are heard.
	maxUnits, maxAgents = 20_000, 20_000
	// maxSegments of a counter that stands still.
	maxSegments = 64
	// historyDays are kept, one more than baselines look back.
	historyDays = 46
)

const (
	second = int64(1_000_000_000)
	minute = 60 * second
	hour   = 60 * minute
	day    = 24 * hour
	never  = int64(math.MaxInt64)
	// maxWatts of one meter, unit or limit that is believed.
	maxWatts = int64(10_000_000_000)
)

// state is everything that influences later outputs, in a form that encodes to
// the same bytes wherever the same journal was folded: no maps.
type state struct {
	Site string
	// Now is the instant up to which time has been folded, Unix ns.
	Now   int64
	Chain uint64
	Terms *terms
	// Layout of what is measured, made from the terms and the nodes of events.
	Meters   []meter
	Channels []channel
	Points   []*point
	// Agents and Units whose words on price are heard.
	Agents []agent
	Units  []unit
	// Cut counts borders of intervals and events; energy between two belongs
	// together.
	Cut uint64
	// Events in the order in which they were called, and restores to come.
	Events   []*event
	Restores []restore
	Order    uint64
	Seen     []uint64
	Flooded  bool
}

// index finds things in the state; it is made from it.
type index struct {
	meterOf map[string]int
	// parentOf the nodes of the site; that of the topmost ones is "".
	parentOf map[string]string
	// homeOf are the nodes that list an agent.
	homeOf  map[string]string
	agentOf map[string]int
	unitOf  map[string]int
	// usersOf are, per channel, the series that it is part of.
	usersOf [][]use
	// shapes are how the series of every point are made.
	shapes [][kinds]formula
	// single, per point, are the series that one channel alone makes.
	single [][kinds]bool
	// Moments at which something happens by itself, none earlier than these.
	nextMinute, nextStale, nextEvent int64
}

// use of a channel by a series.
type use struct {
	point int
	kind  kind
	sign  int64
}

// kind of a series of power at a point.
type kind int

const (
	kindTotal kind = iota
	kindMining
	kindAI
	kinds
)

// cell is energy of some time.
type cell struct {
	Energy energy.Amount
	// Estimated time for which the last value was held, ns.
	Estimated int64
	Modelled  bool
}

func (c *cell) add(e energy.Amount, estimated int64, modelled bool) {
	c.Energy = c.Energy.Add(e)
	c.Estimated += estimated
	c.Modelled = c.Modelled || modelled
}

// watts is the mean power of an energy over a time, rounded down, never below 0.
func watts(e energy.Amount, nanos int64) int64 {
	if nanos <= 0 || e.Sign() <= 0 {
		return 0
	}
	// Below 2^53 mWh the product of the whole part fits; see energy.Amount.
	w := e.WattNanos()
	return w.Div(w, bigOf(nanos)).Int64()
}

const chainSeed = 0x62616c6c61737421

// mix folds a value of the new state into the digest.
func (d *Decider) mix(v uint64) { d.Chain = decider.Mix(d.Chain, v) }

func (d *Decider) mixAmount(a energy.Amount) {
	d.mix(uint64(a.MilliwattHours))
	d.mix(uint64(a.Rest))
}

func (d *Decider) mixText(s string) { d.mix(decider.TextHash(s)) }

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// StateHash implements decider.Decider.
func (d *Decider) StateHash() uint64 { return d.Chain }
