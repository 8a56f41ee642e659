// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// siteName of every simulated site.
const siteName = "sim"

// Story is everything that one run follows from. Equal stories give equal runs,
// to the byte. It is made from a seed (NewStory) or read from a scenario file
// (Read), and written as one (Write).
type Story struct {
	// Seed of what is random below the story: how long each message travels,
	// which of many are lost, how the AI load trembles.
	Seed uint64
	// Length of the run, from an empty journal.
	Length time.Duration
	// Config of the site as the deciders read it.
	Config events.SiteConfig
	// Hosts of dispatchers, by name.
	Hosts []Host
	// Agents and the units behind them.
	Agents []Agent
	// House load at each node. It does not change.
	House []HouseLoad
	// Load is the AI load: from each step on it is so much at that node, plus a
	// tremble of at most one part in five hundred.
	Load []Step
	// Changes of the configuration.
	Changes []Change
	// Signals of the grid, of a market or of an operator.
	Signals []Signal
	// Jobs of AI schedulers, as they say it.
	Jobs []Job
	// Switches are what an operator asks for outlets.
	Switches []Switch
	// Faults injected.
	Faults []Fault
}

// Host is one dispatcher host.
type Host struct {
	Name string
	// Version of its deciders; empty is the version that speaks first.
	Version string
}

// Agent speaks for equal units.
type Agent struct {
	Name  string
	Units int
	// Caps of each unit, with the meter that sees it.
	Caps events.Capabilities
}

// Step of the AI load that hangs at a node, empty for the point of connection.
type Step struct {
	At    time.Duration
	Node  string
	Watts int64
}

// HouseLoad that hangs at a node, empty for the point of connection.
type HouseLoad struct {
	Node  string
	Watts int64
}

// Change of a limit by the operator: a new site.config.
type Change struct {
	At time.Duration
	// Node, empty for the point of connection, and which limit of it.
	Node string
	What Limit
	// Watts are the new limit.
	Watts int64
}

// Limit is which one changes.
type Limit string

// Limits that change: the rating of a node or of the site, and what of the heat
// at a node can be carried off.
const (
	LimitRating  Limit = "limit"
	LimitCooling Limit = "cooling"
)

// String is the change as a scenario writes it.
func (c *Change) String() string {
	return fmt.Sprintf("at %s %s of %s becomes %s", c.At, c.What, orRoot(c.Node), power(c.Watts))
}

// orRoot names a node for people.
func orRoot(node string) string {
	if node == "" {
		return events.RootNode
	}
	return node
}

// apply makes the change in a configuration, whose nodes it may write to.
func (c *Change) apply(cfg *events.SiteConfig) {
	if c.Node == "" {
		cfg.LimitWatts = c.Watts
		return
	}
	for i := range cfg.Nodes {
		if n := &cfg.Nodes[i]; n.Node == c.Node && c.What == LimitCooling {
			n.CoolingLimitWatts = c.Watts
		} else if n.Node == c.Node {
			n.LimitWatts = c.Watts
		}
	}
}

// Signal is published at a time.
type Signal struct {
	At     time.Duration
	Source string
	Grid   events.GridSignal
	// Notice is how long before its window it is published.
	Notice time.Duration
}

// FaultKind is what goes wrong.
type FaultKind string

