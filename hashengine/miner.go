// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Duty cycle bounds in permille.
const (
	// FullDuty hashes all the time.
	FullDuty = 1000
	// NoDuty does not hash.
	NoDuty = 0
)

// DefaultNice is the weakest claim to the processor among ordinary threads: on
// Linux a share of 15 against the usual 1024.
const DefaultNice = 19

// MaxThreads is the most threads a [Miner] takes.
const MaxThreads = 4096

// Errors of a [Miner].
var (
	// ErrClosed: the miner has been closed.
	ErrClosed = errors.New("miner is closed")
	// ErrNoHitHandler: the configuration has no OnHit.
	ErrNoHitHandler = errors.New("no OnHit given: hits would be lost")
	// ErrThreads: the number of threads is negative or above [MaxThreads].
	ErrThreads = errors.New("bad number of threads")
	// ErrNice: a nice value that would not lower the priority.
	ErrNice = errors.New("bad nice value")
	// ErrDuty: a duty cycle outside 0 to 1000 permille.
	ErrDuty = errors.New("bad duty cycle")
)

// MinerConfig describes a [Miner].
type MinerConfig struct {
	// Threads is the number of hashing threads. 0 means what [DefaultThreads]
	// returns: one per physical core, or less under a container's limit.
	Threads int

	// CPUs are the processors, by the system's numbers, on which the threads
	// may run; see [ParseCPUs]. Empty means all that the process may use.
	// Linux only.
	CPUs []int

	// Pin binds each thread to a physical core of its own, chosen in the order
	// of [Cores] among CPUs, and to one processor of a core that several
	// threads share. It keeps the system from putting two threads on one core
	// while another is idle; on a machine that does other work, too, it also
	// keeps a thread from moving out of that work's way. Linux only.
	Pin bool

	// NewEngine makes the engine of each thread; it is called Threads times by
	// NewMiner. nil means the [Fastest] kernel.
	NewEngine func() (Engine, error)

	// OnHit receives every hit, one at a time, on one goroutine of the
	// miner's, each thread's in the order of finding. It must be given. It may
	// take its time: hits wait in a queue, none is lost, and only when some
	// thousand wait do the threads pause until it has caught up. Hits of work
	// that has been replaced or stopped meanwhile still arrive; Tag tells
	// them apart. It may call any method but Close.
	OnHit func(Hit)

	// Next is asked for new work, such as the same job under the next
	// extranonce, when the space of the present work has been given out and a
	// thread has nothing left to do. spent is the work that came last from
	// SetWork or Next. Threads that still have something to do go on; the
	// others wait for the answer, which is divided among all. It is called on
	// a goroutine of its own, never twice at a time. ctx is cancelled, and the
	// answer dropped, when SetWork or Close overtakes it. After an error, or
	// work that is not valid, the threads run dry until SetWork, and
	// [Stats.Err] tells why. It may call any method but Close. nil means that
	// threads run dry at the end of the space.
	Next func(ctx context.Context, spent Work) (Work, error)

	// Nice is the nice value of the hashing threads, 1 to 19; 0 means
	// [DefaultNice]. It has no effect outside Linux; see [Stats.LowerErr].
	//
	// The higher it is, the less hashing takes from other processes, but the
	// longer Stop may have to wait for a hashing thread that has been put
	// aside in the middle of a call. That shows only on a machine whose
	// processors other processes keep busy all the time: there, on two
	// processors with two busy processes, Stop took 100 ms and more (99th
	// percentile) at 19, 35 ms at 10, 12 ms at 5. The garbage collector waits
	// for the wide kernels only between their loops, which is seldom: its
	// pauses there were 6 µs at the median and 5 ms at the 99th percentile.
	Nice int

	// NormalPriority leaves the threads at the process's priority.
	NormalPriority bool
}

