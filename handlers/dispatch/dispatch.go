// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Name and Version of this decider. Version changes whenever the same journal
// may give other outputs.
const (
	Name    = "dispatch"
	Version = "3"
)

// Config is what dispatch is built with outside the journal. Everything about
// a site is in its site.config event.
type Config struct {
	// NoReductions switches off every reduction for lack of headroom, and the
	// reserve that goes with them, so that a demonstration can count the
	// violations that dispatch prevents. It must never be set where real
	// machines hang on the bus. Signals are obeyed all the same.
	NoReductions bool `json:"no_reductions,omitempty"`
}

// Dispatch is the decider. Make one with New; it is not safe for concurrent
// use.
type Dispatch struct {
	who    decider.Identity
	unsafe bool

	clk  decider.StepClock
	now  int64 // elapsed, ns
	wall int64 // arrival of the event being folded, Unix ns
	// gen counts discontinuities: what carries an older count is stale.
	gen   uint64
	epoch uint64
	// sequence of the event being folded.
	sequence uint64

	// tickGen is gen at the newest fresh tick, tickSecond the second it named,
	// tickAt the elapsed time of the last tick that was acted on.
	tickGen    uint64
	tickSecond int64
	tickAt     int64

	site settings
	// nodes of the power tree, every one before those it feeds; root is the
	// first, the point of connection.
	nodes []*node
	root  *node
	// rungs and silences wait for meters.
	rungs, silences timers
	unsaidStuck     bool

	jobs    jobs
	signals signals
	// programmes whose issuers repeat themselves.
	programmes []*programme
	astray     bool
	quote      quote

	agents map[string]*agent
	roster []*agent // by id
	order  []*unit  // by merit

	// steps of all units by merit; sets are the watts on them that can be
	// lowered, by the same rank; unranked: they are to be made anew.
	steps    []*step
	sets     []int64
	unranked bool
	// stepsChanged: the largest steps beneath the nodes are to be found anew,
	// and with them the longest time that a unit takes to boot, ns.
	stepsChanged bool
	longestBoot  int64
	// fallsChanged: so are the response times of the nodes, on the next tick.
	fallsChanged bool

	// joining: a unit may have become ready since the last raise.
	joining  bool
	raisedAt int64

	// cell of time in which accepted work is added up.
	cell cell

	alarms         alarms
	flooded, crowd bool
	skewed         bool
	brokenAlert    bool
	// cursor is the node with which the next headroom.published begins.
	cursor int

	// entries is the digest of meters, nodes, signals, agents and units; misc
	// that of config and quote.
	entries, misc uint64
	rawHash       uint64

	// Reductions that meters have not shown yet, oldest first, the witnesses that
	// are waited for, and how many parts have been opened and are open.
	curtailments []*curtailment
	watches      []*witness
	partSeq      uint64
	openParts    int
	// answering are the units that answer for a part which they have left, and
	// some that do no longer, in no order that matters.
	answering []*unit
	// climbing is how many units are being escalated; outlets that were switched,
	// by id, and in order.
	climbing int
	outlets  map[string]*outlet
	switched []*outlet

	// Scratch of one fold.
	touched               []*proof
	seeing                []*witness
	lowered, raised       []*unit
	waiting, picks        []*step
	dirty, over, rehashes []*node
	due                   []*meter
	frees                 []free
	notes                 []events.Payload
	recheck               bool
	unescalated           bool
	groups                []loweredGroup
}

var _ decider.Decider = (*Dispatch)(nil)

// New returns a dispatch decider that has folded nothing.
func New(cfg Config) *Dispatch {
	d := &Dispatch{
		who:     decider.Identity{Name: Name, Version: Version, ConfigHash: fmt.Sprintf("%016x", hashJSON(cfg))},
		unsafe:  cfg.NoReductions,
		agents:  make(map[string]*agent),
		outlets: make(map[string]*outlet),
		signals: newSignals(),
	}
	d.silences.kind = timerAlert
	d.gen, d.tickAt, d.raisedAt = 1, -second, -second
	d.cell.Start = -1
	d.touchCell()
	d.root = newNode(events.RootNode)
	d.root.ramps = true
	d.nodes, d.unranked = []*node{d.root}, true
	d.site.nodes = d.nodes
	d.hashRaw()
	d.look(d.root, false)
	return d
}

// Identity implements decider.Decider.
func (d *Dispatch) Identity() decider.Identity { return d.who }

// Fold implements decider.Decider.
func (d *Dispatch) Fold(e *events.Event, out *decider.Outbox) {
	d.advance(e)
	before := d.root.setSum
	tick := false
	switch p := e.Data.(type) {
	case *events.WorkerStatus:
		d.onStatus(e.Source, p)
	case *events.MeterReading:
		if m := d.onReading(e.Source, d.wall, p); m != nil {
			if m.job != nil {
				d.bookJob(m.job)
			}
			if m.cfg.Measures != events.MeasuresHouse {
				m.node.hold()
			}
			d.lookUp(m.node, true)
			d.hear(m)
			d.watchMeters(m)
		}
	case *events.ClockTick:
		tick = d.onTick(p)
	case *events.GridSignal:
		if d.onSignal(e, p) {
			d.lookBound()
			d.recheck = true
		}
	case *events.AIJob:
		d.onJob(e, p)
	case *events.SiteConfig:
		d.onConfig(p)
	case *events.ShareAccepted:
		d.onShare(p)
	case *events.OutletStatus:
		d.onOutletStatus(e.Source, p)
	case *events.OutletRequested:
		d.onOutletRequest(e, p)
	case *events.MarketQuote:
		d.recheck = d.onQuote(p) || d.recheck
	}
	d.decide(e, out, before, tick)
}

