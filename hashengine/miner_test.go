// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// basket collects hits and notices repeated ones.
type basket struct {
	mu    sync.Mutex
	hits  map[Header]Hit
	twice int
}

func (b *basket) add(h Hit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hits == nil {
		b.hits = make(map[Header]Hit)
	}
	if _, ok := b.hits[h.Header]; ok {
		b.twice++
	}
	b.hits[h.Header] = h
}

// compare checks that the basket holds exactly what plain code finds. The
// miner must be closed.
func (b *basket) compare(t *testing.T, works ...Work) {
	t.Helper()
	want, missing := 0, 0
	for i := range works {
		for header, hash := range plainHits(&works[i]) {
			want++
			if hit, ok := b.hits[header]; !ok {
				missing++
			} else if hit.Hash != hash || hit.Tag != works[i].Tag {
				t.Errorf("found %s with tag %v", hit.Hash, hit.Tag)
			}
		}
	}
	if len(b.hits) != want || missing != 0 || b.twice != 0 {
		t.Errorf("%d hits, %d repeated and %d missing, want %d", len(b.hits), b.twice, missing, want)
	}
}

func newTestMiner(t testing.TB, config MinerConfig) *Miner {
	t.Helper()
	m, err := NewMiner(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func setWork(t testing.TB, m *Miner, w Work) {
	t.Helper()
	if err := m.SetWork(w); err != nil {
		t.Fatal(err)
	}
}

// waitDry returns when every thread has done its work and there is no more.
func waitDry(m *Miner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.active > 0 || !m.dry || m.halfway() {
		m.idle.Wait()
	}
}

// halfway reports whether a thread waits with work left, as it does while the
// receiver of hits is slow. m.mu is held and no thread is active.
func (m *Miner) halfway() bool {
	for _, t := range m.threads {
		if t.loaded && t.generation == m.generation {
			return true
		}
	}
	return false
}

// stretch returns the work of the i-th next template.
func stretch(w Work, i int) Work {
	w.Header.SetTime(w.Header.Time() + uint32(i))
	w.Tag = i
	return w
}

func TestMinerCoversEveryTemplateOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 5} {
		var b basket
		var next atomic.Int64
		base := smallWork(3, 2000)
		base.Tag = 0
		errEnd := errors.New("no more extranonces")
		m := newTestMiner(t, MinerConfig{
			Threads: threads,
			OnHit:   b.add,
			Next: func(_ context.Context, spent Work) (Work, error) {
				i := int(next.Add(1))
				if spent.Tag != i-1 {
					t.Errorf("spent work has tag %v, want %d", spent.Tag, i-1)
				}
				if i == 4 {
					return Work{}, errEnd
				}
				return stretch(base, i), nil
			},
		})
		m.Resume()
		setWork(t, m, base)
		waitDry(m)
		s := m.Stats()
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		works := []Work{base, stretch(base, 1), stretch(base, 2), stretch(base, 3)}
		b.compare(t, works...)
		if s.Hashes != 4*base.Space() || s.Hits != uint64(len(b.hits)) || s.Faults != 0 || s.Spaces != 4 {
			t.Errorf("%d threads: %+v, want %d hashes", threads, s, 4*base.Space())
		}
		if !s.Dry || !errors.Is(s.Err, errEnd) || s.Active != 0 {
			t.Errorf("%d threads: not dry for the right reason: %+v", threads, s)
		}
		if s := m.Stats(); s.Waiting != 0 {
			t.Errorf("%d hits wait after Close", s.Waiting)
		}
	}
}

func TestMinerWithMoreThreadsThanSpace(t *testing.T) {
	var b basket
	m := newTestMiner(t, MinerConfig{Threads: 8, OnHit: b.add})
	w := smallWork(1, 3)
	w.Target = MaxTarget
	setWork(t, m, w)
	m.Resume()
	waitDry(m)
	s := m.Stats()
	_ = m.Close()
	b.compare(t, w)
	if s.Hashes != 3 || s.Err != nil {
		t.Errorf("%+v", s)
	}
}

