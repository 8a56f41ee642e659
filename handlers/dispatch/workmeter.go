// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"

	"github.com/ballast-energy/ballast/events"
)

// account holds what mining meters see against the work of the units that they
// see: those of a node all together, or one meter that units name as theirs.
type account struct {
	accountState
	h uint64
	// While a cell closes: what the units beneath have proven in it, the largest
	// share, and whether a unit without a known efficacy is permitted power.
	proven, largest int64
	partial         bool
}

// accountState is what a snapshot keeps of it. mJ.
type accountState struct {
	// Metered in the present cell; Blind: the meters were not believed in it.
	Metered int64 `json:"metered,omitempty"`
	Blind   bool  `json:"blind,omitempty"`
	// Skip cells that are still passed over.
	Skip int64 `json:"skip,omitempty"`
	// Old and New halves of the window.
	Old span `json:"old,omitzero"`
	New span `json:"new,omitzero"`
	// Doubted: more work was proven than the meters saw; they count as silent.
	// Fine cells in a row with as much energy as work.
	Doubted bool  `json:"doubted,omitempty"`
	Fine    int64 `json:"fine,omitempty"`
	// Idle cells in a row with far less work than energy.
	Idle int64 `json:"idle,omitempty"`
	// LowAlert and IdleAlert are raised.
	LowAlert  bool `json:"low_alert,omitempty"`
	IdleAlert bool `json:"idle_alert,omitempty"`
}

// span of cells.
type span struct {
	Metered int64 `json:"metered"`
	Proven  int64 `json:"proven"`
	Largest int64 `json:"largest"`
	Cells   int64 `json:"cells"`
}

func (a *account) hash() uint64 {
	if a.accountState == (accountState{}) {
		return 0
	}
	var g digest
	for _, v := range [...]int64{a.Metered, a.Skip, a.Fine, a.Idle,
		a.Old.Metered, a.Old.Proven, a.Old.Largest, a.Old.Cells, a.New.Metered, a.New.Proven, a.New.Largest, a.New.Cells} {
		g.int(v)
	}
	for _, f := range [...]bool{a.Blind, a.Doubted, a.LowAlert, a.IdleAlert} {
		g.bool(f)
	}
	return g.sum()
}

// touchAccount brings the digest up to date; seed tells accounts apart.
func (d *Dispatch) touchAccount(a *account, seed uint64) {
	h := a.hash()
	if h != 0 {
		h = mix2(h, seed)
	}
	d.entries += h - a.h
	a.h = h
}

// named reports whether units name mining meters of n as theirs: then every such
// meter is judged alone, and n is not.
func (n *node) named() bool {
	for _, m := range n.meters {
		if m.units > 0 && m.cfg.Measures == events.MeasuresMining {
			return true
		}
	}
	return false
}

// rawRung is the rung of m by its silence alone.
func (d *Dispatch) rawRung(m *meter) rung {
	doubted := m.doubted
	m.doubted = false
	r := d.rung(m)
	m.doubted = doubted
	return r
}

// rawMining is what the mining meters of n read, believed by their work or not.
func (d *Dispatch) rawMining(n *node) (int64, bool) {
	total := int64(0)
	for i := range n.minings {
		best, any := int64(0), false
		for _, m := range n.minings[i].meters {
			if d.rawRung(m) <= rungEnvelope && (!any || m.watts > best) {
				best, any = m.watts, true
			}
		}
		if !any {
			return 0, false
		}
		total += best
	}
	return total, true
}

// meterWork adds what the mining meters of n have seen since the last tick.
func (d *Dispatch) meterWork(n *node, pause int64) {
	if !n.named() {
		w, ok := d.rawMining(n)
		n.work.see(w, ok, pause)
		d.touchAccount(&n.work, n.idHash)
		return
	}
	for i := range n.minings {
		for _, m := range n.minings[i].meters {
			if m.units > 0 && !m.shared {
				m.work.see(m.watts, d.rawRung(m) <= rungEnvelope, pause)
				d.touchAccount(&m.work, m.idHash)
			}
		}
	}
}

func (a *account) see(watts int64, believed bool, pause int64) {
	if !believed {
		a.Blind = true
		return
	}
	a.Metered = min(a.Metered+joules(watts, pause), maxEnergy)
}

// credit books work of u with whoever sees u.
func (d *Dispatch) credit(u *unit, proven, share int64) {
	each := func(a *account) {
		a.proven = min(a.proven+proven, maxEnergy)
		a.largest = max(a.largest, share)
	}
	if u.caps.Meter != "" {
		if m := d.site.byID[u.caps.Meter]; m != nil && !m.shared {
			each(&m.work)
		}
	}
	for n := u.node; n != nil; n = n.up {
		if len(n.minings) > 0 {
			each(&n.work)
		}
	}
}