// advance moves time to the arrival of e and lets happen what happens by time
// alone.
func (d *Dispatch) advance(e *events.Event) {
	step, jumped := d.clk.Advance(e.Arrived)
	d.now, d.wall = d.clk.ElapsedNanos, d.clk.LastUnixNano
	if e.Epoch != d.epoch {
		jumped = jumped || d.epoch != 0
		d.epoch = e.Epoch
	}
	d.sequence = e.Sequence
	if jumped {
		// Nothing known can be dated any more: all of it is stale.
		d.gen++
		d.cell.Void = true
		d.touchCell()
		for _, m := range d.site.meters {
			m.gap += int64(step)
			if m.same > 0 {
				m.since += int64(step)
			}
			d.touchMeter(m)
		}
		for _, g := range d.signals.live {
			// How long a jump took is unknown: no window runs off in it.
			d.alter(g, func() {
				if g.End != 0 || g.Kind == events.SignalRestore {
					g.EndElapsed += int64(step)
				}
				g.Course.jump(int64(step))
			})
		}
		d.scheduleSignals()
	}
	due := d.signalsDue() || jumped && len(d.signals.live)+len(d.programmes) > 0
	if due {
		d.runSignals()
	}
	switch {
	case jumped:
		d.waitAll()
		d.visitJobs()
		d.lookAll()
		d.watchAll()
	case due:
		d.lookDue()
		d.lookBound()
		d.watchMeters(nil)
	case d.rungs.first(d.now) != nil:
		d.lookDue()
		d.watchMeters(nil)
	}
}

// onConfig takes a new configuration. Meters, units, signals and the envelope
// stay as they are.
func (d *Dispatch) onConfig(c *events.SiteConfig) {
	first := !d.site.known
	for _, m := range d.site.meters {
		d.entries -= m.h
	}
	said := d.unwatch()
	gone, old, nodes := d.site.meters, d.site.byID, d.nodes
	d.site = newSettings(c, old)
	d.site.epoch, d.site.sequence = d.epoch, d.sequence
	for _, m := range d.site.meters {
		m.booked, m.units, m.seen, m.extra = 0, 0, 0, 0
		if old[m.cfg.Meter] == nil || !m.has && m.heard == 0 {
			m.heard = d.now
		}
		m.h = m.hash()
		d.entries += m.h
	}
	for _, o := range gone {
		m := d.site.byID[o.cfg.Meter]
		if m == nil || !m.staleAlert {
			d.clearAlert(&d.alarms.Meter, &o.staleAlert, alarmMeter, o.cfg.Meter, "the meter is not configured any more")
		}
		if m == nil || !m.stuckAlert {
			d.clearAlert(&d.alarms.Stuck, &o.stuckAlert, alarmStuck, o.cfg.Meter, "the meter is not configured any more")
		}
		if m == nil || !m.swapAlert {
			d.clearAlert(&d.alarms.Unit, &o.swapAlert, alarmUnit, o.cfg.Meter, "the meter is not configured any more")
		}
		if m == nil || !m.overAlert {
			d.clearAlert(&d.alarms.Metered, &o.overAlert, alarmMetered, o.cfg.Meter, "the meter is not configured any more")
		}
	}
	for _, o := range gone {
		if d.site.byID[o.cfg.Meter] == nil {
			d.closeWork(&o.work, o.cfg.Meter, "the meter is not configured any more")
		}
	}
	d.transplant(nodes)
	d.settleTotals(gone)
	d.spreadDoubt()
	for _, u := range d.order {
		d.plug(u)
		d.meet(u, 1)
	}
	d.rewatch(said)
	if first {
		d.root.bucket = bucket{tokens: d.root.rampBurst, refilledAt: d.now}
	}
	d.relocate(c)
	d.waitAll()
	if d.quote.Known {
		if scaled, ok := scaledRevenue(&d.quote.Raw, d.site.poolFee); ok {
			d.quote.Scaled = scaled
		}
	}
	d.hashSite()
	d.measureResponses()
	d.settleJobs()
	d.lookAll()
	d.watchAll()
	d.recheck, d.joining = true, true
}

// hashSite brings the digest up to date after a change of the configuration,
// hashMisc after one of the quote.
func (d *Dispatch) hashSite() {
	d.hashRaw()
	d.hashMisc()
}

func (d *Dispatch) hashRaw() {
	d.rawHash = mix2(hashJSON(&d.site.raw), mix2(d.site.epoch, d.site.sequence))
}

func (d *Dispatch) hashMisc() { d.misc = mix2(d.rawHash, hashJSON(&d.quote)) }
