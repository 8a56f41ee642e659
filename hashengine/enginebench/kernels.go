// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
)

const (
	// ChunkTime is the least that a chunk takes: as many calls of
	// [hashengine.Engine.Scan] as it needs.
	ChunkTime = 100 * time.Microsecond
	// SustainedChunks are a run of successive chunks of one kernel, a
	// millisecond and a half of its work.
	SustainedChunks = 16
)

// lane is one kernel at one sort of work, and its chunks so far.
type lane struct {
	kernel  hashengine.Kernel
	rolling bool
	loop    *loop
	hashes  uint64
	// Of every chunk: nanoseconds per hash, the calibration of the clock behind
	// it, and, once all are known, core cycles per hash.
	times  []float64
	clocks []int
	cycles []float64
	// Of every window on all threads: hashes per second.
	windows []float64
}

// template is a header like those of a chain: any would do.
func template() hashengine.Header {
	var h hashengine.Header
	for i := range h {
		h[i] = byte(i*7 + 1)
	}
	h.SetVersion(0x20000000)
	return h
}

// endless is work in which nothing is found for longer than anybody waits.
func endless(rolling bool) hashengine.Work {
	mask := uint32(0)
	if rolling {
		mask = hashengine.VersionRollingMask
	}
	return hashengine.NewWork(template(), mask, hashengine.Target{31: 1})
}

// lanes makes an engine per kernel and sort of work. Kernels that do not run
// here, or compute wrongly, are returned as results without figures.
func (r *run) lanes() (able []*lane, unable []KernelResult) {
	kernels := slices.Clone(r.Kernels)
	if !slices.ContainsFunc(kernels, func(k hashengine.Kernel) bool { return k.Name == peer }) {
		if k, err := hashengine.KernelByName(peer); err == nil {
			kernels = append(kernels, k)
		}
	}
	for _, k := range kernels {
		for _, rolling := range []bool{true, false} {
			l, err := newLane(k, rolling)
			if err != nil {
				unable = append(unable, KernelResult{Kernel: k.Name, NotMeasured: err.Error(), VersionRolling: rolling})
				continue
			}
			able = append(able, l)
		}
	}
	return able, unable
}

func newLane(k hashengine.Kernel, rolling bool) (*lane, error) {
	l, err := newLoop(k, endless(rolling))
	if err != nil {
		return nil, err
	}
	return &lane{kernel: k, rolling: rolling, loop: l}, nil
}

// loop is an engine without anything around it.
type loop struct {
	engine hashengine.Engine
	work   hashengine.Work
	hits   [8]hashengine.Hit // here, so that a call does not allocate
}

// newLoop makes an engine that computes correctly: the figures of any other
// mean nothing.
func newLoop(k hashengine.Kernel, work hashengine.Work) (*loop, error) {
	engine, err := k.New()
	if err != nil {
		return nil, err
	}
	if err := hashengine.Check(engine); err != nil {
		return nil, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	l := &loop{engine: engine, work: work}
	return l, engine.Load(&l.work)
}

// scan does one call, and begins anew at the end of the space.
func (l *loop) scan() uint64 {
	res := l.engine.Scan(l.hits[:])
	if res.Done {
		_ = l.engine.Load(&l.work) // it took this work before
	}
	return res.Hashes
}

// chunk is the time of a chunk and the hashes in it.
func (l *lane) chunk() (took time.Duration, hashes uint64) {
	begin := time.Now()
	for took < ChunkTime {
		hashes += l.loop.scan()
		took = time.Since(begin)
	}
	return took, hashes
}

// kernels times all lanes in turn on one core.
func (r *run) kernels(ctx context.Context, lanes []*lane) (Machine, error) {
	m := machine()
	type outcome struct {
		clocks []float64 // every calibration, GHz
		unit   lane      // SHA256RNDS2 for hashes
		pinned bool
		err    error
	}
	done := make(chan outcome)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and with it that
		// it is bound to one processor.
		runtime.LockOSThread()
		var o outcome
		o.pinned = stay()
		// The first chunks find the size of a call.
		for _, l := range lanes {
			for range 8 {
				l.chunk()
			}
		}
		share := r.share(shareKernels)
		begin := time.Now()
		reported := begin
		o.clocks = append(o.clocks, coreClock())
		for round := 0; ; round++ {
			now := time.Now()
			if o.err = context.Cause(ctx); o.err != nil || round > 0 && now.Sub(begin) >= share {
				break
			}
			if now.Sub(reported) > 100*time.Millisecond {
				reported = now
				r.step("kernels on one core", shareKernels, float64(now.Sub(begin))/float64(share))
			}
			if hasShaUnit() {
				o.unit.note(unitTime(), &o.clocks)
			}
			for _, l := range lanes {
				took, hashes := l.chunk()
				l.hashes += hashes
				l.note(float64(took)/float64(max(hashes, 1)), &o.clocks)
			}
		}
		done <- o
	}()
	o := <-done
	if o.err != nil {
		return m, o.err
	}
	r.before += shareKernels
	m.Pinned = o.pinned
	if hasShaUnit() {
		o.unit.count(o.clocks)
		m.CyclesPerRounds = slices.Min(o.unit.cycles)
	}
	for _, l := range lanes {
		l.count(o.clocks)
	}
	m.Clock, m.ClockLeast, m.ClockMost = median(o.clocks), percentile(o.clocks, 5), percentile(o.clocks, 95)
	return m, nil
}