// closeMeters judges the mining meters of n.
func (d *Dispatch) closeMeters(n *node) {
	if !n.named() {
		d.closeAccount(&n.work, n, nil)
		d.touchAccount(&n.work, n.idHash)
	} else if n.work.accountState != (accountState{}) {
		d.endWork(&n.work, n, nil, "its meters are judged one by one")
		d.touchAccount(&n.work, n.idHash)
	}
	for i := range n.minings {
		for _, m := range n.minings[i].meters {
			switch {
			case m.units > 0 && !m.shared:
				d.closeAccount(&m.work, n, m)
			case m.work.accountState != (accountState{}):
				d.endWork(&m.work, n, m, "no unit names the meter any more")
			default:
				continue
			}
			d.touchAccount(&m.work, m.idHash)
		}
	}
}

// endWork ends what is known of an account.
func (d *Dispatch) endWork(a *account, n *node, m *meter, why string) {
	what := accountName(n, m)
	d.clearAlert(&d.alarms.Low, &a.LowAlert, alarmLow, what, why)
	d.clearAlert(&d.alarms.Idle, &a.IdleAlert, alarmIdle, what, why)
	was := a.Doubted
	a.accountState = accountState{}
	if was {
		d.believeAgain(n, m)
	}
}

func accountName(n *node, m *meter) string {
	if m != nil {
		return m.cfg.Meter
	}
	return n.id
}

// closeAccount moves the window on by the cell that ends, and judges it.
func (d *Dispatch) closeAccount(a *account, n *node, m *meter) {
	metered, proven, largest, blind, partial := a.Metered, a.proven, a.largest, a.Blind, a.partial
	a.Metered, a.proven, a.largest, a.Blind, a.partial = 0, 0, 0, false, false
	switch {
	case blind || d.cell.Void:
		a.Skip = settleCells
		return
	case a.Skip > 0:
		a.Skip--
		return
	case !d.cell.Shares:
		// Without any work of the site nobody knows whether the gateway lives.
		return
	}
	a.New.Metered, a.New.Proven = min(a.New.Metered+metered, maxEnergy), min(a.New.Proven+proven, maxEnergy)
	a.New.Largest = max(a.New.Largest, largest)
	if a.New.Cells++; a.New.Cells >= spanCells {
		a.Old, a.New = a.New, span{}
	}
	w := span{Metered: min(a.Old.Metered+a.New.Metered, maxEnergy), Proven: min(a.Old.Proven+a.New.Proven, maxEnergy),
		Largest: max(a.Old.Largest, a.New.Largest), Cells: a.Old.Cells + a.New.Cells}
	d.judgeLow(a, &w, n, m, metered, proven)
	d.judgeIdle(a, &w, n, m, metered, proven, partial)
}

// judgeLow doubts meters that saw less energy than was worked with.
func (d *Dispatch) judgeLow(a *account, w *span, n *node, m *meter, metered, proven int64) {
	what := accountName(n, m)
	if a.Doubted {
		if proven/claimDen*claimNum > metered {
			a.Fine = 0
			return
		}
		if a.Fine++; a.Fine < spanCells {
			return
		}
		a.Doubted, a.Fine, a.Old, a.New = false, 0, span{}, span{}
		d.clearAlert(&d.alarms.Low, &a.LowAlert, alarmLow, what, "the meter shows as much energy as the work beneath it takes again")
		d.believeAgain(n, m)
		return
	}
	if w.Cells < leastCells || !beyond(w.Proven/claimDen*claimNum-max(w.Metered, 0), max(w.Metered, 0), w.Largest) {
		return
	}
	a.Doubted, a.Fine = true, 0
	d.raiseAlert(&d.alarms.Low, &a.LowAlert, alarmLow, what, events.SeverityCritical,
		fmt.Sprintf("accepted work beneath proves %d kWh, the mining meter shows %d kWh%s: it is not believed, and counts as silent",
			w.Proven/millijoulesPerKWh, w.Metered/millijoulesPerKWh, factorText(proven, metered)),
		"check unit, sign, ratio of the current transformers and place of the meter; and the energy per hash that the units announce")
	d.believeAgain(n, m)
}

const millijoulesPerKWh = 3_600_000_000

// judgeIdle tells of energy that no work answers for.
func (d *Dispatch) judgeIdle(a *account, w *span, n *node, m *meter, metered, proven int64, partial bool) {
	what := accountName(n, m)
	idle := !partial && w.Cells >= spanCells && w.Largest > 0 && below(w.Metered/2-w.Proven, w.Metered/2, w.Largest)
	if !idle {
		a.Idle = 0
		d.clearAlert(&d.alarms.Idle, &a.IdleAlert, alarmIdle, what, "the work beneath the meter answers for its energy again")
		return
	}
	if a.Idle++; a.Idle < highCells {
		return
	}
	a.Idle = highCells
	d.raiseAlert(&d.alarms.Idle, &a.IdleAlert, alarmIdle, what, events.SeverityWarning,
		fmt.Sprintf("the mining meter shows %d kWh, accepted work beneath it accounts for %d kWh%s", w.Metered/millijoulesPerKWh, w.Proven/millijoulesPerKWh, factorText(metered, proven)),
		"look for machines that hash for somebody else, that draw power without hashing, or are less efficient than they announce; else check the meter's unit and ratio")
}

