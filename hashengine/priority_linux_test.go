// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// lowThreads counts the threads of this process at the lowest priority.
func lowThreads(t *testing.T) (low, all int) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		nice, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if err != nil {
			continue // the thread has ended
		}
		all++
		if nice == 20-lowestNice { // the system call returns 20−nice
			low++
		}
	}
	return low, all
}

// TestOnlyHashingThreadsAreLowered: neither the runtime's threads nor any
// that it starts later may inherit the priority.
func TestOnlyHashingThreadsAreLowered(t *testing.T) {
	if low, _ := lowThreads(t); low != 0 {
		t.Skipf("%d threads have the lowest priority already", low)
	}
	const threads = 3
	m := newTestMiner(t, MinerConfig{Threads: threads, OnHit: func(Hit) {}})
	m.Resume()
	setWork(t, m, smallWork(3, 20000))
	waitDry(m)
	if s := m.Stats(); s.Lowered != threads || s.LowerErr != nil {
		t.Errorf("%d of %d threads lowered: %v", s.Lowered, threads, s.LowerErr)
	}
	if low, all := lowThreads(t); low != threads {
		t.Errorf("%d of %d threads have the lowest priority, want %d", low, all, threads)
	}
	_ = m.Close()

	normal := newTestMiner(t, MinerConfig{Threads: threads, OnHit: func(Hit) {}, NormalPriority: true})
	if s := normal.Stats(); s.Lowered != 0 || s.LowerErr != nil {
		t.Errorf("priority lowered against the configuration: %+v", s)
	}
}
