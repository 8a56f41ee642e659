// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Quantity is what the value column holds.
type Quantity int

// Quantities.
const (
	// Watts: power; kept as integer W.
	Watts Quantity = iota
	// Price: money per megawatt-hour in whole currency units; kept as
	// integer millionths (micro-dollars).
	Price
)

// Options say how to read a file.
type Options struct {
	// Quantity of the value column.
	Quantity Quantity
	// TimeColumn and ValueColumn by header name; empty means the first
	// column with a usual name.
	TimeColumn, ValueColumn string
	// KeepGaps plays pauses of the recording at their length. Otherwise a
	// pause longer than MaxGap is cut to the series' usual step: recordings
	// of several runs have hours between them in which nothing was measured.
	KeepGaps bool
}

// MaxGap is the longest distance of two samples that is not a pause of the
// recording, for series whose usual step is shorter.
const MaxGap = 60 * time.Second

// timeColumns and valueColumns are the usual names, best first.
var (
	timeColumns  = []string{"time_ms_utc", "time_unix_ms", "time_unix", "interval_start_utc", "time_utc", "timestamp", "local_time", "time_local_naive", "time"}
	valueColumns = map[Quantity][]string{
		Watts: {"total_w", "watts", "power_watts", "load_watts", "power_w"},
		Price: {"price_usd_per_mwh", "real_price", "price_per_mwh", "price", "lmp"},
	}
)

// completeColumn counts the meters behind a total. Rows in which fewer report
// than in the fullest row under-count the load and are left out.
const completeColumn = "nodes_reporting"

// Sample is one value and how long after the first it holds from.
type Sample struct {
	// Offset from the start of the series.
	Offset time.Duration
	// Value in W, or in millionths of a currency unit per MWh.
	Value int64
}

// Series is a recording: samples at rising offsets, at least two.
type Series struct {
	// Name of the file, for messages.
	Name string
	// Quantity of the values.
	Quantity Quantity
	// Samples by rising offset; the first has offset 0.
	Samples []Sample
	// Step is the usual (median) distance of two samples.
	Step time.Duration
	// Skipped rows: incomplete, empty, or not a number.
	Skipped int
	// CutGaps is how many pauses of the recording were cut.
	CutGaps int
	// Start is the time of the first sample as recorded; only informative.
	Start time.Time
}

// Length is the offset at which the last sample has held for one step.
func (s *Series) Length() time.Duration { return s.Samples[len(s.Samples)-1].Offset + s.Step }

// Range returns the smallest and the largest value.
func (s *Series) Range() (low, high int64) {
	low, high = s.Samples[0].Value, s.Samples[0].Value
	for _, x := range s.Samples {
		low, high = min(low, x.Value), max(high, x.Value)
	}
	return low, high
}

// At is the value that holds at an offset; before the first sample it is the
// first, after the last the last.
func (s *Series) At(offset time.Duration) int64 {
	i, found := slices.BinarySearchFunc(s.Samples, offset, func(x Sample, o time.Duration) int {
		return int(min(max(x.Offset-o, -1), 1))
	})
	if !found && i > 0 {
		i--
	}
	return s.Samples[min(i, len(s.Samples)-1)].Value
}

// Read reads a CSV file, gzip if its name ends in .gz.
func Read(path string, opt Options) (*Series, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("trace: %w", err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("trace %s: not gzip although it is called .gz: %w", path, err)
		}
		defer z.Close()
		r = z
	}
	s, err := Parse(r, opt)
	if err != nil {
		return nil, fmt.Errorf("trace %s: %w", path, err)
	}
	s.Name = path
	return s, nil
}

type row struct {
	at       time.Time
	value    int64
	complete int64
}

// Parse reads CSV with a header line.
func Parse(r io.Reader, opt Options) (*Series, error) {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	c.ReuseRecord = true
	head, err := c.Read()
	if err != nil {
		return nil, fmt.Errorf("no header line: %w", err)
	}
	head = slices.Clone(head)
	ti, err := column(head, "time", opt.TimeColumn, timeColumns)
	if err != nil {
		return nil, err
	}
	vi, err := column(head, "value", opt.ValueColumn, valueColumns[opt.Quantity])
	if err != nil {
		return nil, err
	}
	ci := slices.Index(head, completeColumn)

	s := &Series{Quantity: opt.Quantity}
	var rows []row
	var full int64
	for {
		rec, err := c.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if ti >= len(rec) || vi >= len(rec) {
			s.Skipped++
			continue
		}
		at, err := parseTime(rec[ti])
		if err != nil {
			line, _ := c.FieldPos(ti)
			return nil, fmt.Errorf("line %d, column %s: %w", line, head[ti], err)
		}
		v, err := parseValue(rec[vi], opt.Quantity)
		if err != nil { // sensors write NaN, blanks and words: no reading
			s.Skipped++
			continue
		}
		x := row{at: at, value: v}
		if ci >= 0 && ci < len(rec) {
			if x.complete, err = strconv.ParseInt(rec[ci], 10, 64); err != nil {
				s.Skipped++
				continue
			}
			full = max(full, x.complete)
		}
		rows = append(rows, x)
	}
	kept := rows[:0]
	for _, x := range rows {
		if x.complete < full {
			s.Skipped++
			continue
		}
		kept = append(kept, x)
	}
	return s, s.fill(kept, opt)
}

