// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"

	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// Snapshot returns the whole state. Equal states give equal bytes.
func (d *Decider) Snapshot() ([]byte, error) { return decider.EncodeState(d.identity, &d.state) }

// Restore takes a snapshot back. After an error the decider is unusable.
func (d *Decider) Restore(b []byte) error {
	d.state, d.index = state{}, index{}
	if err := decider.DecodeState(d.identity, b, &d.state); err != nil {
		return err
	}
	for _, iv := range append(d.Intervals, d.Early) {
		if iv == nil {
			continue
		}
		for i := range iv.Pending {
			p := &iv.Pending[i]
			epoch, err := work.NewEpoch(p.Payout.NBits, p.Payout.RewardSats, p.Payout.FeePPM)
			if err != nil {
				return fmt.Errorf("settlement: snapshot holds an impossible payout: %w", err)
			}
			p.epoch = epoch
		}
	}
	d.rebuild()
	if d.Config != nil {
		d.nextStale, d.nextSilent, d.nextPrice = d.Now, d.Now, d.Now
		d.setBreak()
	}
	return nil
}

// rebuild makes the index from the state.
func (d *Decider) rebuild() {
	d.meterOf = make(map[string]int32, len(d.Meters))
	d.meterAt = make([]int32, len(d.Flows))
	d.members = make([][]int32, len(d.Flows))
	for i := range d.meterAt {
		d.meterAt[i] = -1
	}
	for i := range d.Meters {
		m := &d.Meters[i]
		d.meterOf[m.ID] = int32(i)
		d.meterAt[m.Account] = int32(i)
		d.members[m.Group] = append(d.members[m.Group], int32(i))
	}
	d.unitOf = make(map[string]int32, len(d.Units))
	for i := range d.Units {
		d.unitOf[d.Units[i].ID] = int32(i)
	}
	d.agentOf = make(map[string]int32, len(d.Agents))
	for i := range d.Agents {
		d.agentOf[d.Agents[i].ID] = int32(i)
	}
	d.purseOf = make(map[purseKey]int32, len(d.Accounts))
	for i, p := range d.Accounts {
		d.purseOf[purseKey{p.Pool, p.Basis}] = int32(i)
	}
	d.gatewayOf = make(map[string]int32, len(d.Gateways))
	for i := range d.Gateways {
		d.gatewayOf[d.Gateways[i].ID] = int32(i)
	}
	d.idleOf = make(map[idleKey]int32, len(d.Idle))
	for i := range d.Idle {
		d.idleOf[d.Idle[i].key()] = int32(i)
	}
	d.lastBound = 0
	for i := range d.Statements {
		d.lastBound = max(d.lastBound, d.Statements[i].Until)
	}
	const size = len(shareKey{})
	d.seenAt = make(map[shareKey]struct{}, len(d.Seen.Ring)/size)
	for i := 0; i < len(d.Seen.Ring); i += size {
		d.seenAt[shareKey(d.Seen.Ring[i:])] = struct{}{}
	}
	if n := len(d.Periods); n > 0 {
		d.cur = d.Periods[n-1]
	}
	if n := len(d.Layouts); n > 0 {
		d.curLayout = d.Layouts[n-1]
	}
}
