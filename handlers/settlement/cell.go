// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"cmp"
	"math/big"
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// maxCells bounds how many sums are kept for statements, of all pools together.
const maxCells = 1 << 14

// cell is what was credited of one pool and basis in one accrual window, so
// that a statement of the pool can be compared with it later.
type cell struct {
	// Until is the end of the window, First and Last the earliest and the
	// latest acceptance in it, Unix ns.
	Until int64 `json:"u"`
	First int64 `json:"f"`
	Last  int64 `json:"l"`
	Purse int32 `json:"p"`
	// Shares, those of them under pplns, and what was booked for all, msat.
	Shares    int64   `json:"n"`
	Pplns     int64   `json:"o,omitempty"`
	Millisats int64   `json:"m"`
	Sum       big.Int `json:"d"` // Σ D·10^30
	// Newest accrual.
	Newest events.OrderKey `json:"k"`
}

func (c *cell) compare(o *cell) int {
	return cmp.Or(cmp.Compare(c.Until, o.Until), cmp.Compare(c.Purse, o.Purse))
}

// record adds a credit to its cell. Statements already answered for that time
// are answered again.
func (d *Decider) record(c *cell) {
	d.store(c)
	for _, v := range []int64{c.Until, c.First, c.Last, int64(c.Purse), c.Shares, c.Pplns, c.Millisats} {
		d.mix(uint64(v))
	}
	if c.First < d.lastBound {
		for i := range d.Statements {
			s := &d.Statements[i]
			s.Dirty = s.Dirty || s.Purse == c.Purse && s.From <= c.First && c.First < s.Until
		}
	}
	if len(d.Cells) > maxCells {
		gone := d.Cells[:maxCells/16]
		for i := range gone {
			p := &d.Accounts[gone[i].Purse]
			p.Forgotten = max(p.Forgotten, gone[i].Until)
		}
		d.Cells = slices.Delete(d.Cells, 0, len(gone))
	}
}

// store merges c into the cell of its window.
func (d *Decider) store(c *cell) {
	i, found := slices.BinarySearchFunc(d.Cells, c, func(a cell, b *cell) int { return a.compare(b) })
	if !found {
		d.Cells = slices.Insert(d.Cells, i, cell{})
		own := &d.Cells[i]
		*own = *c
		own.Sum = big.Int{} // no memory shared with the caller's
		own.Sum.Set(&c.Sum)
		return
	}
	o := &d.Cells[i]
	o.First, o.Last = min(o.First, c.First), max(o.Last, c.Last)
	o.Shares += c.Shares
	o.Pplns += c.Pplns
	o.Millisats += c.Millisats
	o.Sum.Add(&o.Sum, &c.Sum)
	o.Newest = c.Newest
}

// cellSum is what the cells of a span come to.
type cellSum struct {
	shares, pplns, millisats int64
	sum                      big.Int
	// newest accrual that booked money.
	newest events.OrderKey
	// cut: a cell has shares on both sides of an end of the span.
	cut bool
}

// sumOf adds up the cells of a purse whose shares were accepted in a span.
func (d *Decider) sumOf(purse int32, from, until int64) *cellSum {
	s := new(cellSum)
	for i := range d.Cells {
		c := &d.Cells[i]
		switch {
		case c.Purse != purse || c.Last < from || c.First >= until:
		case c.First < from || c.Last >= until:
			s.cut = true
		default:
			s.shares += c.Shares
			s.pplns += c.Pplns
			s.millisats += c.Millisats
			s.sum.Add(&s.sum, &c.Sum)
			if c.Millisats > 0 {
				s.newest = c.Newest
			}
		}
	}
	return s
}

// cutCells ends the windows of a purse at an instant, as far as their shares
// came before it, so that none comes to lie on both sides later.
func (d *Decider) cutCells(purse int32, at int64) {
	var moved []cell
	kept := 0
	for i := range d.Cells {
		if c := &d.Cells[i]; c.Purse == purse && c.Last < at && at < c.Until {
			moved = append(moved, *c)
			continue
		}
		if kept != i {
			d.Cells[kept] = d.Cells[i]
		}
		kept++
	}
	clear(d.Cells[kept:])
	d.Cells = d.Cells[:kept]
	for i := range moved {
		moved[i].Until = at
		d.store(&moved[i])
	}
}

// clip ends a window where a span that was stated for the pool begins or ends.
func (d *Decider) clip(pool string, b events.Basis, at, from, until int64) (int64, int64) {
	if from >= d.lastBound {
		return from, until
	}
	basis, _ := basisIndex(b)
	purse, ok := d.purseOf[purseKey{pool, basis}]
	if !ok {
		return from, until
	}
	for i := range d.Statements {
		s := &d.Statements[i]
		if s.Purse != purse || s.Until <= from || s.From >= until {
			continue
		}
		for _, bound := range [2]int64{s.From, s.Until} {
			if bound <= at {
				from = max(from, bound)
			} else {
				until = min(until, bound)
			}
		}
	}
	return from, until
}

// settlePool credits every sum of a purse that waits for the end of its
// window.
func (d *Decider) settlePool(purse int32) {
	pool, basis := d.Accounts[purse].Pool, basisNames[d.Accounts[purse].Basis]
	for _, iv := range d.Intervals {
		kept := 0
		for i := range iv.Pending {
			if p := &iv.Pending[i]; p.Payout.Pool == pool && p.Payout.Basis == basis {
				d.credit(iv, p)
				continue
			}
			if kept != i {
				iv.Pending[kept] = iv.Pending[i]
			}
			kept++
		}
		clear(iv.Pending[kept:])
		iv.Pending = iv.Pending[:kept]
	}
}