// fill turns rows into samples: by time, duplicates dropped, gaps cut.
func (s *Series) fill(rows []row, opt Options) error {
	slices.SortStableFunc(rows, func(a, b row) int { return a.at.Compare(b.at) })
	rows = slices.CompactFunc(rows, func(a, b row) bool { return a.at.Equal(b.at) })
	if len(rows) < 2 {
		return fmt.Errorf("%d usable rows (%d skipped): need at least two", len(rows), s.Skipped)
	}
	steps := make([]time.Duration, 0, len(rows)-1)
	for i := 1; i < len(rows); i++ {
		steps = append(steps, rows[i].at.Sub(rows[i-1].at))
	}
	slices.Sort(steps)
	s.Step = steps[len(steps)/2]
	s.Start = rows[0].at
	var offset time.Duration
	for i, x := range rows {
		if i > 0 {
			d := x.at.Sub(rows[i-1].at)
			if !opt.KeepGaps && d > MaxGap && d > 2*s.Step {
				d = s.Step
				s.CutGaps++
			}
			offset += d
		}
		s.Samples = append(s.Samples, Sample{Offset: offset, Value: x.value})
	}
	return nil
}

func column(head []string, what, given string, usual []string) (int, error) {
	if given != "" {
		if i := slices.Index(head, given); i >= 0 {
			return i, nil
		}
		return 0, fmt.Errorf("no column %q; the header has %s", given, strings.Join(head, ", "))
	}
	for _, name := range usual {
		for i, h := range head {
			if strings.EqualFold(strings.TrimSpace(h), name) {
				return i, nil
			}
		}
	}
	return 0, fmt.Errorf("no %s column: name it, or call it one of %s; the header has %s", what, strings.Join(usual, ", "), strings.Join(head, ", "))
}

// timeLayouts of recordings, tried in order; without a zone they are taken as
// UTC, which keeps distances right.
var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999",
	"2006-01-02 15:04:05.999999999", "2006-01-02 15:04", "01-02-2006 15:04:05.999999999", "02-Jan-2006 15:04:05.999999999",
}

func parseTime(s string) (time.Time, error) {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		// 1e11 s is the year 5138 and 1e11 ms is 1973: the magnitude tells.
		switch {
		case n <= 0:
			return time.Time{}, fmt.Errorf("time %q is before 1970", s)
		case n < 100_000_000_000:
			return time.Unix(n, 0).UTC(), nil
		case n < 100_000_000_000_000:
			return time.UnixMilli(n).UTC(), nil
		}
		return time.Time{}, fmt.Errorf("time %q is neither Unix seconds nor milliseconds", s)
	}
	for _, l := range timeLayouts {
		if t, err := time.Parse(l, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("time %q: use RFC 3339, Unix seconds or milliseconds", s)
}

// parseValue reads a decimal exactly: watts rounded to the nearest integer,
// prices to the nearest millionth.
func parseValue(s string, q Quantity) (int64, error) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 40 || strings.ContainsAny(s, "/eExXpP_") {
		return 0, fmt.Errorf("value %q is no plain decimal", s)
	}
	x, ok := new(big.Rat).SetString(s)
	if !ok {
		return 0, fmt.Errorf("value %q is no number", s)
	}
	if q == Price {
		x.Mul(x, big.NewRat(1_000_000, 1))
	}
	// Round half away from zero: (2n ± d) / 2d, truncated.
	n := new(big.Int).Lsh(x.Num(), 1)
	if x.Sign() >= 0 {
		n.Add(n, x.Denom())
	} else {
		n.Sub(n, x.Denom())
	}
	n.Quo(n, new(big.Int).Lsh(x.Denom(), 1))
	if !n.IsInt64() || n.CmpAbs(big.NewInt(events.MaxInteger)) > 0 {
		return 0, fmt.Errorf("value %q is out of range", s)
	}
	return n.Int64(), nil
}
