// SPDX-License-Identifier: Apache-2.0

package siteview

import (
	"fmt"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

func TestForgoneAddsUpAndIsTakenBack(t *testing.T) {
	v := New("demo", nil)
	n := 0
	settle := func(reverses string, lines ...events.CurtailmentLine) {
		n++
		v.take(events.New("demo", "site", &events.CurtailmentSettled{Lines: lines, Reverses: reverses}).WithID(fmt.Sprint("c", n)))
	}
	line := func(b events.Basis, mwh int64) events.CurtailmentLine {
		return events.CurtailmentLine{Basis: b, MilliwattHours: mwh, ForgoneMillisats: 2 * mwh, ForgoneMicrousd: 3 * mwh, NetMicrousd: -mwh}
	}
	sum := func(mwh int64) Forgone {
		return Forgone{MilliwattHours: mwh, Millisats: 2 * mwh, Microusd: 3 * mwh, NetMicrousd: -mwh}
	}
	settle("", line(events.BasisModelled, 100), line(events.BasisModelled, 11), line(events.BasisLive, 7))
	settle("", line(events.BasisModelled, 1000))
	early := v.Picture()
	settle("c1") // taken back
	settle("c1") // once
	settle("of before the view")
	if p := v.Picture(); p.Forgone[events.BasisModelled] != sum(1000) || p.Forgone[events.BasisLive] != sum(0) {
		t.Errorf("%+v", p.Forgone)
	}
	if early.Forgone[events.BasisModelled] != sum(1111) || early.Forgone[events.BasisLive] != sum(7) {
		t.Errorf("before: %+v", early.Forgone)
	}
	for range 3 * maxForgone {
		settle("", line(events.BasisModelled, 1))
	}
	if len(v.forgone) > maxForgone {
		t.Errorf("%d intervals kept: the memory is not bounded", len(v.forgone))
	}
	if got := v.Picture().Forgone[events.BasisModelled]; got != sum(1000+3*maxForgone) {
		t.Errorf("in all %+v", got)
	}
}
