// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"math/big"
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// forgoneTotals adds up what stands.
func (l *Ledger) forgoneTotals() Forgone {
	var t Forgone
	var all []events.CurtailmentLine
	for _, id := range l.forgone.order {
		c := l.forgone.standing[id]
		if c == nil {
			continue
		}
		t.Intervals++
		t.Nameplate += c.NameplateMilliwattHours
		all = append(all, c.Lines...)
	}
	t.Lines = Sum(all)
	return t
}

// Sum adds up lines with the same basis, reason and signal, in that order. The
// lines given are sorted by it.
func Sum(lines []events.CurtailmentLine) []events.CurtailmentLine {
	slices.SortStableFunc(lines, func(a, b events.CurtailmentLine) int { return a.Compare(&b) })
	var out []events.CurtailmentLine
	var hashes, part big.Int
	for i := range lines {
		l := &lines[i]
		if n := len(out); n == 0 || out[n-1].Compare(l) != 0 {
			out = append(out, *l)
			if _, ok := hashes.SetString(l.Hashes, 10); !ok {
				hashes.SetInt64(0) // Validate would have refused it
			}
			continue
		}
		o := &out[len(out)-1]
		o.MilliwattHours += l.MilliwattHours
		o.ModelledMilliwattHours += l.ModelledMilliwattHours
		o.ForgoneMillisats += l.ForgoneMillisats
		o.ForgoneMicrousd += l.ForgoneMicrousd
		o.AvoidedCostMicrousd += l.AvoidedCostMicrousd
		o.NetMicrousd += l.NetMicrousd
		if _, ok := part.SetString(l.Hashes, 10); ok {
			o.Hashes = hashes.Add(&hashes, &part).String()
		}
	}
	return out
}
