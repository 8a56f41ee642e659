// SPDX-License-Identifier: Apache-2.0

package baseline

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"

	"github.com/ballast-energy/ballast/events"
)

// Interval is the mean load of one interval of a history.
type Interval struct {
	// Watts drawn on average.
	Watts int64
	// PriceWatts that machines did not draw because energy was too dear.
	PriceWatts int64
	// Event: an event was in force in some part of it.
	Event bool
}

// History is what a load drew, by interval. An interval is named by its index:
// its start as Unix time, divided by the length.
type History interface {
	// At is the interval of an index; ok is false where it was not measured
	// well enough to be compared with, or is not known any more.
	At(index int64) (v Interval, ok bool)
}

// Input of all methods.
type Input struct {
	// StepSeconds is the length of an interval; it divides a day. s.
	StepSeconds int64
	// Calendar of days.
	Calendar Calendar
	// First interval of the event and their Count.
	First, Count int64
	// Known is the interval in which the load may first have reacted: that of
	// the arrival of the instruction or, if it is earlier, of the beginning.
	Known int64
	// LimitWatts asked for, per interval, for max-base-load. W.
	LimitWatts []int64
	// BeforeWatts is the mean load just before the instruction came, if
	// BeforeKnown; BeforePriceWatts what price kept off then. W.
	BeforeWatts, BeforePriceWatts int64
	BeforeKnown                   bool
	// History of the load.
	History History
	// Parameters; the zero value means those of DefaultParameters.
	Parameters Parameters
}

// Parameters of the methods.
type Parameters struct {
	// LikeDays is how many like days are looked for, and LeastDays how many
	// there must be.
	LikeDays, LeastDays int
	// HistoryDays is how far back days are looked for.
	HistoryDays int64
	// AdjustSeconds is the length of the window before the instruction in which
	// the day is compared with its like, AdjustGapSeconds the time left out
	// between the two. s.
	AdjustSeconds, AdjustGapSeconds int64
	// LeastObservations of an hour make a regression.
	LeastObservations int64
}

// DefaultParameters are those in common use.
func DefaultParameters() Parameters {
	return Parameters{LikeDays: 10, LeastDays: 5, HistoryDays: 45, AdjustSeconds: 3 * 3600, AdjustGapSeconds: 3600, LeastObservations: 10}
}

// Reason for which a method says nothing, as a code.
type Reason string

// Reasons.
const (
	// TooFewDays: not enough like days were measured.
	TooFewDays Reason = "too-few-days"
	// NothingBefore: the time before the instruction was not measured.
	NothingBefore Reason = "nothing-before"
)

// Result of one method.
type Result struct {
	// Method and Version name the arithmetic, Parameters what it was given.
	Method              events.BaselineMethod
	Version, Parameters string
	// InputHash over parameters and all intervals read, SHA-256, hex.
	InputHash string
	// Unavailable says why there are no figures; empty where there are.
	Unavailable Reason
	// Watts per interval of the event, rounded down.
	Watts []int64
	// PriceLoweredWatts is by how much price had lowered the baseline, on
	// average over the intervals, rounded down. W.
	PriceLoweredWatts int64
	// AdjustmentPPM by which like days were multiplied, parts per million; 0
	// where the method adjusts nothing.
	AdjustmentPPM int64
	// Days that count, the newest first (see Date).
	Days []int64
}

// trace reads a history and hashes what it reads.
type trace struct {
	in  *Input
	sum hash.Hash
	buf []byte // what is not in sum yet
}

func newTrace(in *Input, method, version, parameters string) *trace {
	t := &trace{in: in, sum: sha256.New(), buf: make([]byte, 0, 4096)}
	t.text(method)
	t.text(version)
	t.text(parameters)
	t.ints(in.StepSeconds, in.First, in.Count, in.Known)
	t.ints(int64(len(in.Calendar.Offsets)))
	for _, o := range in.Calendar.Offsets {
		t.ints(o.From, o.Seconds)
	}
	t.ints(int64(len(in.Calendar.Holidays)))
	t.ints(in.Calendar.Holidays...)
	return t
}

func (t *trace) ints(vs ...int64) {
	for _, v := range vs {
		if len(t.buf)+8 > cap(t.buf) {
			t.flush()
		}
		t.buf = binary.LittleEndian.AppendUint64(t.buf, uint64(v))
	}
}

func (t *trace) text(s string) {
	t.ints(int64(len(s)))
	t.flush()
	t.sum.Write([]byte(s))
}

// flush hands over what was collected; a hash never fails.
func (t *trace) flush() {
	t.sum.Write(t.buf)
	t.buf = t.buf[:0]
}

func (t *trace) at(index int64) (Interval, bool) {
	v, ok := t.in.History.At(index)
	if !ok {
		t.ints(index, -1)
		return Interval{}, false
	}
	event := int64(0)
	if v.Event {
		event = 1
	}
	t.ints(index, v.Watts, v.PriceWatts, event)
	return v, true
}

func (t *trace) hash() string {
	t.flush()
	return hex.EncodeToString(t.sum.Sum(nil))
}
