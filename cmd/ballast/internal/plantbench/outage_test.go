// SPDX-License-Identifier: Apache-2.0

package plantbench

import (
	"context"
	"testing"
)

// TestOutages cuts the bus a few times: with a lease of ten seconds the site is
// never longer above its limit than the lease and the time to fall; without one
// it is, or this proves nothing.
func TestOutages(t *testing.T) {
	const count = 12
	tr, c := madeUp(), control(t, Envelope)
	base, err := OutageBase(context.Background(), tr, c, count, 3)
	if err != nil {
		t.Fatal(err)
	}
	play := func(lease int64) *LeaseResult {
		r, err := Outages(context.Background(), tr, c, lease, count, 3, base)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", r)
		return r
	}
	if r := play(10); !r.Met || r.Use < 0.2 {
		t.Errorf("with a lease: %+v", r)
	}
	if r := play(0); r.WorstExtra <= 17 || r.Hurt == 0 {
		t.Errorf("without a lease no outage hurts: %+v", r)
	}
}
