// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"

	"github.com/ballast-energy/ballast/events"
)

// explained holds what a decision says of its reasons against what happened.
// before are the setpoints before it.
func (d *Dispatch) explained(w *events.DispatchDecided, before map[*unit]int64) error {
	x := w.Why
	if x == nil {
		return fmt.Errorf("nothing is said")
	}
	n := &x.Nodes[0]
	if last := x.Nodes[len(x.Nodes)-1]; last.Node != events.RootNode {
		return fmt.Errorf("the path ends at %s", last.Node)
	}
	if w.BindingNode != "" && n.Node != w.BindingNode {
		return fmt.Errorf("%s is said to bind, %s explained", w.BindingNode, n.Node)
	}
	if n.HeadroomWatts != w.HeadroomWatts || n.LimitWatts != w.LimitWatts {
		return fmt.Errorf("headroom %d W of %d W, not %d W of %d W", n.HeadroomWatts, n.LimitWatts, w.HeadroomWatts, w.LimitWatts)
	}
	for i := range x.Nodes {
		n := &x.Nodes[i]
		if d.site.known && n.HeadroomWatts != n.UsableWatts-n.AIWatts-n.HouseWatts-n.ReserveWatts {
			return fmt.Errorf("the balance of %s does not balance: %+v", n.Node, n)
		}
		sum := int64(0)
		for _, t := range reserveParts(n.Reserve, n.ReserveWatts) {
			sum += t.watts
		}
		if sum != n.ReserveWatts {
			return fmt.Errorf("the terms of the reserve at %s make %d W, not %d W: %+v", n.Node, sum, n.ReserveWatts, n.Reserve)
		}
	}
	lowered, watts := x.LoweredOmitted, int64(0)
	for i := range x.Lowered {
		l := &x.Lowered[i]
		lowered += l.Units
		watts += l.Watts
		if l.Best.AfterWatts >= l.Best.BeforeWatts {
			return fmt.Errorf("the best one lowered was not: %+v", l.Best)
		}
		if l.Node != "" && l.OverWatts == 0 {
			return fmt.Errorf("%s was lowered for %s, and there would have been room for it", l.Best.Unit, l.Node)
		}
		if l.Kept != nil && (l.Kept.AfterWatts == 0 || l.Kept.BeforeWatts != l.Kept.AfterWatts) {
			return fmt.Errorf("the worst one kept was not: %+v", l.Kept)
		}
	}
	if lowered != w.UnitsLowered {
		return fmt.Errorf("%d units lowered, %d explained", w.UnitsLowered, lowered)
	}
	if fell, known := d.fell(before); known && watts > fell {
		return fmt.Errorf("%d W explained, %d W lowered", watts, fell)
	}
	if (w.UnitsRaised > 0) != (x.Held != nil) && d.heldWatts() > 0 {
		return fmt.Errorf("%d units raised, what is held: %v", w.UnitsRaised, x.Held)
	}
	if w.UnitsRaised > 0 {
		sum := x.HeldOmittedWatts
		for _, h := range x.Held {
			sum += h.Watts
		}
		if want := d.heldWatts(); sum != want {
			return fmt.Errorf("%d W are held, %d W explained: %+v", want, sum, x.Held)
		}
	}
	return nil
}

// fell is by how much setpoints fell, false where units came that nothing is
// known of.
func (d *Dispatch) fell(before map[*unit]int64) (int64, bool) {
	w := int64(0)
	for _, u := range d.order {
		old, known := before[u]
		if !known {
			return 0, false
		}
		w += max(old-u.set, 0)
	}
	return w, true
}

// heldWatts are the nameplates less the setpoints.
func (d *Dispatch) heldWatts() int64 {
	w := int64(0)
	for _, u := range d.order {
		w += u.caps.NameplateWatts - u.set
	}
	return w
}

// waterfall holds what keeps units down, beneath every node, against the sums,
// and sees that asking changes nothing.
func (d *Dispatch) waterfall() error {
	was := d.StateHash()
	for _, n := range d.nodes {
		want := int64(0)
		for _, u := range d.order {
			if u.node == n || u.node.beneath(n) {
				want += u.caps.NameplateWatts - u.set
			}
		}
		sum := int64(0)
		hs := d.allHeld(n)
		for _, h := range hs {
			if h.Watts < 0 && h.By != events.HoldLocal && h.By != events.HoldLevel || h.Units == 0 {
				return fmt.Errorf("%+v", h)
			}
			sum += h.Watts
		}
		if sum != want {
			return fmt.Errorf("%d W are held beneath %s, %d W explained: %+v", want, n.id, sum, hs)
		}
	}
	for _, n := range d.nodes {
		w, err := d.Why(n.id)
		if err != nil {
			return err
		}
		held := int64(0)
		for _, h := range w.Held {
			held += h.Watts
		}
		if w.NameplateWatts-held != w.PermittedWatts || w.PermittedWatts-w.NotDrawnWatts+w.OverdrawnWatts != w.ReportedWatts ||
			w.ReportedWatts+w.UnreportedWatts != w.MiningWatts || w.PermittedWatts != n.setSum {
			return fmt.Errorf("the waterfall of %s does not balance: %+v", n.id, w)
		}
	}
	us, err := d.WhyUnits("")
	if err != nil || len(us) != len(d.order) {
		return fmt.Errorf("%d of %d units explained: %w", len(us), len(d.order), err)
	}
	for _, u := range us {
		for _, h := range u.Held {
			u.NameplateWatts -= h.Watts
		}
		if u.NameplateWatts != u.SetpointWatts {
			return fmt.Errorf("%s of %s is not explained: %+v", u.Unit, u.Agent, u)
		}
	}
	if d.StateHash() != was {
		return fmt.Errorf("asking why changed the state")
	}
	return nil
}
