// SPDX-License-Identifier: Apache-2.0

package siteview

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// maxForgone bounds how many settled intervals can still be taken back.
const maxForgone = 512

// Forgone is what units could have hashed and did not.
type Forgone struct {
	// MilliwattHours not drawn.
	MilliwattHours int64 `json:"milliwatt_hours"`
	// Millisats and Microusd that the hashes would have been worth.
	Millisats int64 `json:"forgone_millisats"`
	Microusd  int64 `json:"forgone_microusd"`
	// NetMicrousd is that less the energy's cost.
	NetMicrousd int64 `json:"net_microusd"`
}

// forgoneIn is a settled interval.
type forgoneIn struct {
	id    string
	lines []events.CurtailmentLine
}

// takeForgone adds an interval, or takes back one that was added.
func (v *View) takeForgone(ev *events.Event, c *events.CurtailmentSettled) {
	if c.Reverses != "" {
		if i := slices.IndexFunc(v.forgone, func(f forgoneIn) bool { return f.id == c.Reverses }); i >= 0 {
			v.addForgone(v.forgone[i].lines, -1)
			v.forgone = slices.Delete(v.forgone, i, i+1)
		}
	}
	if len(c.Lines) == 0 {
		return
	}
	v.addForgone(c.Lines, 1)
	v.forgone = append(v.forgone, forgoneIn{ev.ID, slices.Clone(c.Lines)})
	if n := len(v.forgone) - maxForgone; n > 0 {
		v.forgone = slices.Delete(v.forgone, 0, n)
	}
}

func (v *View) addForgone(lines []events.CurtailmentLine, sign int64) {
	for i := range lines {
		l := &lines[i]
		f := v.p.Forgone[l.Basis]
		f.MilliwattHours += sign * l.MilliwattHours
		f.Millisats += sign * l.ForgoneMillisats
		f.Microusd += sign * l.ForgoneMicrousd
		f.NetMicrousd += sign * l.NetMicrousd
		v.p.Forgone[l.Basis] = f
	}
}
