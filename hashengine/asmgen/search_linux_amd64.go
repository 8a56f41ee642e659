// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/klauspost/cpuid/v2"
)

// search looks for a better order of a kernel's instructions on this machine
// and writes it to the order file if it has found one.
func search(args []string) (err error) {
	flags := flag.NewFlagSet("search", flag.ContinueOnError)
	name := flags.String("kernel", "vr5", "kernel: vr5 or n4")
	seconds := flags.Float64("seconds", 60, "how long to search")
	stagger := flags.Float64("stagger", 0, "share of the time, 0 to 1, to try new arrangements of the lanes in; what is found there is the start of the rest, in place of the frozen order, if it is better")
	core := flags.Int("core", -1, "number of the processor to run on, where nothing else should; -1 for the last one allowed")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "seed of the random choices")
	dir := flags.String("orders", filepath.Join("hashengine", "asmgen", "orders"), "directory of the order files; the kernel's is overwritten if a better order was found")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !cpuid.CPU.Supports(cpuid.SHA, cpuid.SSSE3, cpuid.SSE4, cpuid.AVX2) {
		return errors.New("search: this processor has no SHA instructions to measure")
	}
	if *stagger < 0 || *stagger > 1 || *seconds <= 0 {
		return errors.New("search: the time must be positive and the share of it from 0 to 1")
	}
	path := filepath.Join(*dir, *name+".txt")
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("search: start from the repository's root or say -orders: %w", err)
	}
	begin, err := parseFrozen(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	k, err := begin.build(*name)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	m, err := newMeter(*core, k)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	s := searcher{meter: m, name: *name, rnd: rand.New(rand.NewPCG(*seed, 0)), lanes: float64(k.lanes), until: time.Now().Add(time.Duration(*seconds * float64(time.Second)))}
	fmt.Printf("%s on %s, seed %d\n", *name, cpuid.CPU.BrandName, *seed)
	start := s.cycles(k.list, 20)
	fmt.Printf("the frozen order takes %.2f cycles per hash\n", start)
	found, list, err := s.run(begin, start, time.Duration(*seconds**stagger*float64(time.Second)))
	if err != nil {
		return err
	}
	// The last word is both again, in turns.
	before, after := math.Inf(1), math.Inf(1)
	for range 10 {
		before, after = min(before, s.cycles(k.list, 4)), min(after, s.cycles(list, 4))
	}
	fmt.Printf("frozen %.2f, found %.2f cycles per hash\n", before, after)
	if !(after < 0.998*before) { // noise is about that
		fmt.Println("not better: the order file stays")
		return nil
	}
	found.notes = []string{
		fmt.Sprintf("Order of the instructions of the %s kernel, found by asmgen search on a", *name),
		fmt.Sprintf("%s: %.2f cycles per hash (%.2f before).", cpuid.CPU.BrandName, after, before),
	}
	if err := os.WriteFile(path, []byte(found.String()), 0o644); err != nil {
		return err
	}
	fmt.Printf("written to %s: run go generate and the tests\n", path)
	return nil
}

// searcher climbs.
type searcher struct {
	*meter
	name  string
	rnd   *rand.Rand
	lanes float64
	until time.Time
}

func (s *searcher) cycles(list []inst, samples int) float64 { return s.sample(list, samples) / s.lanes }