// Faults. Who they concern is in Fault.Who, how badly in Fault.Amount.
const (
	// FaultLoses and the next: a link loses, repeats, delays or reorders
	// messages. Amount is parts per thousand, or a time.
	FaultLoses   FaultKind = "loses"
	FaultRepeats FaultKind = "repeats"
	FaultDelays  FaultKind = "delays"
	FaultMixes   FaultKind = "mixes"
	// FaultCutOff: nothing passes between Who and the bus. FaultHeldUp: what
	// was sent meanwhile arrives afterwards.
	FaultCutOff FaultKind = "cut-off"
	FaultHeldUp FaultKind = "held-up"
	// FaultCrash of a host, an agent or the bus. A host crashes at Point. The
	// bus loses the last Amount of its journal.
	FaultCrash FaultKind = "crashes"
	// FaultOrphan: the agent dies and its machines hash on.
	FaultOrphan FaultKind = "dies-while-hashing"
	// FaultIgnores: a unit acknowledges every order, reports the power it was
	// told, and goes on as before.
	FaultIgnores FaultKind = "ignores-orders"
	// Faults of meters: no readings; the last value for ever; a payload that
	// is no number; the wrong sign; kilowatts written as if they were
	// megawatts (a thousandth), or watts as if they were kilowatts (a thousand
	// times as much); a clock that is Amount off.
	FaultSilent   FaultKind = "silent"
	FaultFrozen   FaultKind = "frozen"
	FaultNaN      FaultKind = "reads-nan"
	FaultNegative FaultKind = "reads-negative"
	FaultThousand FaultKind = "reads-a-thousandth"
	FaultTimes    FaultKind = "reads-a-thousand-times"
	FaultSkewed   FaultKind = "skewed"
	// FaultClock: the clock of Who ("everything" for all) jumps by Amount.
	FaultClock FaultKind = "clock-jumps"
	// FaultActivate: the version of host Who is activated.
	FaultActivate FaultKind = "activated"
	// FaultIdle: a controller of outlets says that it switches them and does
	// not. FaultUnable: it says that it cannot.
	FaultIdle   FaultKind = "switches-nothing"
	FaultUnable FaultKind = "cannot-switch"
	// FaultRestart: every agent restarts at once.
	FaultRestart FaultKind = "all-restart"
)

// Point at which a host crashes.
type Point string

// Points: at once, or right after the next of these.
const (
	PointNow      Point = "now"
	PointPublish  Point = "after-publish"
	PointAck      Point = "after-acknowledgement"
	PointSnapshot Point = "after-snapshot"
	PointFold     Point = "between-fold-and-publish"
)

// Everything is whom a fault of all clocks concerns, and TheBus the server.
const (
	Everything = "everything"
	TheBus     = "bus"
)

// Fault injected from At until Until.
type Fault struct {
	Kind      FaultKind
	Who       string
	At, Until time.Duration
	// Thousandths of messages, for FaultLoses and FaultRepeats.
	Thousandths int
	// By is the delay, the skew, the jump or the span lost.
	By    time.Duration
	Point Point
	// Every: the host crashes at its point again and again, not once.
	Every bool
}

// lies reports whether a meter with the fault tells a believable untruth.
func (f *Fault) lies() bool {
	return f.Kind == FaultFrozen || f.Kind == FaultThousand || f.Kind == FaultTimes || f.Kind == FaultNegative
}

// serverJumps reports whether the clock of the server jumps: then it may forget
// the ids of what is on its way to it twice. Whoever reads streams counts on that.
func (s *Story) serverJumps() bool {
	return slices.ContainsFunc(s.Faults, func(f Fault) bool {
		return f.Kind == FaultClock && (f.Who == Everything || f.Who == TheBus)
	})
}

// calmEnd of a story: long enough without faults, signals and steps of the load
// for a site to recover by itself.
const calmEnd = 3 * time.Minute

// calmSince reports whether nothing is planned from t on.
func (s *Story) calmSince(t time.Duration) bool {
	for i := range s.Load {
		if s.Load[i].At > t {
			return false
		}
	}
	for i := range s.Changes {
		if s.Changes[i].At > t {
			return false
		}
	}
	for i := range s.Signals {
		g := &s.Signals[i]
		ends := g.At + g.Notice + time.Duration(g.Grid.DurationSeconds)*time.Second
		if ends > t {
			return false
		}
		for k := range s.Faults {
			// A window that began by a clock that is set back since is over
			// when that clock says so again: by design, however late.
			if f := &s.Faults[k]; f.Kind == FaultClock && f.At <= ends && g.At <= f.Until {
				return false
			}
		}
	}
	for i := range s.Jobs {
		if s.Jobs[i].At > t {
			return false
		}
	}
	for i := range s.Switches {
		if s.Switches[i].At > t {
			return false
		}
	}
	for i := range s.Faults {
		if s.Faults[i].Until > t {
			return false
		}
	}
	return true
}
