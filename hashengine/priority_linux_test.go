// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// lowThreads counts the threads of this process with the nice value.
func lowThreads(t *testing.T, nice int) (low, all int) {
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
		priority, err := unix.Getpriority(unix.PRIO_PROCESS, tid)
		if err != nil {
			continue // the thread has ended
		}
		all++
		if priority == 20-nice { // as the system call returns it
			low++
		}
	}
	return low, all
}

// TestOnlyHashingThreadsAreLowered: neither the runtime's threads nor any
// that it starts later may inherit the priority.
func TestOnlyHashingThreadsAreLowered(t *testing.T) {
	const threads = 3
	for _, c := range []struct{ nice, want int }{{0, DefaultNice}, {17, 17}} {
		before, _ := lowThreads(t, c.want) // as the tests may be run niced themselves
		m := newTestMiner(t, MinerConfig{Threads: threads, OnHit: func(Hit) {}, Nice: c.nice})
		m.Resume()
		setWork(t, m, smallWork(3, 20000))
		waitDry(m)
		if s := m.Stats(); s.Lowered != threads || s.Nice != c.want || s.LowerErr != nil {
			t.Errorf("%d of %d threads lowered to %d: %v", s.Lowered, threads, s.Nice, s.LowerErr)
		}
		if low, all := lowThreads(t, c.want); low-before != threads && before == 0 {
			t.Errorf("%d of %d threads at nice %d, want %d", low, all, c.want, threads)
		}
		_ = m.Close()
	}

	normal := newTestMiner(t, MinerConfig{Threads: threads, OnHit: func(Hit) {}, NormalPriority: true})
	if s := normal.Stats(); s.Lowered != 0 || s.Nice != 0 || s.LowerErr != nil {
		t.Errorf("priority lowered against the configuration: %+v", s)
	}
}
