// SPDX-License-Identifier: Apache-2.0

package events

import "slices"

// Bounds on the power tree of a site.
const (
	// MaxMeters and MaxNodes of one site.
	MaxMeters = 4096
	MaxNodes  = 4096
	// MaxNodeDepth is how many nodes may stand above one another below the
	// point of connection.
	MaxNodeDepth = 16
	// MaxNodeAgents are listed at the nodes of one site in all.
	MaxNodeAgents = 20_000
)

// RootNode names the point of connection itself where a node is asked for and
// a unit or a figure belongs to no node below it. No node may be called so.
const RootNode = SiteSource

// Redundancy is how many of the paths that feed a node may fail without its
// load noticing.
type Redundancy string

// Redundancies.
const (
	// RedundancyNone: the whole rating may be used.
	RedundancyNone Redundancy = "none"
	// Redundancy2N: two paths, each able to carry the load alone: half of
	// what both are rated for may be used.
	Redundancy2N Redundancy = "2n"
	// RedundancyN1: Paths paths, one of which may fail: (Paths − 1) ÷ Paths of
	// what all are rated for may be used.
	RedundancyN1 Redundancy = "n+1"
)

// NodeConfig describes one node of the power tree: a feed, a transformer, a
// UPS, a PDU, a rack, a tank. What is usable at it is
//
//	min(limit × continuous factor, limit × redundancy, cooling limit)
//
// and headroom is the least over a node and all above it.
type NodeConfig struct {
	// Node is the id, unique in the site; a token, and not RootNode.
	Node string `json:"node"`
	// Parent is the node that feeds it; empty for the point of connection.
	Parent string `json:"parent,omitempty"`
	// LimitWatts is the rating, of all paths together. W.
	LimitWatts int64 `json:"limit_watts"`
	// ContinuousFactorPPM is the share of the limit usable for hours, parts
	// per million, as at the site.
	ContinuousFactorPPM int64 `json:"continuous_factor_ppm"`
	// Redundancy; empty means none.
	Redundancy Redundancy `json:"redundancy,omitempty"`
	// Paths that feed the node, the spare one included; for n+1 only, 2 to 64.
	Paths int64 `json:"paths,omitempty"`
	// CoolingLimitWatts is the most whose heat can be carried off; 0 means that
	// cooling sets no limit here. W.
	CoolingLimitWatts int64 `json:"cooling_limit_watts,omitempty"`
	// AINameplateWatts and HouseWatts are load that hangs at this very node,
	// not at one below it. The nameplate counts while no meter of this node
	// that sees the AI load is believed, the house load always. W.
	AINameplateWatts int64 `json:"ai_nameplate_watts,omitempty"`
	HouseWatts       int64 `json:"house_watts,omitempty"`
	// Reserve kept free at this node for the AI load beneath it; nil for none.
	Reserve *ReserveConfig `json:"reserve,omitempty"`
	// RampWattsPerSecond and RampBurstWatts bound increases beneath the node;
	// both 0: no bound of its own.
	RampWattsPerSecond int64 `json:"ramp_watts_per_second,omitempty"`
	RampBurstWatts     int64 `json:"ramp_burst_watts,omitempty"`
	// RampDownWattsPerSecond and MaxStartsAtOnce as in the policy of the site,
	// for what hangs beneath the node.
	RampDownWattsPerSecond int64 `json:"ramp_down_watts_per_second,omitempty"`
	MaxStartsAtOnce        int64 `json:"max_starts_at_once,omitempty"`
	// Agents whose units hang at this node, whatever they announce.
	Agents []string `json:"agents,omitempty"`
	// Breaker is what people open to take the power from this node, in their
	// words: "Q7 in hall 2, row C". Alerts that ask people to act repeat it.
	Breaker string `json:"breaker,omitempty"`
}

// MaxOutlets of one site.config.
const MaxOutlets = 10_000

// OutletConfig says which outlet feeds which units. Wiring is a fact of the
// site that a person decides: a worker cannot name somebody else's outlet.
type OutletConfig struct {
	// Outlet id, unique in the site; several entries of one outlet say that it
	// feeds several units.
	Outlet string `json:"outlet"`
	// Controller that switches it: the source token of its commands and status.
	Controller string `json:"controller"`
	// Agent whose unit it feeds; Unit of the agent, empty for all of them.
	Agent string `json:"agent"`
	Unit  string `json:"unit,omitempty"`
}

// SiteMeters are the meters whose sum is the site: of AI, house and mining
// meters those that no meter of the same Measures above them sees already, of
// total meters those at the point of connection. Groups are made distinct by
// node. Without nodes they are Meters itself, which must not be changed.
func (s *SiteConfig) SiteMeters() []MeterConfig {
	if len(s.Nodes) == 0 {
		return s.Meters
	}
	covered := s.CoveredMeters()
	out := slices.DeleteFunc(slices.Clone(s.Meters), func(m MeterConfig) bool {
		_, seen := covered[m.Meter]
		return seen || m.Measures == MeasuresTotal && m.Node != ""
	})
	for i := range out {
		if m := &out[i]; m.Group != "" && m.Node != "" {
			m.Group = m.Node + "/" + m.Group
		}
	}
	return out
}

// CoveredMeters are the meters below the point of connection that a meter of
// the same Measures further up sees, too: by id, with the id of the highest such
// meter. Empty without nodes.
func (s *SiteConfig) CoveredMeters() map[string]string {
	if len(s.Nodes) == 0 {
		return nil
	}
	parent := make(map[string]string, len(s.Nodes))
	for i := range s.Nodes {
		parent[s.Nodes[i].Node] = s.Nodes[i].Parent
	}
	type place struct {
		node string
		what Measures
	}
	first := make(map[place]string, len(s.Meters))
	for i := range s.Meters {
		m := &s.Meters[i]
		if at := (place{m.Node, m.Measures}); first[at] == "" {
			first[at] = m.Meter
		}
	}
	covered := make(map[string]string)
	for i := range s.Meters {
		m := &s.Meters[i]
		at := m.Node
		for range MaxNodeDepth {
			if at == "" {
				break
			}
			at = parent[at]
			if by := first[place{at, m.Measures}]; by != "" {
				covered[m.Meter] = by
			}
		}
	}
	return covered
}

// SiteLoad is what the configuration declares for the whole site: AI load that
// is taken to be drawn while no meter is believed, and house load that none
// sees, at the point of connection and at all nodes. W.
func (s *SiteConfig) SiteLoad() (aiNameplate, house int64) {
	aiNameplate, house = s.AINameplateWatts, s.HouseWatts
	for i := range s.Nodes {
		aiNameplate += s.Nodes[i].AINameplateWatts
		house += s.Nodes[i].HouseWatts
	}
	return aiNameplate, house
}
