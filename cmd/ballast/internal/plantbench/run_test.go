// SPDX-License-Identifier: Apache-2.0

package plantbench

import (
	"context"
	"errors"
	"io/fs"
	"testing"
)

// recorded is where the recordings lie beside the repository.
const recorded = "../../../../../shared/data/ai-load"

// traces of the recordings, or made-up ones where there are none.
func traces(t *testing.T) *Traces {
	t.Helper()
	tr, err := Load(recorded)
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("no recorded AI load at %s: a made-up one is played", recorded)
		return madeUp()
	}
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// madeUp has the shape of a recording: near its peak, with dips.
func madeUp() *Traces {
	t := &Traces{NameplateShare: 1_400_000}
	for i := range int64(3_400) {
		w := 950_000 + 49_000*((i*7919)%100)/100
		if i%181 < 9 {
			w = 700_000
		}
		t.Training = append(t.Training, w)
	}
	for k := range int64(4) {
		s := make([]int64, 900)
		for i := range s {
			s[i] = 950_000
			if (int64(i)+k*97)%300 < 60 {
				s[i] = 450_000
			}
		}
		t.Serving = append(t.Serving, s)
	}
	return t
}

func control(t *testing.T, name string) Control {
	t.Helper()
	for _, c := range Controls() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no control %q", name)
	return Control{}
}

func run(t *testing.T, tr *Traces, c Config) *Result {
	t.Helper()
	r, err := Run(context.Background(), tr, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestJobReserveHoldsTheLimit plays ten hours, in which jobs are interrupted and
// come back without notice: never a second over the limit, and most of the free
// power used. Without a reserve the same hours break it, or this proves nothing.
func TestJobReserveHoldsTheLimit(t *testing.T) {
	for name, tr := range map[string]*Traces{"recorded": traces(t), "made-up": madeUp()} {
		c := Config{Hours: 10, Seed: 4, Control: control(t, JobReserve)}
		r := run(t, tr, c)
		if r.OverSeconds != 0 || r.Use() < 0.6 {
			t.Errorf("%s: %d s over the limit, use %.3f: %+v", name, r.OverSeconds, r.Use(), r)
		}
		if again := run(t, tr, c); *again != *r {
			t.Errorf("%s: the second run gives another result: %+v, then %+v", name, r, again)
		}
		if bare := run(t, tr, Config{Hours: 10, Seed: 4, Control: Controls()[0]}); bare.OverSeconds == 0 || bare.MostWatts < 1_000_000 {
			t.Errorf("%s: without a reserve nothing is over the limit: %+v", name, bare)
		}
	}
}

// TestNoticeGivesRoom: what a scheduler says ahead is worth power.
func TestNoticeGivesRoom(t *testing.T) {
	tr := madeUp()
	with, without := Controls()[len(Controls())-1], control(t, JobReserve)
	a, b := run(t, tr, Config{Hours: 10, Seed: 4, Control: with}), run(t, tr, Config{Hours: 10, Seed: 4, Control: without})
	if a.OverSeconds != 0 || a.Use() < b.Use()+0.02 {
		t.Errorf("use %.3f with notice and %.3f without, %d s over", a.Use(), b.Use(), a.OverSeconds)
	}
}

func TestLoadRefuses(t *testing.T) {
	if _, err := Load(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("recordings that are not there: %v", err)
	}
}
