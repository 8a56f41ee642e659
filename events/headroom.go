// SPDX-License-Identifier: Apache-2.0

package events

// MaxHeadroomNodes is the most nodes of one headroom.published.
const MaxHeadroomNodes = 256

// MaxFirm is the most spans of firm headroom of a site.
const MaxFirm = 6

// HeadroomPublished (headroom.published) says how much power is free at the
// nodes of a site's power tree: every five seconds at most, and only of nodes
// whose figures have moved by more than a fiftieth of what is usable there and
// 100 W, or that began or ceased to be measured. What does not fit into one
// event comes with the next one. A site without nodes has none, unless its
// policy names spans of firm headroom: dispatch.decided tells its headroom.
//
// One event carries many nodes because a step of the AI load at the point of
// connection moves the headroom of every node beneath it at once.
type HeadroomPublished struct {
	// Second of the tick.
	Second int64 `json:"second"`
	// Nodes whose figures changed.
	Nodes []NodeHeadroom `json:"nodes"`
	// FirmProbabilityPPM of the firm headroom of the nodes, parts per million.
	FirmProbabilityPPM int64 `json:"firm_probability_ppm,omitempty"`
}

// NodeHeadroom is what is free for mining at one node, mining itself included.
type NodeHeadroom struct {
	// Node id, RootNode for the point of connection.
	Node string `json:"node"`
	// HeadroomWatts is the least of usable − load − reserve over the node and
	// all above it, now; may be negative. W.
	HeadroomWatts int64 `json:"headroom_watts"`
	// FirmWatts is what is left of it, over the node and all above, when the
	// AI load returns to the peak that the node's envelope remembers and its
	// floor and margin are kept free even then; may be negative. W.
	FirmWatts int64 `json:"firm_watts"`
	// FirmSeconds is the least window over which those peaks were taken: as
	// long as the AI load stays within what it was in the last so many
	// seconds, FirmWatts hold. s.
	FirmSeconds int64 `json:"firm_seconds"`
	// BindingNode is the node that sets HeadroomWatts.
	BindingNode string `json:"binding_node"`
	// MeterFresh is false when some term is a stand-in for a meter that is not
	// believed.
	MeterFresh bool `json:"meter_fresh"`
	// Firm is what is still free at the end of each span that has been learned,
	// with FirmProbabilityPPM: the least over the node and all above it.
	Firm []FirmHeadroom `json:"firm,omitempty"`
	// Reserve of the node itself, by term.
	Reserve *ReserveTerms `json:"reserve,omitempty"`
}

// FirmHeadroom is what of the headroom is still there after a while.
type FirmHeadroom struct {
	// Seconds from now. s.
	Seconds int64 `json:"seconds"`
	// Watts that are free then and all the time until then: the headroom now
	// less the quantile by which the booked load (AI, house and reserve) has been
	// seen to rise within so many seconds; may be negative. W.
	Watts int64 `json:"watts"`
}

// ReserveTerms are what a reserve is made of: max(floor, envelope, jobs +
// max(rise, unlearned)) + margin, less what a stand-in for a silent meter adds to the load
// already. W.
type ReserveTerms struct {
	// FloorWatts and MarginWatts as configured.
	FloorWatts  int64 `json:"floor_watts"`
	MarginWatts int64 `json:"margin_watts"`
	// UnlearnedWatts as configured while it counts, else 0.
	UnlearnedWatts int64 `json:"unlearned_watts"`
	// EnvelopeWatts by which the recent peak is above the load.
	EnvelopeWatts int64 `json:"envelope_watts"`
	// RiseWatts: quantile of the rise within the response time of the AI load
	// that no job accounts for.
	RiseWatts int64 `json:"rise_watts"`
	// JobsWatts: sum over the jobs of peak − draw.
	JobsWatts int64 `json:"jobs_watts"`
}

// EventType implements Payload.
func (*HeadroomPublished) EventType() Type { return TypeHeadroomPublished }

// Validate implements Payload.
func (h *HeadroomPublished) Validate() error {
	var c checker
	c.between("second", h.Second, 0, maxSecond)
	c.quantile("firm_probability_ppm", h.FirmProbabilityPPM)
	if len(h.Nodes) == 0 || len(h.Nodes) > MaxHeadroomNodes {
		c.fail("nodes", "%d given; 1 to %d are possible", len(h.Nodes), MaxHeadroomNodes)
		return c.err
	}
	c.in = "nodes"
	for i := range h.Nodes {
		n := &h.Nodes[i]
		c.at = i
		c.token("node", n.Node)
		c.signed("headroom_watts", n.HeadroomWatts)
		c.signed("firm_watts", n.FirmWatts)
		c.between("firm_seconds", n.FirmSeconds, 0, daySeconds)
		c.token("binding_node", n.BindingNode)
		if len(n.Firm) > MaxFirm {
			c.fail("firm", "%d given; at most %d are possible", len(n.Firm), MaxFirm)
		}
		for _, f := range n.Firm {
			c.between("firm.seconds", f.Seconds, 60, daySeconds)
			c.signed("firm.watts", f.Watts)
		}
		c.reserveTerms(n.Reserve)
	}
	return c.err
}

// reserveTerms checks the terms of a reserve, if there are any.
func (c *checker) reserveTerms(r *ReserveTerms) {
	if r == nil {
		return
	}
	c.count("reserve.floor_watts", r.FloorWatts)
	c.count("reserve.margin_watts", r.MarginWatts)
	c.count("reserve.unlearned_watts", r.UnlearnedWatts)
	c.count("reserve.envelope_watts", r.EnvelopeWatts)
	c.count("reserve.rise_watts", r.RiseWatts)
	c.count("reserve.jobs_watts", r.JobsWatts)
}