// believeAgain brings everything up to date after a change of who is doubted.
func (d *Dispatch) believeAgain(n *node, m *meter) {
	for _, o := range n.meters {
		if o.cfg.Measures == events.MeasuresMining {
			o.doubted = n.work.Doubted || o.work.Doubted
		}
	}
	d.lookUp(n, false)
	d.recheck = true
}

// notePartial tells who sees u when it is permitted power and nobody knows how
// much work that makes.
func (d *Dispatch) notePartial(u *unit) {
	if u.efficacy() > 0 || u.set == 0 {
		return
	}
	if u.caps.Meter != "" {
		if m := d.site.byID[u.caps.Meter]; m != nil {
			m.work.partial = true
		}
	}
	for n := u.node; n != nil; n = n.up {
		n.work.partial = true
	}
}

// closeWork ends an account whose meters are not configured any more.
func (d *Dispatch) closeWork(a *account, what, why string) {
	d.clearAlert(&d.alarms.Low, &a.LowAlert, alarmLow, what, why)
	d.clearAlert(&d.alarms.Idle, &a.IdleAlert, alarmIdle, what, why)
	d.entries -= a.h
	*a = account{}
}

// spreadDoubt tells the meters of every node whether they are doubted.
func (d *Dispatch) spreadDoubt() {
	for _, m := range d.site.meters {
		m.doubted = m.cfg.Measures == events.MeasuresMining && (m.node.work.Doubted || m.work.Doubted)
	}
}

// provenState is what a snapshot keeps of work: units in the order of the agents
// and of theirs, meters and nodes in that of the configuration.
type provenState struct {
	Cell   cell           `json:"cell"`
	Units  []toil         `json:"units,omitempty"`
	Meters []accountState `json:"meters,omitempty"`
	Nodes  []accountState `json:"nodes,omitempty"`
	// Swaps of the meters.
	Swaps []swapState `json:"swaps,omitempty"`
}

// swapState of a meter, see factor.go.
type swapState struct {
	Swap  bool `json:"swap,omitempty"`
	Alert bool `json:"alert,omitempty"`
}

func (d *Dispatch) proven() provenState {
	s := provenState{Cell: d.cell}
	for _, a := range d.roster {
		for _, u := range a.units {
			s.Units = append(s.Units, u.toil)
		}
	}
	for _, m := range d.site.meters {
		s.Meters = append(s.Meters, m.work.accountState)
		s.Swaps = append(s.Swaps, swapState{m.swap, m.swapAlert})
	}
	for _, n := range d.nodes {
		s.Nodes = append(s.Nodes, n.work.accountState)
	}
	return s
}

// restoreMeterWork takes over the cell and the accounts of meters and nodes,
// before anything is looked at: doubted meters are not believed.
func (d *Dispatch) restoreMeterWork(s *provenState) error {
	if len(s.Meters) != len(d.site.meters) || len(s.Swaps) != len(d.site.meters) || len(s.Nodes) != len(d.nodes) {
		return fmt.Errorf("dispatch snapshot holds the work at %d meters and %d nodes for a configuration of %d and %d: fold the journal instead",
			len(s.Meters), len(s.Nodes), len(d.site.meters), len(d.nodes))
	}
	d.cell = cell{Start: s.Cell.Start, Tick: s.Cell.Tick, Void: s.Cell.Void, Shares: s.Cell.Shares, h: d.cell.h}
	d.touchCell()
	for i, m := range d.site.meters {
		m.work.accountState = s.Meters[i]
		d.touchAccount(&m.work, m.idHash)
		m.swap, m.swapAlert = s.Swaps[i].Swap, s.Swaps[i].Alert
		d.touchMeter(m)
	}
	for i, n := range d.nodes {
		n.work.accountState = s.Nodes[i]
		d.touchAccount(&n.work, n.idHash)
	}
	d.spreadDoubt()
	return nil
}

// restoreUnitWork takes over that of the units, once they are all there.
func (d *Dispatch) restoreUnitWork(s *provenState) error {
	for _, a := range d.roster {
		for _, u := range a.units {
			if len(s.Units) == 0 {
				return fmt.Errorf("dispatch snapshot holds the work of too few units: fold the journal instead")
			}
			u.toil, s.Units = s.Units[0], s.Units[1:]
			d.bookAs(u, u.overdue)
			d.touchUnit(u)
		}
	}
	return nil
}