// Miner hashes on a number of operating system threads of its own.
//
// A new miner is stopped and has no work: it hashes once it has been given
// both [Miner.SetWork] and [Miner.Resume], in either order. All methods may be
// called from any goroutine at any time. Of calls that contradict each other
// the later one holds, so a caller that must be sure of a stop makes sure that
// nobody resumes behind its back.
type Miner struct {
	config  MinerConfig
	threads []*thread
	running sync.WaitGroup // threads and the feeder

	// What threads look at between calls. epoch changes whenever anything
	// that concerns them does; they look at the rest only then.
	epoch   atomic.Uint64
	stopped atomic.Bool
	duty    atomic.Int64

	hits delivery

	closing sync.Once
	life    context.Context // ends at the beginning of Close
	end     context.CancelFunc
	hungry  chan struct{} // wakes the feeder

	mu         sync.Mutex
	idle       sync.Cond // active became zero, stopped ended, or dry began
	closed     bool
	active     int // threads that hash or rest between calls
	generation uint64
	template   Work   // what the pieces are of
	pieces     []Work // not yet given out
	spaces     uint64
	wanted     bool               // Next has to be asked, or is being asked
	dry        bool               // there is no more work to be had
	err        error              // why
	cancelNext context.CancelFunc // of the call of Next under way
	lowered    int
	lowerErr   error
}

// NewMiner starts the threads of a miner, after checking every engine with
// [Check]. The caller must Close it. It fails if threads cannot be bound to
// processors as configured: hashing elsewhere is not what was asked for. A
// priority that cannot be lowered is only noted, in [Stats.LowerErr].
//
// While a miner exists, GOMAXPROCS is raised by its number of threads: a
// hashing thread then never holds the last place on which other goroutines of
// the process could run, and the operating system, which knows that hashing
// has the lower priority, decides who gets the processor. Setting GOMAXPROCS
// ends the runtime's own following of container limits. A program that sets
// GOMAXPROCS itself should do so before.
func NewMiner(config MinerConfig) (*Miner, error) {
	if config.OnHit == nil {
		return nil, fmt.Errorf("new miner: %w", ErrNoHitHandler)
	}
	places, err := config.place()
	if err != nil {
		return nil, fmt.Errorf("new miner: %w", err)
	}
	if config.Nice < 0 || config.Nice > DefaultNice {
		return nil, fmt.Errorf("new miner: %w: %d, want 1 to %d, or 0 for %d", ErrNice, config.Nice, DefaultNice, DefaultNice)
	}
	if config.Nice == 0 {
		config.Nice = DefaultNice
	}
	if config.NewEngine == nil {
		kernel, err := Fastest()
		if err != nil {
			return nil, fmt.Errorf("new miner: %w", err)
		}
		config.NewEngine = kernel.New
	}
	m := &Miner{
		config: config,
		hungry: make(chan struct{}, 1),
	}
	m.life, m.end = context.WithCancel(context.Background())
	m.idle.L = &m.mu
	m.stopped.Store(true)
	m.duty.Store(FullDuty)
	for i := range config.Threads {
		engine, err := config.NewEngine()
		if err == nil {
			err = Check(engine)
		}
		if err != nil {
			m.end()
			return nil, fmt.Errorf("new miner: engine of thread %d: %w", i, err)
		}
		t := newThread(engine, i, config.Threads)
		t.cpus = places[i]
		m.threads = append(m.threads, t)
	}

	raiseProcs(config.Threads)
	m.hits.start(config.Threads, config.OnHit, m.wake)
	settled := make(chan error, config.Threads)
	for _, t := range m.threads {
		m.running.Go(func() { m.work(t, settled) })
	}
	if config.Next != nil {
		m.running.Go(m.feed)
	}
	for range m.threads {
		err = errors.Join(err, <-settled)
	}
	if err != nil {
		_ = m.Close() // returns nil
		return nil, fmt.Errorf("new miner: %w", err)
	}
	return m, nil
}

