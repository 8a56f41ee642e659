// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestDefaultThreadsRule(t *testing.T) {
	for _, c := range []struct{ cores, given, all, want int }{
		{4, 8, 8, 4},    // SMT
		{4, 4, 4, 4},    // none
		{4, 100, 8, 4},  // somebody raised GOMAXPROCS
		{64, 4, 128, 3}, // a container's limit of 3 to 4 processors
		{64, 100, 128, 64},
		{64, 64, 128, 63},
		{2, 1, 2, 1},
		{1, 1, 1, 1},
		{64, 2, 128, 1}, // a limit of less than two
		{2, 6, 8, 2},    // limited, but only some processors are chosen
	} {
		if got := defaultThreads(c.cores, c.given, c.all); got != c.want {
			t.Errorf("%d cores, GOMAXPROCS %d of %d: %d threads, want %d", c.cores, c.given, c.all, got, c.want)
		}
	}
}

func TestRestrictCores(t *testing.T) {
	cores := groupCores(machineFS(t, "sockets2"), []int{0, 1, 2, 3, 4, 5, 6, 7})
	for _, c := range []struct {
		cpus []int
		want string
	}{
		{[]int{0, 4}, "0:0,4"},
		{[]int{7, 1, 5}, "0:1,5 1:7"},
		{[]int{6, 0, 3}, "0:0 1:6 1:3"},
	} {
		got, err := restrictCores(cores, c.cpus)
		if err != nil || coresText(got) != c.want {
			t.Errorf("%v: %s, %v, want %s", c.cpus, coresText(got), err, c.want)
		}
	}
	_, err := restrictCores(cores, []int{0, 9, 8, 64})
	if !errors.Is(err, ErrCPUs) || !strings.Contains(err.Error(), "0-7, not 8-9,64") {
		t.Errorf("processors that are not there: %v", err)
	}
	if got := coresText(cores); got != "0:0,4 1:2,6 0:1,5 1:3,7" {
		t.Errorf("restricting changed the cores to %s", got)
	}
}

func TestPlaceThreads(t *testing.T) {
	for _, c := range []struct {
		machine, allowed string
		threads          int
		choose, pin      bool
		want             string
	}{
		{"smt2", "0-7", 2, false, false, "- -"},
		{"smt2", "1-2,5", 3, true, false, "1-2,5 1-2,5 1-2,5"},
		{"smt2", "0-7", 4, false, true, "0,4 1,5 2,6 3,7"},
		{"smt2", "0-7", 6, false, true, "0 1 2,6 3,7 4 5"},
		{"smt2", "0-7", 8, false, true, "0 1 2 3 4 5 6 7"},
		{"sockets2", "0-7", 2, false, true, "0,4 2,6"},
		{"hybrid", "0-7", 7, false, true, "0 2-3 4 5 6 7 1"},
		{"smt2", "1-2,5", 2, true, true, "1,5 2"},
		{"smt2", "1-2,5", 3, true, true, "1 2 5"},
	} {
		allowed, err := ParseCPUs(c.allowed)
		if err != nil {
			t.Fatal(err)
		}
		places, err := placeThreads(groupCores(machineFS(t, c.machine), allowed), c.threads, c.choose, c.pin)
		var texts []string
		for _, cpus := range places {
			text := "-"
			if cpus != nil {
				text = FormatCPUs(cpus)
			}
			texts = append(texts, text)
		}
		if got := strings.Join(texts, " "); err != nil || got != c.want {
			t.Errorf("%d threads on %s of %s: %s, %v, want %s", c.threads, c.allowed, c.machine, got, err, c.want)
		}
	}
	two := groupCores(nil, []int{0, 1})
	if _, err := placeThreads(two, 3, false, true); !errors.Is(err, ErrCPUs) || !strings.Contains(err.Error(), "3 threads") {
		t.Errorf("three pinned to two: %v", err)
	}
	if _, err := placeThreads(two, 3, true, false); err != nil {
		t.Errorf("three on two: %v", err)
	}
}

func TestDefaultThreadsHere(t *testing.T) {
	all, err := DefaultThreads(nil)
	if err != nil || all < 1 || all > len(Cores()) {
		t.Errorf("%d threads on %d cores: %v", all, len(Cores()), err)
	}
	m := newTestMiner(t, MinerConfig{OnHit: func(Hit) {}})
	if m.Threads() != all {
		t.Errorf("a miner has %d threads, want %d", m.Threads(), all)
	}
	if s := m.Stats(); s.Bound != 0 || !slices.ContainsFunc(m.CPUs(), func(cpus []int) bool { return cpus == nil }) {
		t.Errorf("bound without being asked: %d, %v", s.Bound, m.CPUs())
	}
	// A miner's own raising of GOMAXPROCS hides no limit from the next.
	if again, err := DefaultThreads(nil); again != all || err != nil {
		t.Errorf("%d threads beside a miner, want %d: %v", again, all, err)
	}
}