// run searches until its time is over and returns the best order and its list.
func (s *searcher) run(begin frozen, cycles float64, stagger time.Duration) (frozen, []inst, error) {
	if stagger > 0 {
		if f, v := s.arrange(len(begin.offsets), time.Now().Add(stagger)); v < cycles {
			begin, cycles = f, v
		}
	}
	k, err := begin.plain(s.name)
	if err != nil {
		return frozen{}, nil, err
	}
	c := conflicts(k.list)
	current := slices.Clone(begin.order)
	pick := func(order []int) []inst {
		list := make([]inst, len(order))
		for n, i := range order {
			list[n] = k.list[i]
		}
		return list
	}
	report := time.Now()
	tried, taken := 0, 0
	for ; time.Now().Before(s.until); tried++ {
		if tried%500 == 0 { // the machine may have changed its mind
			cycles = s.cycles(pick(current), 8)
		}
		next := s.moved(current, c)
		v := s.cycles(pick(next), 1)
		if v <= cycles+0.1 { // worth a closer look, beside the current one
			v = s.cycles(pick(next), 4)
			now := s.cycles(pick(current), 2)
			if v <= min(now, cycles+0.3) {
				current, cycles = next, v
				taken++
			} else if now < cycles {
				cycles = now
			} else {
				cycles = 0.7*cycles + 0.3*now // it was luck: forget it slowly
			}
		}
		if time.Since(report) > 10*time.Second {
			report = time.Now()
			fmt.Printf("%4.0f s left: %.2f cycles per hash, %d orders tried, %d taken\n", time.Until(s.until).Seconds(), cycles, tried, taken)
		}
	}
	fmt.Printf("%d orders tried, %d taken\n", tried, taken)
	begin.order = current
	return begin, pick(current), nil
}

// moved returns the order with a few instructions moved as far as chance wants
// and dependencies allow. Moves of equal value are taken by the caller: they
// are how the search gets across plains.
func (s *searcher) moved(order []int, conflict [][]bool) []int {
	next := slices.Clone(order)
	for range []int{1, 1, 2, 3, 5, 8}[s.rnd.IntN(6)] {
		from := s.rnd.IntN(len(next))
		far := []int{1, 2, 3, 5, 8, 13, 21, 34, 80}[s.rnd.IntN(9)]
		step := 1 - 2*s.rnd.IntN(2)
		x := next[from]
		for to := from + step; far > 0 && to >= 0 && to < len(next) && !conflict[x][next[to]]; far-- {
			next[to-step], next[to] = next[to], x
			to += step
		}
	}
	return next
}

// arrange tries random arrangements, in the order in which they are built, and
// returns the best. Among thousands the quickest sample is a lucky one, so the
// best few are measured again, thoroughly and one after the other.
func (s *searcher) arrange(lanes int, until time.Time) (frozen, float64) {
	type result struct {
		frozen
		list   []inst
		cycles float64
	}
	const few = 12
	var best []result
	tried := 0
	for time.Now().Before(until) {
		f := frozen{arrangement: arrangement{make([]int, lanes), sequences[s.rnd.IntN(len(sequences))], s.rnd.IntN(2) == 0}}
		even, base := s.rnd.IntN(2) == 0, s.rnd.IntN(steps)
		for l := range f.offsets {
			f.offsets[l] = s.rnd.IntN(steps)
			if even { // spread over the slots, give or take two
				f.offsets[l] = (base + steps*l/lanes + s.rnd.IntN(5) + steps - 2) % steps
			}
		}
		k, err := f.plain(s.name)
		if err != nil {
			continue // needs more registers than there are
		}
		tried++
		if v := s.cycles(k.list, 1); len(best) < few || v < best[few-1].cycles {
			for i := range k.list {
				f.order = append(f.order, i)
			}
			best = append(best, result{f, k.list, v})
			slices.SortFunc(best, func(a, b result) int { return cmp.Compare(a.cycles, b.cycles) })
			best = best[:min(len(best), few)]
		}
	}
	if len(best) == 0 {
		return frozen{}, math.Inf(1)
	}
	for i := range best {
		best[i].cycles = s.cycles(best[i].list, 20)
	}
	b := slices.MinFunc(best, func(a, b result) int { return cmp.Compare(a.cycles, b.cycles) })
	fmt.Printf("best of %d arrangements: offsets %v, sequence %s, together %t: %.2f cycles per hash\n", tried, b.offsets, b.sequence, b.together, b.cycles)
	return b.frozen, b.cycles
}
