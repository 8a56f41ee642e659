// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/big"

	"github.com/ballast-energy/ballast/handlers/compliance/baseline"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
)

func bigOf(v int64) *big.Int { return big.NewInt(v) }

// slot is one interval of a point.
type slot struct {
	// Index is the start divided by the step; a slot is empty while Nanos is 0.
	Index         int64
	Total, Mining cell
	// Price is the energy that machines did not draw because it was too dear.
	Price energy.Amount
	// Nanos that were measured or estimated.
	Nanos int64
	// Event was in force in some part of it.
	Event bool
}

// history is a ring of intervals.
type history struct {
	Step  int64
	Slots []slot
}

func newHistory(step int64) *history {
	return &history{Step: step, Slots: make([]slot, historyDays*day/step)}
}

// at is the place of an interval; nil for one before all time.
func (h *history) at(index int64) *slot {
	if index < 0 {
		return nil
	}
	return &h.Slots[index%int64(len(h.Slots))]
}

// find is the interval of an index, or nil.
func (h *history) find(index int64) *slot {
	if s := h.at(index); s != nil && s.Nanos > 0 && s.Index == index {
		return s
	}
	return nil
}

// keep stores an interval that is over.
func (h *history) keep(s slot) {
	if at := h.at(s.Index); at != nil {
		*at = s
	}
}

// forgetFrom drops intervals that the clock, set back, will bring again.
func (h *history) forgetFrom(index int64) {
	for i := range h.Slots {
		if h.Slots[i].Index >= index {
			h.Slots[i] = slot{}
		}
	}
}

// view of a history for baselines: that of the total or of mining.
type view struct {
	h      *history
	mining bool
}

// At implements baseline.History: an interval counts when a tenth of it at
// most rests on no reading.
func (v view) At(index int64) (baseline.Interval, bool) {
	s := v.h.find(index)
	if s == nil {
		return baseline.Interval{}, false
	}
	c := s.Total
	if v.mining {
		c = s.Mining
	}
	if s.Nanos-c.Estimated < v.h.Step/10*9 {
		return baseline.Interval{}, false
	}
	return baseline.Interval{Watts: watts(c.Energy, s.Nanos), PriceWatts: watts(s.Price, s.Nanos), Event: s.Event}, true
}

// MarshalJSON writes the ring as one text: a history is large.
func (h *history) MarshalJSON() ([]byte, error) {
	b := binary.AppendVarint(nil, h.Step)
	put := func(vs ...int64) {
		for _, v := range vs {
			b = binary.AppendVarint(b, v)
		}
	}
	last := int64(0)
	for i := range h.Slots {
		s := &h.Slots[i]
		if s.Nanos == 0 {
			continue
		}
		flags := int64(flag(s.Event) | flag(s.Total.Modelled)<<1 | flag(s.Mining.Modelled)<<2)
		put(s.Index-last, s.Nanos-h.Step, flags, s.Total.Energy.MilliwattHours, s.Total.Energy.Rest, s.Total.Estimated,
			s.Mining.Energy.MilliwattHours, s.Mining.Energy.Rest, s.Mining.Estimated, s.Price.MilliwattHours, s.Price.Rest)
		last = s.Index
	}
	return json.Marshal(base64.StdEncoding.EncodeToString(b))
}

var errHistory = errors.New("compliance: the snapshot's history cannot be read")

// UnmarshalJSON is the inverse of MarshalJSON.
func (h *history) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	bad := false
	next := func() int64 {
		v, n := binary.Varint(b)
		if n <= 0 {
			bad, b = true, nil
			return 0
		}
		b = b[n:]
		return v
	}
	step := next()
	if bad || step < minute || step > day {
		return errHistory
	}
	*h = *newHistory(step)
	last := int64(0)
	for len(b) > 0 {
		var s slot
		s.Index = last + next()
		s.Nanos = next() + step
		flags := next()
		s.Event, s.Total.Modelled, s.Mining.Modelled = flags&1 != 0, flags&2 != 0, flags&4 != 0
		s.Total.Energy = energy.Amount{MilliwattHours: next(), Rest: next()}
		s.Total.Estimated = next()
		s.Mining.Energy = energy.Amount{MilliwattHours: next(), Rest: next()}
		s.Mining.Estimated = next()
		s.Price = energy.Amount{MilliwattHours: next(), Rest: next()}
		if bad || s.Index < 0 {
			return errHistory
		}
		h.keep(s)
		last = s.Index
	}
	return nil
}
