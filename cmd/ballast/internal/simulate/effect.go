// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Effect is something that faults did in a run: a fault that is planned does
// nothing where no message is on its way, or no host comes to the point at which
// it would crash.
type Effect string

// Effects counted.
const (
	MessagesLost      Effect = "messages lost"
	MessagesRepeated  Effect = "messages repeated"
	MessagesLate      Effect = "messages late"
	MessagesOvertaken Effect = "messages overtaken"
	// Partitions: on the journal's side hosts, on the workers' side agents.
	HostPartitioned  Effect = "hosts cut off"
	AgentPartitioned Effect = "agents cut off"
	MeterPartitioned Effect = "meters cut off"
	// ControllerPartitioned: on the side of the outlets.
	ControllerPartitioned Effect = "controllers of outlets cut off"
	// Hosts that stopped at each point.
	HostStopped          Effect = "hosts stopped"
	HostStoppedPublish   Effect = "hosts stopped after a publish"
	HostStoppedAck       Effect = "hosts stopped after an acknowledgement"
	HostStoppedSnapshot  Effect = "hosts stopped after a snapshot"
	HostStoppedFold      Effect = "hosts stopped between fold and publish"
	AgentStopped         Effect = "agents stopped"
	AgentOrphaned        Effect = "agents dead while machines hashed on"
	AllRestarted         Effect = "restarts of all agents at once"
	BusStopped           Effect = "stops of the bus"
	JournalLost          Effect = "journal messages lost"
	OrdersIgnored        Effect = "orders acknowledged and ignored"
	OrdersDefied         Effect = "seconds of orders defied and nothing else wrong"
	OutletsCut           Effect = "outlets cut"
	OutletsIdle          Effect = "outlets said to be switched that were not"
	OutletsFailed        Effect = "outlets that could not be switched"
	ReadingsMissing      Effect = "readings missing"
	ReadingsFrozen       Effect = "readings frozen"
	ReadingsNaN          Effect = "readings not a number"
	ReadingsNegative     Effect = "readings of the wrong sign"
	ReadingsThousandth   Effect = "readings of a thousandth"
	ReadingsThousandfold Effect = "readings a thousand times too high"
	ReadingsSkewed       Effect = "readings skewed"
	ClocksJumped         Effect = "jumps of clocks"
	VersionsSwitched     Effect = "switches to another version"
	// VersionsAtOnce: another version folded along, silent.
	VersionsAtOnce Effect = "events folded by another version"
)

// Effects are all that are counted, in the order in which people read them.
var Effects = []Effect{
	MessagesLost, MessagesRepeated, MessagesLate, MessagesOvertaken, HostPartitioned, AgentPartitioned, MeterPartitioned, ControllerPartitioned,
	HostStopped, HostStoppedPublish, HostStoppedAck, HostStoppedSnapshot, HostStoppedFold, AgentStopped, AgentOrphaned, AllRestarted,
	BusStopped, JournalLost, OrdersIgnored, OrdersDefied, OutletsCut, OutletsIdle, OutletsFailed, ReadingsMissing, ReadingsFrozen, ReadingsNaN, ReadingsNegative, ReadingsThousandth,
	ReadingsThousandfold, ReadingsSkewed, ClocksJumped, VersionsSwitched, VersionsAtOnce,
}

// Counts of effects.
type Counts map[Effect]int64

// String lists the counts for people.
func (c Counts) String() string {
	var parts []string
	for _, e := range Effects {
		if n := c[e]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, e))
		}
	}
	return strings.Join(parts, ", ")
}

// add counts those of o, too.
func (c Counts) add(o Counts) {
	for _, e := range slices.Sorted(maps.Keys(o)) {
		c[e] += o[e]
	}
}

// stoppedAt is the effect of a crash of a host at a point.
func stoppedAt(p Point) Effect {
	switch p {
	case PointPublish:
		return HostStoppedPublish
	case PointAck:
		return HostStoppedAck
	case PointSnapshot:
		return HostStoppedSnapshot
	case PointFold:
		return HostStoppedFold
	}
	return HostStopped
}
