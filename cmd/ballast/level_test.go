// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/workers/modelled"
)

func TestLevelFlags(t *testing.T) {
	var f levelFlags
	for _, s := range []string{"sleep=60W@8s", "eco=2.4kW@15J/TH", "full=3500W@17.5J/TH"} {
		if err := f.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	c := modelled.AntminerS21
	if err := f.apply(&c); err != nil {
		t.Fatal(err)
	}
	if c.Wake != 8*time.Second || c.MillijoulesPerTerahash() != 17_500 || c.Levels[1].MillijoulesPerTerahash() != 15_000 {
		t.Errorf("%+v", c)
	}
	if f.String() != "sleep=60W,eco=2.4kW,full=3.5kW" {
		t.Errorf("shown as %s", f.String())
	}
	for _, s := range []string{"", "eco", "eco=2400W", "eco=2400@15J/TH", "eco=2400W@15", "eco=2400W@0J/TH", "eco=2400W@1.00001J/TH", "sleep=60W@-8s", "eco=2400W@J/TH"} {
		if err := new(levelFlags).Set(s); err == nil {
			t.Errorf("%q: no error", s)
		}
	}
	var falls levelFlags
	_, _ = falls.Set("full=3500W@17.5J/TH"), falls.Set("eco=2400W@15J/TH")
	if err := falls.apply(&c); err == nil {
		t.Error("levels that fall are taken")
	}
}
