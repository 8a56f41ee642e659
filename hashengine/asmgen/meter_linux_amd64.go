// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// timed calls machine code with DI, DX and SI set and returns the ticks of the
// time stamp counter that it took.
//
//go:noescape
func timed(code, context, record unsafe.Pointer, iterations int) (ticks uint64)

// meter runs lists and says how many cycles an iteration takes. Other load on
// the core only ever makes code slower, and for long stretches at a time; so a
// sample counts only if a reference loop took its clean number of cycles
// before and after it. What a cycle is changes with the core's clock: a chain
// of additions beside each sample says.
type meter struct {
	code      []byte // readable, writable and executable
	data      []byte // context, then records
	chain     []byte // additions that wait for each other
	reference []byte
	clean     float64 // cycles of the reference's iteration
}

const (
	codeBytes   = 1 << 16
	recordsFrom = 1 << 14 // within data; behind the largest context
	dataBytes   = 1 << 17

	iterations = 24 // of a chunk: few microseconds, mostly undisturbed
	chunks     = 24 // of a sample
	additions  = 200
)

// newMeter binds the calling goroutine to a processor for good. With core -1
// it is the last one of those allowed, as the first ones get most interrupts.
func newMeter(core int, k kernel) (*meter, error) {
	runtime.LockOSThread()
	var set unix.CPUSet
	if core < 0 {
		if err := unix.SchedGetaffinity(0, &set); err != nil {
			return nil, fmt.Errorf("which processors are allowed: %w", err)
		}
		for c := range len(set) * bits.UintSize {
			if set.IsSet(c) {
				core = c
			}
		}
		set.Zero()
	}
	set.Set(core)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("cannot bind to processor %d: %w", core, err)
	}
	const private = unix.MAP_PRIVATE | unix.MAP_ANON
	code, err := unix.Mmap(-1, 0, codeBytes, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, private)
	if err != nil {
		return nil, fmt.Errorf("cannot get memory to execute: %w", err)
	}
	data, err := unix.Mmap(-1, 0, dataBytes, unix.PROT_READ|unix.PROT_WRITE, private)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot get memory: %w", err), unix.Munmap(code))
	}
	m := &meter{code: code, data: data}
	for _, f := range k.context.fields {
		for n, v := range f.values {
			for w, x := range v {
				binary.LittleEndian.PutUint32(data[f.offset+n*vectorBytes+4*w:], x)
			}
		}
	}
	for w := range 4 { // nothing is a candidate: the mask is zero, the target is not
		binary.LittleEndian.PutUint32(data[int(k.context.at("target", 0).offset)+4*w:], 1)
	}
	for range additions {
		// Of registers: some processors add constants while they rename, and
		// would be off the beat.
		m.chain = append(m.chain, 0x48, 0x01, 0xd8) // ADDQ BX, AX
	}
	m.chain = closeLoop(m.chain, 0)
	m.reference = loop(referenceList())
	tries := make([]float64, 200)
	for i := range tries {
		tries[i] = m.least(m.reference, 10) / m.cycle()
	}
	slices.Sort(tries)
	m.clean = tries[len(tries)/20]
	return m, nil
}

// referenceList is a loop of the instructions of a hash, about as many of each
// as there are, without dependencies that matter.
func referenceList() []inst {
	var list []inst
	for n := range uint8(40) {
		list = append(list,
			inst{op: opRounds, dst: 1 + n%8, a: 15},
			inst{op: opAdd, dst: 9 + n%4, a: 14, b: 15},
			inst{op: opMsg1, dst: 1 + (n+4)%8, b: 15},
			inst{op: opShuffle, dst: 13, a: 15, imm: 1})
	}
	return list
}

func (m *meter) close() error { return errors.Join(unix.Munmap(m.code), unix.Munmap(m.data)) }

// place copies code to where it can run.
func (m *meter) place(code []byte) { copy(m.code, code) }

func (m *meter) once(n int) float64 {
	return float64(timed(unsafe.Pointer(&m.code[0]), unsafe.Pointer(&m.data[0]), unsafe.Pointer(&m.data[recordsFrom]), n))
}

// least returns the ticks of an iteration in the quickest of some runs.
func (m *meter) least(code []byte, runs int) float64 {
	m.place(code)
	least := math.Inf(1)
	for range runs {
		least = min(least, m.once(iterations))
	}
	return least / iterations
}

// cycle returns the ticks of a cycle.
func (m *meter) cycle() float64 { return m.least(m.chain, 10) / additions }

// undisturbed returns the ticks of a cycle, and whether the reference is at
// its clean speed.
func (m *meter) undisturbed() (cycle float64, ok bool) {
	cycle = m.cycle()
	return cycle, m.least(m.reference, 10) <= 1.03*m.clean*cycle
}

// sample returns the cycles of one iteration of the list: the lower quartile
// of n samples that count, as the clock may jump within the very best. It
// gives up waiting for a quiet machine after a while and then returns what it
// has, or infinity.
func (m *meter) sample(list []inst, n int) float64 {
	code := loop(list)
	var found []float64
	times := make([]float64, chunks)
	for tries := 0; len(found) < n && tries < 400; tries++ {
		before, ok := m.undisturbed()
		if !ok {
			continue
		}
		m.place(code)
		m.once(iterations)
		for i := range times {
			times[i] = m.once(iterations)
		}
		after, ok := m.undisturbed()
		if !ok || math.Abs(after-before) > 0.01*before {
			continue
		}
		slices.Sort(times)
		found = append(found, times[chunks/8]/iterations/before)
	}
	if len(found) == 0 {
		return math.Inf(1)
	}
	slices.Sort(found)
	return found[len(found)/4]
}
