// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"runtime"
	"sync/atomic"
	"time"
)

// hitsPerCall is how many hits one call can return before it ends early. With
// share targets worth sending, a call seldom has one.
const hitsPerCall = 64

// thread is one hashing thread. Fields without a comment on others' use belong
// to the thread alone.
type thread struct {
	engine Engine
	hits   [hitsPerCall]Hit
	pace   pace
	timer  *time.Timer
	signal chan struct{} // capacity 1; others write
	cpus   []int         // that it is bound to; nil: not bound. Never changes

	seen       uint64 // epoch that the thread has taken note of
	active     bool   // counted in Miner.active; under Miner.mu
	loaded     bool   // the engine has work left
	generation uint64 // of that work

	// The counters are written by the thread and read by Stats. The padding
	// keeps those of two threads off one cache line.
	_      [64]byte
	hashes atomic.Uint64
	found  atomic.Uint64
	faults atomic.Uint64
	_      [64]byte
}

// newThread returns the i-th of n threads.
func newThread(engine Engine, i, n int) *thread {
	t := &thread{
		engine: engine,
		timer:  time.NewTimer(time.Hour),
		signal: make(chan struct{}, 1),
	}
	t.timer.Stop()
	t.pace.phase = float64(i) / float64(n)
	return t
}

// wake ends the thread's waiting or resting, or its next one if it does
// neither: it then finds nothing to do and waits again.
func (t *thread) wake() {
	select {
	case t.signal <- struct{}{}:
	default:
	}
}

// work is the life of a hashing thread. It tells settled whether the thread is
// where it belongs.
func (m *Miner) work(t *thread, settled chan<- error) {
	// Never unlocked: the operating system thread ends with the goroutine, and
	// with it its binding and its lowered priority. The system would not let
	// that be raised again, so it must not go back to the runtime's pool. The
	// runtime never starts a thread from a locked one, so none inherits them.
	runtime.LockOSThread()
	settled <- m.settle(t)
	for m.await(t) {
		m.scan(t)
	}
	t.timer.Stop()
}

// settle gives the calling operating system thread its place and priority.
func (m *Miner) settle(t *thread) error {
	if t.cpus != nil {
		if err := bindThread(t.cpus); err != nil {
			return err
		}
	}
	if m.config.NormalPriority {
		return nil
	}
	err := lowerThreadPriority(m.config.Nice)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.lowerErr = err
		return nil
	}
	m.lowered++
	return nil
}

// await blocks until the thread has something to hash and may. It returns
// false when the miner closes.
func (m *Miner) await(t *thread) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for {
		// Read before the state, so that a change behind this line shows in
		// the epoch.
		t.seen = m.epoch.Load()
		if m.closed {
			m.leave(t)
			return false
		}
		if !m.stopped.Load() && m.duty.Load() > NoDuty && !m.hits.full() && m.provide(t) {
			if !t.active {
				t.active = true
				m.active++
			}
			return true
		}
		m.leave(t)
		m.mu.Unlock()
		begin := monotonic()
		<-t.signal
		t.pace.waited(monotonic() - begin)
		m.mu.Lock()
	}
}

// leave notes that the thread does not hash. m.mu is held.
func (m *Miner) leave(t *thread) {
	if !t.active {
		return
	}
	t.active = false
	m.active--
	if m.active == 0 {
		m.idle.Broadcast()
	}
}

// provide sees to it that the thread's engine has something of the present
// work, and reports whether it has. m.mu is held.
func (m *Miner) provide(t *thread) bool {
	if t.loaded && t.generation == m.generation {
		return true
	}
	t.loaded = false
	if len(m.pieces) == 0 {
		m.ask()
		return false
	}
	piece := &m.pieces[0]
	m.pieces = m.pieces[1:]
	if err := t.engine.Load(piece); err != nil {
		// The work was valid; an engine that refuses it breaks its contract.
		m.err = err
		return false
	}
	t.loaded, t.generation = true, m.generation
	return true
}

// scan hashes until something changes or the thread has nothing left.
func (m *Miner) scan(t *thread) {
	duty := m.duty.Load()
	if duty == NoDuty {
		return // set since await looked; it will look again
	}
	t.pace.set(duty)
	for m.rest(t) {
		begin := t.pace.begin()
		r := t.engine.Scan(t.hits[:])
		t.pace.end(begin)
		t.hashes.Add(r.Hashes)
		if r.Faults > 0 {
			t.faults.Add(r.Faults)
		}
		if r.Hits > 0 {
			t.found.Add(uint64(r.Hits))
			m.hits.push(t.hits[:r.Hits])
		}
		if r.Done {
			t.loaded = false
			return
		}
		if r.Hits > 0 && m.hits.full() {
			return
		}
	}
}

// rest sleeps while the duty cycle demands it. It returns false when something
// has changed that the thread must look at; what it still owes it keeps.
func (m *Miner) rest(t *thread) bool {
	for {
		if m.epoch.Load() != t.seen {
			return false
		}
		nap := t.pace.nap()
		if nap == 0 {
			return true
		}
		begin := monotonic()
		t.timer.Reset(nap)
		select {
		case <-t.timer.C:
		case <-t.signal:
			t.timer.Stop()
		}
		t.pace.rested(monotonic() - begin)
	}
}
