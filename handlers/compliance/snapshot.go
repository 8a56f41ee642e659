// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"fmt"

	"github.com/ballast-energy/ballast/handlers/decider"
)

// Snapshot returns the whole state. Equal states give equal bytes.
func (d *Decider) Snapshot() ([]byte, error) { return decider.EncodeState(d.identity, &d.state) }

// Restore takes a snapshot back. After an error the decider is unusable.
func (d *Decider) Restore(b []byte) error {
	d.state, d.index = state{}, index{}
	if err := decider.DecodeState(d.identity, b, &d.state); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return fmt.Errorf("compliance: snapshot: %w", err)
	}
	d.rebuild()
	return nil
}

// check refuses a state whose parts point at nothing.
func (d *Decider) check() error {
	for i := range d.Meters {
		if c := d.Meters[i].Channel; c < 0 || c >= len(d.Channels) {
			return fmt.Errorf("meter %s is of no channel", d.Meters[i].ID)
		}
	}
	for i := range d.Channels {
		for _, m := range d.Channels[i].Members {
			if m < 0 || m >= len(d.Meters) {
				return fmt.Errorf("channel %d has no such member", i)
			}
		}
	}
	for i := range d.Units {
		if a := d.Units[i].Agent; a < 0 || a >= len(d.Agents) {
			return fmt.Errorf("unit %s has no agent", d.Units[i].ID)
		}
	}
	for _, p := range d.Points {
		if p == nil || p.History == nil || d.Terms == nil || p.History.Step != d.Terms.Step {
			return fmt.Errorf("a point has no history")
		}
	}
	for _, e := range d.Events {
		if e == nil || e.Point < 0 || e.Point >= len(d.Points) || e.Measured < 0 || e.Measured >= kinds ||
			e.Phase == phaseRunning && (len(e.Lines) == 0 || e.Lines[len(e.Lines)-1].End != 0) {
			return fmt.Errorf("an event is measured nowhere")
		}
	}
	return nil
}
