// SPDX-License-Identifier: Apache-2.0

package events

// MaxHeadroomNodes is the most nodes of one headroom.published.
const MaxHeadroomNodes = 256

// HeadroomPublished (headroom.published) says how much power is free at the
// nodes of a site's power tree: every five seconds at most, and only of nodes
// whose figures have moved by more than a fiftieth of what is usable there and
// 100 W, or that began or ceased to be measured. What does not fit into one
// event comes with the next one. A site without nodes has none: dispatch.decided
// tells its headroom.
//
// One event carries many nodes because a step of the AI load at the point of
// connection moves the headroom of every node beneath it at once.
type HeadroomPublished struct {
	// Second of the tick.
	Second int64 `json:"second"`
	// Nodes whose figures changed.
	Nodes []NodeHeadroom `json:"nodes"`
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
}

// EventType implements Payload.
func (*HeadroomPublished) EventType() Type { return TypeHeadroomPublished }

// Validate implements Payload.
func (h *HeadroomPublished) Validate() error {
	var c checker
	c.between("second", h.Second, 0, maxSecond)
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
	}
	return c.err
}
