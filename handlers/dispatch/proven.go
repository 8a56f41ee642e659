// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"math/big"
	"math/bits"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// Accepted shares prove work, and so energy: a share of difficulty D stands for
// D·2^32 hashes expected, and a hash for the energy per hash that its unit has
// announced. It is a second witness beside what meters and units say.
//
// Time is cut into cells. A cell closes with a tick and is judged by bounds that
// hold for every number of shares: if shares of at most e millijoules each come
// as a Poisson process that stands for m millijoules, more than m+t of them have
// a probability below exp(−t²/(2e(m+t/3))), less than m−t one below exp(−t²/2em)
// (Bernstein, Chernoff). What is decided here has one below exp(−30), 1 in 10^13:
// with 50,000 units and 8,192 meters judged every minute of a year, and a run of
// cells begun at any of ten places, less than one false alarm in 30 site-years.
const (
	cellTime = 60 * second
	// doubt is twice the exponent of that probability.
	doubt = 2 * 30
	// A unit may need a fifth less energy than the least it announces for its
	// work (claimNum/claimDen), and a site half more than the meters show before
	// anybody asks where it goes.
	claimNum, claimDen = 4, 5
	// runCells of draw beyond what is allowed convict a unit, as many without
	// acquit it: verdicts that come late come in bursts.
	runCells = 3
	// spanCells make half of the window of a meter.
	spanCells = 15
	// leastCells of a window that is judged, and highCells in a row with too
	// little work until somebody is told.
	leastCells = 5
	highCells  = 15
	// settleCells are passed over after a gap in what is known.
	settleCells = 2
	// tickPause between two ticks at most, or the cell is of no use.
	tickPause = 5 * second
)

// cell is the present one of a site.
type cell struct {
	// Start and Tick: when it began and its newest tick, elapsed ns; −1 before
	// the first.
	Start int64 `json:"start"`
	Tick  int64 `json:"tick"`
	// Void: time was lost in it. Shares: some work was accepted in it.
	Void   bool `json:"void,omitempty"`
	Shares bool `json:"shares,omitempty"`

	h uint64
	// The newest difficulty read, millionths.
	text  string
	micro int64
}

func (c *cell) hash() uint64 {
	var g digest
	g.int(c.Start)
	g.int(c.Tick)
	g.bool(c.Void)
	g.bool(c.Shares)
	return g.sum()
}

// toil is what shares prove of a unit. mJ, but for the last three.
type toil struct {
	// Cell is proven in the present cell, Share the largest share in it,
	// Largest that since the run began.
	Cell    int64 `json:"cell,omitempty"`
	Share   int64 `json:"share,omitempty"`
	Largest int64 `json:"largest,omitempty"`
	// Sum and Allowed of the run of Cells in which more was proven than allowed.
	Sum     int64 `json:"sum,omitempty"`
	Allowed int64 `json:"allowed,omitempty"`
	Cells   int64 `json:"cells,omitempty"`
	// Calm cells in a row in which no more was proven than allowed.
	Calm int64 `json:"calm,omitempty"`
	// Top is the most that it was booked with in the present cell, Before that
	// in the one before; Watts what it draws by its work, once that is more. W.
	Top    int64 `json:"top,omitempty"`
	Before int64 `json:"before,omitempty"`
	Watts  int64 `json:"watts,omitempty"`
}

func (t *toil) hash() uint64 {
	if *t == (toil{}) {
		return 0
	}
	var g digest
	for _, v := range [...]int64{t.Cell, t.Share, t.Largest, t.Sum, t.Allowed, t.Cells, t.Calm, t.Top, t.Before, t.Watts} {
		g.int(v)
	}
	return g.sum()
}

// admitted is the most that u may draw, or says to draw.
func (u *unit) admitted() int64 {
	return max(u.set, u.power, u.setpoint, u.inflight, u.held, u.allow)
}

// drawn is what u draws, by its own word or by its work: the higher.
func (u *unit) drawn() int64 { return max(u.power, u.toil.Watts) }

// onShare folds a verdict of a pool: accepted work of real machines.
func (d *Dispatch) onShare(s *events.ShareAccepted) {
	if s.Payout.Basis != events.BasisLive {
		return
	}
	a := d.agents[s.Agent]
	if a == nil {
		return
	}
	u := a.find(s.Unit)
	if u == nil {
		return
	}
	text := s.WorkDifficulty
	if text == "" {
		text = s.Difficulty
	}
	e := d.energy(text, u.efficacy())
	if e <= 0 {
		return
	}
	d.cell.Shares = true
	d.touchCell()
	u.toil.Cell = min(u.toil.Cell+e, maxEnergy)
	u.toil.Share = max(u.toil.Share, e)
	d.touchUnit(u)
}

// maxEnergy of a sum, mJ: 278 GWh.
const maxEnergy = int64(1_000_000_000_000_000_000)

// efficacy is the least energy that u announces per hash at any level, mJ/TH, 0
// when it announces none.
func (u *unit) efficacy() int64 {
	best := u.caps.MillijoulesPerTerahash
	for i := range u.caps.Levels {
		if e := u.caps.Levels[i].MillijoulesPerTerahash; e > 0 && (best == 0 || e < best) {
			best = e
		}
	}
	return best
}

