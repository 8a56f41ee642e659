// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"

	"github.com/ballast-energy/ballast/events"
)

// When the meters of a node and those beneath it disagree: by more than a
// fiftieth of the higher figure and 100 W, for thirty seconds without a break.
// Losses between two levels are less, and readings of one instant come within
// seconds of each other.
const (
	disagreePart  = 50
	disagreeWatts = 100
	disagreeAfter = 30 * second
)

// visitNodes compares, once per tick, what every node measures of its AI load
// with what is measured beneath it. The higher figure counts all along; the
// alert is for people.
func (d *Dispatch) visitNodes() {
	if !d.site.tree {
		return
	}
	for _, n := range d.nodes {
		was, flag := n.offSince, n.offAlert
		switch off := n.disagrees(); {
		case !off:
			n.offSince = -1
			d.clearAlert(&d.alarms.Tree, &n.offAlert, alarmTree, n.id, "the meters of the node and those beneath it agree")
		case n.offSince < 0:
			n.offSince = d.now
		case d.now-n.offSince >= disagreeAfter && !n.offAlert:
			d.raiseAlert(&d.alarms.Tree, &n.offAlert, alarmTree, n.id, events.SeverityCritical,
				fmt.Sprintf("the node's own meters show %d W of AI load, those beneath it %d W%s: the higher figure counts", n.ownAI, n.below.SeenAI,
					factorText(max(n.ownAI, n.below.SeenAI), min(n.ownAI, n.below.SeenAI))),
				"look for a meter with a wrong unit, phase or place, or for AI load that hangs on the node and is not in its ai_nameplate_watts")
		}
		if was != n.offSince || flag != n.offAlert {
			d.changed(n)
		}
	}
}

// disagrees reports whether what n measures itself cannot be what is measured
// beneath it. Where not all AI load beneath is measured, n may well see more.
func (n *node) disagrees() bool {
	if n.ownAI < 0 || n.below.Sources == 0 {
		return false
	}
	slack := max(n.ownAI, n.below.SeenAI)/disagreePart + disagreeWatts
	if n.below.SeenAI-n.ownAI > slack {
		return true
	}
	return n.nameplate == 0 && n.below.Uncovered == 0 && n.ownAI-n.below.SeenAI > slack
}