// SetWork replaces the work. Every thread turns to it after the call of
// [Engine.Scan] that it is in, in less than a millisecond while it gets the
// processor; SetWork does not wait for that. The rest of the old space is
// forgotten. The space is divided among the threads, disjointly. SetWork
// neither resumes a stopped miner nor stops a running one. Work that is not
// valid is refused with an error of [Work.Validate], and the old work goes on.
func (m *Miner) SetWork(w Work) error {
	if err := w.Validate(); err != nil {
		return err
	}
	pieces := w.Split(len(m.threads))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return fmt.Errorf("set work: %w", ErrClosed)
	}
	m.generation++
	m.install(w, pieces)
	m.err = nil
	m.wanted = false
	if m.cancelNext != nil {
		m.cancelNext()
	}
	m.announce()
	return nil
}

// install makes w's pieces those to be given out. m.mu is held.
func (m *Miner) install(w Work, pieces []Work) {
	m.template, m.pieces = w, pieces
	m.dry = false
	m.spaces++
}

// Stop ends hashing and returns when the last thread has computed its last
// hash, usually within a quarter of a millisecond: from then until Resume the
// miner does not use the processor, and Stats().Hashes stands still. The
// threads see the flag from the first instruction of Stop on. Work and place
// are kept. If Resume overtakes it, Stop returns without the threads having
// stopped.
//
// On a machine that other processes keep busy the wait can be longer, see
// [MinerConfig.Nice]; a caller that must not wait calls [Miner.Halt].
func (m *Miner) Stop() {
	m.Halt()
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.active > 0 && m.stopped.Load() {
		m.idle.Wait()
	}
}

// Halt is Stop without the wait: it tells the threads to stop and returns. It
// never blocks. Each thread ends the call it is in and starts no other;
// [Stats.Active] counts those that have not got there. A later Stop waits for
// them.
func (m *Miner) Halt() {
	m.stopped.Store(true)
	m.announce()
}

// Resume lets the threads hash from where they were. It does not wait for
// them. After Close it does nothing.
func (m *Miner) Resume() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.stopped.Store(false)
	m.idle.Broadcast()
	m.announce()
}

// Stopped reports whether Stop or Halt, and not Resume, was called last. A new miner
// is stopped.
func (m *Miner) Stopped() bool { return m.stopped.Load() }

// SetDuty sets the part of the time that every thread hashes, in permille: 0
// (not at all) to 1000 (all the time, which is what a new miner does). In
// between, a thread hashes call by call and rests about a millisecond whenever
// it owes that much, so that the mean is met within some milliseconds; threads
// take turns. Time in which the operating system runs something else counts as
// hashing only up to the length of a call. It is independent of Stop, Resume
// and SetWork, and takes effect after the call that each thread is in.
func (m *Miner) SetDuty(permille int) error {
	if permille < NoDuty || permille > FullDuty {
		return fmt.Errorf("set duty: %w: %d permille, want %d to %d", ErrDuty, permille, NoDuty, FullDuty)
	}
	m.duty.Store(int64(permille))
	m.announce()
	return nil
}

// Duty returns what SetDuty set, in permille.
func (m *Miner) Duty() int { return int(m.duty.Load()) }

// Threads returns the number of hashing threads.
func (m *Miner) Threads() int { return len(m.threads) }

// CPUs returns for each thread the processors that it is bound to, nil for a
// thread that may run on all of the process's.
func (m *Miner) CPUs() [][]int {
	cpus := make([][]int, len(m.threads))
	for i, t := range m.threads {
		cpus[i] = slices.Clone(t.cpus)
	}
	return cpus
}

// Close stops hashing, ends all threads and goroutines of the miner, hands out
// the hits that are still waiting, gives back GOMAXPROCS, and returns when all
// that is done. It waits for OnHit and Next to return. Later calls wait for
// the first; all return nil.
func (m *Miner) Close() error {
	m.closing.Do(func() {
		m.stopped.Store(true)
		m.mu.Lock()
		m.closed = true
		m.mu.Unlock()
		m.end()
		m.announce()
		m.running.Wait()
		m.hits.close()
		lowerProcs(len(m.threads))
	})
	return nil
}

// announce makes every thread look at the miner's state.
func (m *Miner) announce() {
	m.epoch.Add(1)
	m.wake()
}

// wake ends the waiting and resting of all threads. It never blocks.
func (m *Miner) wake() {
	for _, t := range m.threads {
		t.wake()
	}
}
