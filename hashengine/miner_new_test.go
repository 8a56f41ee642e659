// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"runtime"
	"testing"
)

func TestNewMinerRefuses(t *testing.T) {
	errNone := errors.New("no such processor")
	before := runtime.GOMAXPROCS(0)
	for _, c := range []struct {
		name   string
		config MinerConfig
		err    error
	}{
		{"no handler", MinerConfig{Threads: 1}, ErrNoHitHandler},
		{"negative threads", MinerConfig{Threads: -1, OnHit: func(Hit) {}}, ErrThreads},
		{"too many threads", MinerConfig{Threads: MaxThreads + 1, OnHit: func(Hit) {}}, ErrThreads},
		{"nice value that raises", MinerConfig{Threads: 1, OnHit: func(Hit) {}, Nice: -1}, ErrNice},
		{"nice value beyond the system's", MinerConfig{Threads: 1, OnHit: func(Hit) {}, Nice: 20}, ErrNice},
		{"no engine", MinerConfig{Threads: 1, OnHit: func(Hit) {}, NewEngine: func() (Engine, error) { return nil, errNone }}, errNone},
		{"broken engine", MinerConfig{Threads: 1, OnHit: func(Hit) {}, NewEngine: func() (Engine, error) {
			return newBroken(t, spoilers()["misses a hit"]), nil
		}}, ErrWrongHash},
	} {
		if m, err := NewMiner(c.config); !errors.Is(err, c.err) || m != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if after := runtime.GOMAXPROCS(0); after != before {
		t.Errorf("GOMAXPROCS was %d and is %d", before, after)
	}
}

func TestMinerRaisesGOMAXPROCS(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	a := newTestMiner(t, MinerConfig{OnHit: func(Hit) {}})
	b := newTestMiner(t, MinerConfig{Threads: 3, OnHit: func(Hit) {}})
	if got, want := runtime.GOMAXPROCS(0), before+a.Threads()+3; got != want {
		t.Errorf("GOMAXPROCS is %d, want %d", got, want)
	}
	_ = a.Close()
	_ = b.Close()
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("GOMAXPROCS is %d after Close, was %d", got, before)
	}
}

// TestMinerFaults: faults of an engine show in the account.
func TestMinerFaults(t *testing.T) {
	checked := false
	m := newTestMiner(t, MinerConfig{Threads: 1, OnHit: func(Hit) {}, NewEngine: func() (Engine, error) {
		return newBroken(t, func(_ []Hit, r *Result) {
			if checked && r.Hits > 0 {
				r.Faults += uint64(r.Hits)
				r.Hits = 0
			}
		}), nil
	}})
	checked = true
	w := smallWork(1, 1000)
	setWork(t, m, w)
	m.Resume()
	waitDry(m)
	if s := m.Stats(); s.Hits != 0 || s.Faults != uint64(len(plainHits(&w))) || s.Hashes != w.Space() {
		t.Errorf("%+v", s)
	}
}