// note takes down a chunk's time per hash and calibrates the clock behind it.
func (l *lane) note(each float64, clocks *[]float64) {
	l.times = append(l.times, each)
	l.clocks = append(l.clocks, len(*clocks))
	*clocks = append(*clocks, coreClock())
}

// clockWindow calibrations on either side of a chunk tell its clock.
const clockWindow = 8

// count turns times into cycles. The clock of a chunk is the fastest of the
// calibrations around it. One that was interrupted looks slow, and two in
// succession can be: with fewer to choose from, the best of thousands of chunks
// is the one whose clock was underrated.
func (l *lane) count(clocks []float64) {
	l.cycles = make([]float64, len(l.times))
	for i, each := range l.times {
		at := l.clocks[i]
		around := clocks[max(at-clockWindow, 0):min(at+clockWindow, len(clocks))]
		l.cycles[i] = each * slices.Max(around)
	}
}

// sustained is the least mean of a run of successive values.
func sustained(values []float64) float64 {
	n := min(SustainedChunks, len(values))
	if n == 0 {
		return 0
	}
	sum, least := 0.0, math.Inf(1)
	for i, v := range values {
		sum += v
		if i >= n {
			sum -= values[i-n]
		}
		if i >= n-1 {
			least = min(least, sum)
		}
	}
	return least / float64(n)
}

// results of the lanes, peers of the same sort of work compared.
func (r *run) results(lanes []*lane, m *Machine) []KernelResult {
	out := make([]KernelResult, 0, len(lanes))
	for _, l := range lanes {
		chosen := r.choice.Fixed.Kernel.Name
		if l.rolling {
			chosen = r.choice.Rolling.Kernel.Name
		}
		k := KernelResult{
			Kernel: l.kernel.Name, VersionRolling: l.rolling, Chosen: l.kernel.Name == chosen,
			Chunks: len(l.times), Hashes: l.hashes, AllCores: median(l.windows) / 1e6,
		}
		if len(l.times) == 0 {
			continue
		}
		clean := slices.Min(l.times)
		k.CleanRate, k.SustainedRate = 1000/clean, 1000/sustained(l.times)
		for _, other := range lanes {
			if other.kernel.Name == peer && other.rolling == l.rolling {
				k.OverStdlib = slices.Min(other.times) / clean
			}
		}
		if m.Clock > 0 {
			k.CleanCycles, k.SustainedCycles = slices.Min(l.cycles), sustained(l.cycles)
			k.MedianCycles = median(slices.Clone(l.cycles))
		}
		k.MedianRate = 1000 / median(slices.Clone(l.times))
		if k.CleanCycles > 0 && m.CyclesPerRounds > 0 {
			k.ShareOf60 = 60 / k.CleanCycles
			k.ShareOfUnit = 60 * m.CyclesPerRounds / k.CleanCycles
		}
		out = append(out, k)
	}
	return out
}
