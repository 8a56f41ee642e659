// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Preview is what would be published if every open interval ended at the last
// event folded: the accruals, corrections and settlements still to come, in
// order, with order keys and ids of epoch 0 that nothing else ever has. It is
// for summaries and screens and must not be published. The decider is not
// changed; the cost is that of a snapshot and a restore.
func (d *Decider) Preview() ([]events.Payload, error) {
	if d.Config == nil {
		return nil, nil
	}
	snap, err := d.Snapshot()
	if err != nil {
		return nil, err
	}
	twin := &Decider{identity: d.identity}
	if err := twin.Restore(snap); err != nil {
		return nil, fmt.Errorf("settlement: preview: %w", err)
	}
	return twin.finish(), nil
}

// finish ends everything that is open. The decider cannot go on after it.
func (d *Decider) finish() []events.Payload {
	var out decider.Outbox
	out.Begin(&events.Event{Meta: events.Meta{Site: d.Site, Arrived: stamp(d.Now)}})
	d.out = &out
	d.settleUse()
	d.flushAll()
	d.cutPeriod()
	last := d.current()
	last.End = d.Now
	d.seal(last)
	for _, iv := range d.Intervals {
		if iv == last && iv.Start == iv.End && len(iv.Pending) == 0 && iv.Totals == [bases]totals{} {
			break // nothing in it yet
		}
		d.accrue(iv, true)
		if !iv.Closed {
			d.close(iv)
		} else if iv.Dirty {
			d.correct(iv)
		}
	}
	var list []events.Payload
	for _, o := range out.Outputs() {
		switch o.Data.(type) {
		case *events.EnergySettled, *events.RevenueAccrued, *events.RevenueSettled, *events.CurtailmentSettled:
			list = append(list, o.Data)
		}
	}
	return list
}
