// SPDX-License-Identifier: Apache-2.0

package software

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// energyMeter measures what hashing adds to the draw of the processor packages,
// from their running energy counters (Linux powercap, RAPL).
type energyMeter struct {
	packages []energyCounter
	// base is the draw while not hashing, W, once known.
	base      float64
	baseKnown bool
	from      time.Time
	joules    float64 // since from
	// measured says that the newest answer of read was a measurement.
	measured bool
}

// energyCounter of one package, in microjoules; it wraps at limit.
type energyCounter struct {
	file        string
	last, limit uint64
}

// openEnergyMeter finds the counters below dir. It fails when there are none or
// this user may not read them.
func openEnergyMeter(dir string) (*energyMeter, error) {
	zones, err := filepath.Glob(filepath.Join(dir, "intel-rapl:*"))
	if err != nil {
		return nil, fmt.Errorf("energy counters in %s: %w", dir, err)
	}
	m := new(energyMeter)
	for _, z := range zones {
		name, err := os.ReadFile(filepath.Join(z, "name"))
		if err != nil || !strings.HasPrefix(string(name), "package") {
			continue // a part of a package, counted within it
		}
		c := energyCounter{file: filepath.Join(z, "energy_uj")}
		if c.limit, err = readCounter(filepath.Join(z, "max_energy_range_uj")); err != nil {
			return nil, err
		}
		if c.last, err = readCounter(c.file); err != nil {
			return nil, err
		}
		m.packages = append(m.packages, c)
	}
	if len(m.packages) == 0 {
		return nil, fmt.Errorf("energy counters in %s: %w", dir, errors.ErrUnsupported)
	}
	m.from = time.Now()
	return m, nil
}

func readCounter(file string) (uint64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, fmt.Errorf("energy counter: %w", err)
	}
	v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("energy counter %s: %w", file, err)
	}
	return v, nil
}

// collect adds what the packages used since the last call.
func (m *energyMeter) collect() error {
	for i := range m.packages {
		c := &m.packages[i]
		v, err := readCounter(c.file)
		if err != nil {
			return err
		}
		used := v - c.last
		if v < c.last {
			used = v + c.limit - c.last
		}
		m.joules += float64(used) / 1e6
		c.last = v
	}
	return nil
}

// restart begins a new window, as after a change of the duty cycle.
func (m *energyMeter) restart(now time.Time) {
	_ = m.collect() // what cannot be read is missing from the next window, too
	m.from, m.joules, m.measured = now, 0, false
}

// read returns the draw of hashing, W, over the window that ends now; known is
// the answer while the window is too short, the base is unknown or the counters
// cannot be read. While not hashing it learns the base and returns 0.
func (m *energyMeter) read(now time.Time, hashing bool, known int64) int64 {
	if !hashing {
		known = 0
	}
	span := now.Sub(m.from)
	if span < rateWindow {
		return known
	}
	if err := m.collect(); err != nil {
		return known
	}
	watts := m.joules / span.Seconds()
	m.from, m.joules, m.measured = now, 0, !hashing || m.baseKnown
	if !hashing {
		m.base, m.baseKnown = watts, true
		return 0
	}
	if !m.baseKnown {
		return known
	}
	return int64(max(watts-m.base, 0) + 0.5)
}