// TestMinerUnderFire changes everything that can be changed while the miner
// works; the space must come out whole all the same.
func TestMinerUnderFire(t *testing.T) {
	var b basket
	m := newTestMiner(t, MinerConfig{Threads: 3, OnHit: b.add})
	w := smallWork(5, 20000)
	setWork(t, m, w)
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		switch r.IntN(5) {
		case 4:
			m.Halt()
			if !m.Stopped() {
				t.Fatal("running after Halt")
			}
		case 0:
			m.Stop()
			s := m.Stats()
			runtime.Gosched()
			if again := m.Stats(); again.Hashes != s.Hashes || again.Hits != s.Hits || s.Active != 0 {
				t.Fatalf("hashing after Stop: %+v, then %+v", s, again)
			}
		case 1:
			m.Resume()
		case 2:
			if err := m.SetDuty([]int{0, 1, 300, 700, 999, 1000}[r.IntN(6)]); err != nil {
				t.Fatal(err)
			}
		case 3:
			runtime.Gosched()
		}
	}
	if err := m.SetDuty(FullDuty); err != nil {
		t.Fatal(err)
	}
	m.Resume()
	waitDry(m)
	s := m.Stats()
	_ = m.Close()
	b.compare(t, w)
	if s.Hashes != w.Space() {
		t.Errorf("%d hashes in a space of %d", s.Hashes, w.Space())
	}
}

func TestMinerStartsStoppedAndIdle(t *testing.T) {
	m := newTestMiner(t, MinerConfig{Threads: 2, OnHit: func(Hit) {}})
	if !m.Stopped() || m.Duty() != FullDuty || m.Threads() != 2 {
		t.Errorf("stopped %v, duty %d, threads %d", m.Stopped(), m.Duty(), m.Threads())
	}
	setWork(t, m, NewWork(knownBlocks[0].header(), VersionRollingMask, Target{31: 1}))
	m.Stop() // stopped already; must not wait for anything
	if s := m.Stats(); s.Hashes != 0 || s.Active != 0 || s.Dry {
		t.Errorf("hashed without Resume: %+v", s)
	}

	idle := newTestMiner(t, MinerConfig{Threads: 2, OnHit: func(Hit) {}, Next: func(context.Context, Work) (Work, error) {
		t.Error("Next asked before there was any work")
		return Work{}, ErrClosed
	}})
	idle.Resume()
	idle.Stop()
	idle.Resume()
	if idle.Stopped() {
		t.Error("stopped after Resume")
	}
	if s := idle.Stats(); s.Hashes != 0 || s.Spaces != 0 {
		t.Errorf("hashed without work: %+v", s)
	}
}

// TestMinerSwitchesWork: once the threads have passed a Stop after SetWork,
// nothing of the old work is hashed.
func TestMinerSwitchesWork(t *testing.T) {
	var mu sync.Mutex
	counts := make(map[any]int)
	some := make(chan any, 1)
	m := newTestMiner(t, MinerConfig{Threads: 2, OnHit: func(h Hit) {
		mu.Lock()
		counts[h.Tag]++
		mu.Unlock()
		select {
		case some <- h.Tag:
		default:
		}
	}})
	await := func(tag int) {
		for got := range some {
			if got == tag {
				return
			}
		}
	}
	m.Resume()
	for i := range 20 {
		w := NewWork(knownBlocks[0].header(), VersionRollingMask, Target{1: 0x10})
		w.Tag = i
		setWork(t, m, w)
		await(i)
		m.Stop()
		bad := w
		bad.Target = Target{}
		if err := m.SetWork(bad); !errors.Is(err, ErrTargetZero) {
			t.Fatalf("bad work: %v", err)
		}
		m.Resume()
		await(i) // bad work leaves the old in place
	}
	m.Stop()
	if s := m.Stats(); s.Spaces != 20 {
		t.Errorf("%d spaces, want 20", s.Spaces)
	}
}

// TestMinerWaitsForASlowReceiver: threads pause rather than lose hits or fill
// memory, and a stop is not held up.
func TestMinerWaitsForASlowReceiver(t *testing.T) {
	var b basket
	release := make(chan struct{})
	m := newTestMiner(t, MinerConfig{Threads: 2, OnHit: func(h Hit) {
		<-release
		b.add(h)
	}})
	w := smallWork(3, 5000)
	w.Target = MaxTarget
	setWork(t, m, w)
	m.Resume()
	m.mu.Lock()
	for m.active > 0 || !m.hits.full() {
		m.idle.Wait()
	}
	m.mu.Unlock()
	if s := m.Stats(); s.Waiting < hitsWaiting || s.Waiting > hitsWaiting+2*hitsPerCall || s.Hits != uint64(s.Waiting) {
		t.Errorf("paused with %+v", s)
	}
	m.Stop()
	m.Resume()
	close(release)
	waitDry(m)
	_ = m.Close()
	b.compare(t, w)
}

