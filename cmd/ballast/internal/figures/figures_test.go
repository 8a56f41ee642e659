// SPDX-License-Identifier: Apache-2.0

package figures_test

import (
	"testing"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
)

func TestGrouped(t *testing.T) {
	for s, want := range map[string]string{
		"0": "0", "999": "999", "1000": "1,000", "-999": "-999", "-1000": "-1,000", "1234567": "1,234,567",
		"999.1234": "999.1234", "-1234567.50": "-1,234,567.50", "": "",
	} {
		if got := figures.Grouped(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

func TestInt(t *testing.T) {
	if got := figures.Int(int64(-1 << 63)); got != "-9,223,372,036,854,775,808" {
		t.Error(got)
	}
	if got := figures.Int(^uint64(0)); got != "18,446,744,073,709,551,615" {
		t.Error(got)
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{0: "0 seeds", 1: "1 seed", 2: "2 seeds", 1000: "1,000 seeds", -1: "-1 seeds"} {
		if got := figures.Count(n, "seed"); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
