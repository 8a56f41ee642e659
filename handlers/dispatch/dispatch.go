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
	Version = "2"
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

	// tickGen is gen at the newest fresh tick, tickSecond the second it named,
	// tickAt the elapsed time of the last tick that was acted on.
	tickGen    uint64
	tickSecond int64
	tickAt     int64

	site     settings
	env      envelope
	balance  int64
	balanced bool
	load     load
	// restartUntil bars increases after a meter came back, elapsed ns.
	restartUntil int64
	// settleAt is when everything lowered so far must have fallen, elapsed ns:
	// before it nothing changes places.
	settleAt int64

	signals signals
	quote   quote

	agents map[string]*agent
	roster []*agent // by id
	order  []*unit  // by merit

	// Sums over all units, W: setpoints; setpoints beyond command; draw above
	// setpoints that should have ended; bookings while others want to rise;
	// what falling units may still draw beyond those.
	setSum, fixedSum, extraSum, raiseSum, fallSum int64
	// maxStep is the largest rise that some unit can only make at once.
	maxStep      int64
	stepsChanged bool

	// The ramp bucket: tokens in W, tokenCarry in billionths of a watt.
	tokens     int64
	tokenCarry uint64
	refilledAt int64
	// joining: a unit may have become ready since the last raise.
	joining  bool
	raisedAt int64

	alarms         alarms
	flooded, crowd bool
	skewed         bool

	// entries is the digest of meters, signals, agents and units; misc that of
	// config and quote.
	entries, misc uint64

	// Scratch of one fold.
	lowered, raised []*unit
	notes           []events.Payload
	recheck         bool
}

var _ decider.Decider = (*Dispatch)(nil)

// New returns a dispatch decider that has folded nothing.
func New(cfg Config) *Dispatch {
	d := &Dispatch{
		who:     decider.Identity{Name: Name, Version: Version, ConfigHash: fmt.Sprintf("%016x", hashJSON(cfg))},
		unsafe:  cfg.NoReductions,
		agents:  make(map[string]*agent),
		signals: newSignals(),
	}
	d.env.Started = -1
	d.gen, d.tickAt, d.raisedAt = 1, -second, -second
	d.look(false)
	return d
}

// Identity implements decider.Decider.
func (d *Dispatch) Identity() decider.Identity { return d.who }

// Fold implements decider.Decider.
func (d *Dispatch) Fold(e *events.Event, out *decider.Outbox) {
	d.advance(e)
	before := d.setSum
	tick := false
	switch p := e.Data.(type) {
	case *events.WorkerStatus:
		d.onStatus(e.Source, p)
	case *events.MeterReading:
		if d.onReading(e.Source, d.wall, p) {
			d.look(true)
			d.watchMeters()
		}
	case *events.ClockTick:
		tick = d.onTick(p)
	case *events.GridSignal:
		if d.onSignal(e, p) {
			d.look(false)
			d.recheck = true
		}
	case *events.SiteConfig:
		d.onConfig(p)
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
	if jumped {
		// Nothing known can be dated any more: all of it is stale.
		d.gen++
		for _, m := range d.site.meters {
			m.gap += int64(step)
			if m.same > 0 {
				m.since += int64(step)
			}
			d.touchMeter(m)
		}
		for _, g := range d.signals.live {
			// How long a jump took is unknown: no window runs off in it.
			if g.End != 0 || g.Kind == events.SignalRestore {
				d.entries -= g.hash()
				g.EndElapsed += int64(step)
				d.entries += g.hash()
			}
		}
		d.scheduleSignals()
	}
	due := d.signalsDue()
	if due {
		d.runSignals()
		d.recheck = true
	}
	if due || jumped || d.now >= d.load.NextAt {
		d.look(false)
		d.watchMeters()
	}
}

// onConfig takes a new configuration. Meters, units, signals and the envelope
// stay as they are.
func (d *Dispatch) onConfig(c *events.SiteConfig) {
	first := !d.site.known
	for _, m := range d.site.meters {
		d.entries -= m.h
	}
	gone, old := d.site.meters, d.site.byID
	d.site, d.stepsChanged = newSettings(c, old), true
	for _, m := range d.site.meters {
		m.booked, m.units = 0, 0
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
		if m == nil || !m.overAlert {
			d.clearAlert(&d.alarms.Metered, &o.overAlert, alarmMetered, o.cfg.Meter, "the meter is not configured any more")
		}
	}
	for _, u := range d.order {
		d.meet(u, 1)
	}
	if first {
		d.tokens, d.refilledAt = d.site.rampBurst, d.now
	}
	d.balanced = d.balanced && len(d.site.totals) > 0 && len(d.site.minings) > 0
	if d.quote.Known {
		if scaled, ok := scaledRevenue(&d.quote.Raw, d.site.poolFee); ok {
			d.quote.Scaled = scaled
		}
	}
	d.hashMisc()
	d.look(false)
	d.watchMeters()
	d.recheck, d.joining = true, true
}

func (d *Dispatch) hashMisc() { d.misc = mix2(hashJSON(&d.site.raw), hashJSON(&d.quote)) }

// watchMeters raises and clears the alerts about silent and stuck meters.
func (d *Dispatch) watchMeters() {
	for _, m := range d.site.meters {
		was, stuck := m.staleAlert, m.stuckAlert
		if m.stuck {
			d.raiseAlert(&d.alarms.Stuck, &m.stuckAlert, alarmStuck, m.cfg.Meter, events.SeverityCritical,
				"the meter keeps reporting one and the same value for longer than its stuck time: it is not believed until the value moves",
				"check the sensor and its gateway or poller; for a source that holds values between samples, raise stuck_milliseconds of this meter or set it to 0")
		} else {
			d.clearAlert(&d.alarms.Stuck, &m.stuckAlert, alarmStuck, m.cfg.Meter, "the meter is not taken for stuck any more")
		}
		switch silent := d.now-m.heard-m.gap > m.stale; {
		case silent && !m.staleAlert:
			d.raiseAlert(&d.alarms.Meter, &m.staleAlert, alarmMeter, m.cfg.Meter, events.SeverityCritical,
				"no believable reading for longer than the meter's stale time: its load counts as full",
				"check the meter, its clock, its range in site.config and its link")
		case !silent && m.staleAlert:
			d.clearAlert(&d.alarms.Meter, &m.staleAlert, alarmMeter, m.cfg.Meter, "the meter is believed again")
		}
		if was != m.staleAlert || stuck != m.stuckAlert {
			d.touchMeter(m)
		}
	}
}