func TestMinerCloseHandsOutHits(t *testing.T) {
	var b basket
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m := newTestMiner(t, MinerConfig{Threads: 2, OnHit: func(h Hit) {
		once.Do(func() { close(entered) })
		<-release
		b.add(h)
	}})
	w := smallWork(1, 1000)
	setWork(t, m, w)
	m.Resume()
	<-entered
	waitDry(m)
	closed := make(chan struct{})
	for range 3 { // Close may be called again, and at the same time
		go func() {
			_ = m.Close()
			closed <- struct{}{}
		}()
	}
	select {
	case <-closed:
		t.Error("closed with hits waiting")
	case release <- struct{}{}:
	}
	close(release)
	for range 3 {
		<-closed
	}
	b.compare(t, w)
}

func TestMinerAfterClose(t *testing.T) {
	m := newTestMiner(t, MinerConfig{Threads: 1, OnHit: func(Hit) {}})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.SetWork(smallWork(1, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("work after Close: %v", err)
	}
	m.Resume()
	m.Stop()
	if err := m.SetDuty(500); err != nil {
		t.Error(err)
	}
	if !m.Stopped() || m.Stats().Hashes != 0 {
		t.Error("a closed miner runs")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestMinerNextIsOvertaken: SetWork cancels a Next under way and its answer is
// not used; Close does so too and does not hang.
func TestMinerNextIsOvertaken(t *testing.T) {
	var b basket
	asked := make(chan any)
	var under atomic.Int64
	m := newTestMiner(t, MinerConfig{Threads: 2, OnHit: b.add, Next: func(ctx context.Context, spent Work) (Work, error) {
		if under.Add(1) != 1 {
			t.Error("Next was called twice at a time")
		}
		defer under.Add(-1)
		asked <- spent.Tag
		<-ctx.Done()
		return stretch(smallWork(1, 100), 99), nil // must be dropped
	}})
	m.Resume()
	var works []Work
	for i := range 5 {
		w := stretch(smallWork(2, 300), i)
		works = append(works, w)
		setWork(t, m, w)
		if tag := <-asked; tag != i {
			t.Fatalf("asked after %v, want %d", tag, i)
		}
		// The threads that had something to do finish it.
		m.mu.Lock()
		for m.active > 0 {
			m.idle.Wait()
		}
		m.mu.Unlock()
	}
	_ = m.Close()
	b.compare(t, works...)
	if s := m.Stats(); s.Spaces != 5 {
		t.Errorf("%d spaces, want 5", s.Spaces)
	}
}

func TestMinerNextGivesBadWork(t *testing.T) {
	var b basket
	bad := true
	m := newTestMiner(t, MinerConfig{Threads: 2, OnHit: b.add, Next: func(context.Context, Work) (Work, error) {
		if bad {
			bad = false
			return Work{}, nil
		}
		return Work{}, context.Canceled
	}})
	w := smallWork(1, 500)
	setWork(t, m, w)
	m.Resume()
	waitDry(m)
	if s := m.Stats(); !errors.Is(s.Err, ErrTargetZero) || !s.Dry {
		t.Errorf("%+v", s)
	}
	other := stretch(w, 1)
	setWork(t, m, other)
	waitDry(m)
	if s := m.Stats(); !errors.Is(s.Err, context.Canceled) || s.Hashes != 1000 {
		t.Errorf("%+v", s)
	}
	_ = m.Close()
	b.compare(t, w, other)
}

func TestMinerDuty(t *testing.T) {
	m := newTestMiner(t, MinerConfig{Threads: 2, OnHit: func(Hit) {}})
	for _, bad := range []int{-1, 1001, 1 << 30} {
		if err := m.SetDuty(bad); !errors.Is(err, ErrDuty) {
			t.Errorf("duty %d: %v", bad, err)
		}
	}
	if m.Duty() != FullDuty {
		t.Errorf("a bad duty was taken: %d", m.Duty())
	}
	if err := m.SetDuty(NoDuty); err != nil {
		t.Fatal(err)
	}
	w := smallWork(1, 3000)
	setWork(t, m, w)
	m.Resume()
	if s := m.Stats(); s.Hashes != 0 || s.Active != 0 {
		t.Errorf("hashed at duty 0: %+v", s)
	}
	if err := m.SetDuty(200); err != nil {
		t.Fatal(err)
	}
	waitDry(m)
	if s := m.Stats(); s.Hashes != w.Space() {
		t.Errorf("%d hashes in a space of %d", s.Hashes, w.Space())
	}
}
