// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// Choice is which kernels suit this machine best.
type Choice struct {
	// Rolling is the quickest where versions may be rolled, Fixed where the
	// version is fixed. They can be the same.
	Rolling, Fixed Rated
	// Rated are all kernels that run here and compute correctly, with what
	// they did in the short measurement.
	Rated []Rated
	// Refused says of each other kernel why it is not used: the processor
	// lacks its instructions ([ErrNoInstructions]), or it computes wrongly
	// ([ErrWrongHash]) and must not be trusted.
	Refused map[string]error
}

// Rated is a kernel and its speed on this machine, as far as a few
// milliseconds tell: good for a choice, not for a report.
type Rated struct {
	Kernel Kernel
	// Rolling and Fixed are hashes per second and thread, with versions to
	// roll and without.
	Rolling, Fixed float64
}

// Choose measures every kernel that runs here and passes [Check]. It takes
// some ten milliseconds on the first call and remembers the answer. It fails
// only if no kernel computes correctly.
func Choose() (Choice, error) { return choose() }

var choose = sync.OnceValues(func() (Choice, error) { return chooseFrom(kernels) })

func chooseFrom(kernels []Kernel) (Choice, error) {
	c := Choice{Refused: make(map[string]error)}
	for _, k := range kernels {
		r, err := k.rate()
		if err != nil {
			c.Refused[k.Name] = err
			continue
		}
		c.Rated = append(c.Rated, r)
		if r.Rolling > c.Rolling.Rolling {
			c.Rolling = r
		}
		if r.Fixed > c.Fixed.Fixed {
			c.Fixed = r
		}
	}
	if len(c.Rated) == 0 {
		var all error
		for _, k := range kernels {
			all = errors.Join(all, c.Refused[k.Name])
		}
		return Choice{}, fmt.Errorf("no kernel runs on this machine: %w", all)
	}
	return c, nil
}

// Fastest returns what does the most hashes per second on this machine: the
// [Choice]'s kernel if one is best for all work, or else one whose engines turn
// to the kernel that suits the work they load. It is measured on the first
// call, which takes some ten milliseconds, and remembered. It fails only if no
// kernel computes correctly.
func Fastest() (Kernel, error) { return fastest() }

var fastest = sync.OnceValues(func() (Kernel, error) {
	c, err := choose()
	if err != nil {
		return Kernel{}, err
	}
	return c.kernel(), nil
})

func (c *Choice) kernel() Kernel {
	rolling, fixed := c.Rolling.Kernel, c.Fixed.Kernel
	if rolling.Name == fixed.Name {
		return rolling
	}
	return Kernel{
		Name:    AutoKernel,
		Summary: rolling.Name + " where versions roll, " + fixed.Name + " where the version is fixed",
		make: func() (Engine, error) {
			r, err := rolling.New()
			if err != nil {
				return nil, err
			}
			f, err := fixed.New()
			if err != nil {
				return nil, err
			}
			return &autoEngine{rolling: r, fixed: f, Engine: f}, nil
		},
	}
}

// manyVersions is how many versions make a kernel that shares work among
// versions worth its while: enough that a last group that is not full, and the
// schedule that is computed once for all, cost little.
const manyVersions = 20

// autoEngine uses the kernel that suits the work.
type autoEngine struct {
	Engine         // one of the two
	rolling, fixed Engine
}

// Load implements Engine.
func (e *autoEngine) Load(w *Work) error {
	e.Engine = e.fixed
	if w.Rolls() >= manyVersions {
		e.Engine = e.rolling
	}
	return e.Engine.Load(w)
}

// rate checks the kernel and takes its speed.
func (k Kernel) rate() (Rated, error) {
	e, err := k.New()
	if err != nil {
		return Rated{}, err
	}
	if err := Check(e); err != nil {
		return Rated{}, fmt.Errorf("kernel %s: %w", k.Name, err)
	}
	r := Rated{Kernel: k}
	for _, m := range []struct {
		mask uint32
		rate *float64
	}{{VersionRollingMask, &r.Rolling}, {0, &r.Fixed}} {
		work := NewWork(knownBlocks[0].header(), m.mask, Target{31: 1})
		if *m.rate, err = speed(e, &work); err != nil {
			return Rated{}, fmt.Errorf("kernel %s: %w", k.Name, err)
		}
	}
	return r, nil
}

// speed returns hashes per second of the quickest of several calls: the one
// that other load disturbed least.
func speed(e Engine, work *Work) (float64, error) {
	if err := e.Load(work); err != nil {
		return 0, err
	}
	const calls = 24 // the first ones find the size of a call
	least := math.Inf(1)
	var hits [1]Hit
	for range calls {
		begin := time.Now()
		r := e.Scan(hits[:])
		took := max(time.Since(begin), 1)
		least = min(least, took.Seconds()/float64(max(r.Hashes, 1)))
	}
	return 1 / least, nil
}