// energy that a share of that difficulty proves, mJ: D·2^32 hashes in 10^12 per
// terahash.
func (d *Dispatch) energy(difficulty string, perTerahash int64) int64 {
	if difficulty != d.cell.text || d.cell.text == "" {
		v, err := work.ParseDifficulty(difficulty)
		if err != nil {
			return 0
		}
		// From 10^-30 to 10^-6.
		v.Quo(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(work.Scale-6), nil))
		d.cell.micro = 0
		if v.IsInt64() {
			d.cell.micro = v.Int64()
		}
		d.cell.text = string([]byte(difficulty))
	}
	return shareEnergy(d.cell.micro, perTerahash)
}

// shareEnergy for a difficulty in millionths.
func shareEnergy(micro, perTerahash int64) int64 {
	if micro <= 0 || perTerahash <= 0 {
		return 0
	}
	// 10^18 / 2^32, rounded: the error is 1.6 in 10^9.
	const divisor = 232_830_644
	hi, lo := bits.Mul64(uint64(micro), uint64(perTerahash))
	if hi >= divisor {
		return maxEnergy
	}
	q, _ := bits.Div64(hi, lo, divisor)
	return int64(min(q, uint64(maxEnergy)))
}

// beyond reports whether t mJ more than the m mJ that are allowed are too many
// for chance, in shares of at most e mJ.
func beyond(t, m, e int64) bool { return t > 0 && squareAbove(t, doubt*(m+t/3), e) }

// below reports whether t mJ less than m are.
func below(t, m, e int64) bool { return t > 0 && squareAbove(t, doubt*m, e) }

// squareAbove reports whether t² ≥ v·e.
func squareAbove(t, v, e int64) bool {
	th, tl := bits.Mul64(uint64(t), uint64(t))
	vh, vl := bits.Mul64(uint64(max(v, 0)), uint64(max(e, 0)))
	return th > vh || th == vh && tl >= vl
}

func (d *Dispatch) touchCell() {
	h := d.cell.hash()
	d.entries += h - d.cell.h
	d.cell.h = h
}

// visitWork counts what the meters see of mining, and closes the cell when its
// time is over.
func (d *Dispatch) visitWork() {
	c := &d.cell
	if c.Start < 0 {
		c.Start, c.Tick = d.now, d.now
		d.touchCell()
		return
	}
	pause := d.now - c.Tick
	if pause > tickPause {
		c.Void = true
	}
	c.Tick = d.now
	for _, n := range d.nodes {
		if len(n.minings) > 0 {
			d.meterWork(n, pause)
		}
	}
	if took := d.now - c.Start; took >= cellTime {
		d.closeCell(took)
		c.Start, c.Void, c.Shares = d.now, false, false
	}
	d.touchCell()
}

// closeCell judges units, then meters.
func (d *Dispatch) closeCell(took int64) {
	for _, u := range d.order {
		before := u.toil
		if counted := d.closeUnit(u, took); counted > 0 {
			d.credit(u, counted, before.Share)
		}
		d.notePartial(u)
		if u.toil != before {
			if u.toil.Watts != before.Watts {
				d.book(u)
			}
			d.touchUnit(u)
		}
	}
	for _, n := range d.nodes {
		if len(n.minings) > 0 {
			d.closeMeters(n)
		}
	}
}

// closeUnit judges what u has proven in a cell, and returns what of it counts
// for the meters: what it may have drawn. What is beyond, and bursts of late
// verdicts, say nothing about them.
func (d *Dispatch) closeUnit(u *unit, took int64) int64 {
	t := &u.toil
	proven, share, top := t.Cell, t.Share, max(t.Top, t.Before)
	t.Cell, t.Share, t.Before, t.Top = 0, 0, t.Top, u.admitted()
	if d.cell.Void {
		return 0
	}
	allowed := joules(top, took)
	if proven/claimDen*claimNum <= allowed {
		t.Sum, t.Allowed, t.Cells, t.Largest = 0, 0, 0, 0
		if t.Watts > 0 {
			if t.Calm++; t.Calm >= runCells {
				t.Watts, t.Calm = 0, 0
			}
		}
		return proven
	}
	t.Calm, t.Largest = 0, max(t.Largest, share)
	t.Sum, t.Allowed, t.Cells = min(t.Sum+proven, maxEnergy), min(t.Allowed+allowed, maxEnergy), t.Cells+1
	if t.Cells >= runCells && beyond(t.Sum/claimDen*claimNum-t.Allowed, t.Allowed, t.Largest) {
		// By the whole cell: a shorter last one makes it more, never less.
		w := t.Sum / t.Cells / (took / milli)
		t.Watts = clamp(w, 0, 2*max(u.caps.NameplateWatts, 1))
	}
	return min(proven, allowed/claimNum*claimDen)
}

// joules of so many watts in so many ns, mJ.
func joules(watts, ns int64) int64 {
	hi, lo := bits.Mul64(uint64(max(watts, 0)), uint64(max(ns, 0)))
	const perMillijoule = 1_000_000
	if hi >= perMillijoule {
		return maxEnergy
	}
	q, _ := bits.Div64(hi, lo, perMillijoule)
	return int64(min(q, uint64(maxEnergy)))
}

// workAlert is what is said of a unit that its work betrays.
func (u *unit) workAlert() string {
	return fmt.Sprintf("the pool accepts work of the unit that takes %d W, and it reports %d W: it hashes on; its draw is booked and others are lowered for it", u.toil.Watts, u.power)
}
