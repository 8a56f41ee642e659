// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxCPU is the highest number of a processor that [ParseCPUs] takes, several
// times what the largest machines have.
const MaxCPU = 1<<16 - 1

// ErrCPUList is wrapped by the errors of [ParseCPUs].
var ErrCPUList = errors.New("not a list of processors like 0-3,8,10-11")

// ParseCPUs reads a list of processors as Linux writes it and taskset takes it:
// numbers and inclusive ranges, separated by commas. It returns each number
// once, rising. An empty list is an error.
func ParseCPUs(text string) ([]int, error) {
	refuse := func(why string, args ...any) ([]int, error) {
		return nil, fmt.Errorf("processors %q: %w: %s", clip(text), ErrCPUList, fmt.Sprintf(why, args...))
	}
	var set [MaxCPU/64 + 1]uint64
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(part), "-")
		first, err := parseCPU(from)
		if err != nil {
			return refuse("%v", err)
		}
		last := first
		if isRange {
			if last, err = parseCPU(to); err != nil {
				return refuse("%v", err)
			}
		}
		if last < first {
			return refuse("the range %d-%d runs backwards", first, last)
		}
		for cpu := first; cpu <= last; cpu++ {
			set[cpu/64] |= 1 << (cpu % 64)
		}
	}
	var cpus []int
	for cpu := range MaxCPU + 1 {
		if set[cpu/64]&(1<<(cpu%64)) != 0 {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, nil
}

// parseCPU reads one number: digits only, so that no sign and no second dash
// gets through.
func parseCPU(text string) (int, error) {
	if text == "" {
		return 0, errors.New("a number is missing")
	}
	for _, r := range text {
		if r < '0' || r > '9' {
			return 0, fmt.Errorf("%q is no number", clip(text))
		}
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n > MaxCPU {
		return 0, fmt.Errorf("%s is above %d", clip(text), MaxCPU)
	}
	return int(n), nil
}

// FormatCPUs writes processors, in any order, as [ParseCPUs] reads them.
func FormatCPUs(cpus []int) string {
	sorted := slices.Compact(slices.Sorted(slices.Values(cpus)))
	var b strings.Builder
	for i := 0; i < len(sorted); {
		j := i
		for j+1 < len(sorted) && sorted[j+1] == sorted[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(sorted[i]))
		if j > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(sorted[j]))
		}
		i = j + 1
	}
	return b.String()
}
