// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// boundThreads counts the threads of this process by the processors that they
// may run on.
func boundThreads(t *testing.T) map[string]int {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) == 0 {
		t.Fatal(tasks, err)
	}
	bound := make(map[string]int)
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for line := range strings.Lines(string(text)) {
			if list, ok := strings.CutPrefix(line, "Cpus_allowed_list:"); ok {
				bound[strings.TrimSpace(list)]++
			}
		}
	}
	return bound
}

// TestOnlyHashingThreadsAreBound: each hashing thread is where it was pinned,
// all others go on as before, also those that start later.
func TestOnlyHashingThreadsAreBound(t *testing.T) {
	cores := Cores()
	allowed, err := allowedCPUs()
	if err != nil {
		t.Fatal(err)
	}
	if len(allowed) < 2 {
		t.Skip("a single processor: nothing to tell apart")
	}
	m := newTestMiner(t, MinerConfig{Threads: len(cores), OnHit: func(Hit) {}, Pin: true})
	m.Resume()
	setWork(t, m, smallWork(3, 20000))
	waitDry(m)
	places := m.CPUs()
	for i, cpus := range places {
		if !slices.Equal(cpus, cores[i].CPUs) {
			t.Errorf("thread %d is bound to %v, want core %v", i, cpus, cores[i].CPUs)
		}
	}
	if s := m.Stats(); s.Bound != len(cores) {
		t.Errorf("%d bound, want %d", s.Bound, len(cores))
	}
	if bound := boundThreads(t); len(cores) > 1 {
		for _, core := range cores {
			if bound[FormatCPUs(core.CPUs)] != 1 {
				t.Errorf("threads by processors: %v", bound)
			}
		}
		if bound[FormatCPUs(allowed)] == 0 {
			t.Errorf("every thread is bound: %v", bound)
		}
	}

	one := []int{allowed[len(allowed)-1]}
	chosen := newTestMiner(t, MinerConfig{OnHit: func(Hit) {}, CPUs: one})
	if got := chosen.CPUs(); chosen.Threads() != 1 || !slices.Equal(got[0], one) || chosen.Stats().Bound != 1 {
		t.Errorf("hashing only on %v: threads on %v", one, got)
	}
	all := newTestMiner(t, MinerConfig{Threads: 3, OnHit: func(Hit) {}, CPUs: one})
	if all.Threads() != 3 || all.Stats().Bound != 3 {
		t.Errorf("%d threads, %d bound, want 3", all.Threads(), all.Stats().Bound)
	}
}

func TestMinerRefusesPlaces(t *testing.T) {
	for name, config := range map[string]MinerConfig{
		"a processor that is not there": {CPUs: []int{MaxCPU}},
		"one that cannot be":            {CPUs: []int{0, -1}},
		"more pinned threads":           {Threads: 4096, Pin: true},
	} {
		config.OnHit = func(Hit) {}
		if m, err := NewMiner(config); !errors.Is(err, ErrCPUs) || m != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := bindThread([]int{MaxCPU}); err == nil {
		t.Error("bound to a processor that is not there")
	}
}
