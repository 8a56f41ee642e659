// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"slices"
	"sync"
	"testing"
)

func TestEpochsAreHandedOutOnce(t *testing.T) {
	ctx := testContext(t)
	b := openTest(t, testConfig(t))
	const hosts = 8
	got := make([]uint64, hosts)
	var wg sync.WaitGroup
	for i := range hosts {
		wg.Go(func() {
			e, err := b.OpenEpoch(ctx, "demo", fmt.Sprintf("host-%d", i), "race", uint64(i))
			if err != nil {
				t.Error(err)
			}
			got[i] = e.Epoch
		})
	}
	wg.Wait()
	slices.Sort(got)
	for i, e := range got {
		if e != uint64(i+1) {
			t.Fatalf("epochs %v", got)
		}
	}
	e, err := b.CurrentEpoch(ctx, "demo")
	if err != nil || e.Epoch != hosts || e.Reason != "race" {
		t.Errorf("%+v, %v", e, err)
	}
	for _, bad := range []string{"", "*", "a.b"} {
		if _, err := b.OpenEpoch(ctx, bad, "here", "x", 0); err == nil {
			t.Errorf("epoch of site %q", bad)
		}
		if _, err := b.OpenEpoch(ctx, "demo", bad, "x", 0); err == nil {
			t.Errorf("epoch by host %q", bad)
		}
		if _, err := b.CurrentEpoch(ctx, bad); err == nil {
			t.Errorf("looked for the epoch of site %q", bad)
		}
	}
}

// The embedded server takes an epoch for every site that is configured or was
// opened before, whatever else lies in INPUTS.
func TestOpenTakesEpochsForKnownSites(t *testing.T) {
	ctx := testContext(t)
	c := testConfig(t)
	b := openTest(t, c)
	for _, subject := range []string{
		"ballast.configured.site.config.site", "ballast.BAD.site.config.site",
		"ballast.garbled.journal.opened.site", "ballast.signalled.grid.signal.x",
		"ballast.configured.meter.reading.m",
	} {
		if _, err := b.js.Publish(ctx, subject, []byte("not JSON")); err != nil {
			t.Fatal(err)
		}
	}
	closeTest(t, b)
	b = openTest(t, c)
	sites, err := b.Sites(ctx)
	if want := []string{"configured", "garbled"}; err != nil || !slices.Equal(sites, want) {
		t.Fatalf("sites %v, %v; want %v", sites, err, want)
	}
	for _, site := range sites {
		e, err := b.CurrentEpoch(ctx, site)
		if err != nil || e.Epoch != 1 || e.LastSequence != 1 || e.OpenedBy != "test" {
			t.Errorf("%s: %+v, %v", site, e, err)
		}
	}
	// A flood of garbage behind the epoch changes nothing.
	for range 50 {
		if _, err := b.js.Publish(ctx, "ballast.configured.journal.opened.site", []byte(`{"epoch":0}`)); err != nil {
			t.Fatal(err)
		}
	}
	if e, err := b.CurrentEpoch(ctx, "configured"); err != nil || e.Epoch != 1 {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := b.OpenEpoch(ctx, "configured", "here", "again", 7); err != nil || e.Epoch != 2 {
		t.Errorf("%+v, %v", e, err)
	}
}
