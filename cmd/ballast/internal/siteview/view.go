// SPDX-License-Identifier: Apache-2.0

package siteview

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/signals"
	"github.com/ballast-energy/ballast/events"
)

// Log is what a View reads: the bus.
type Log = events.Log

// Picture is the site at one moment, and the sums since the View began.
type Picture struct {
	// Site and its configuration; nil before one was seen.
	Site   string
	Config *events.SiteConfig
	// Since is when the View began, Now when the picture was taken.
	Since, Now time.Time

	// AIWatts, HouseWatts and MiningWatts as metered (units without a meter
	// by their own report).
	AIWatts, HouseWatts, MiningWatts int64
	// ModelledWatts is the part of MiningWatts that comes from a model of the
	// machines or of their power, not from a measurement.
	ModelledWatts int64
	// HashrateMHs of all units, ModelledMHs of it modelled.
	HashrateMHs, ModelledMHs int64
	// SetpointWatts of all units as they report, Units known, UnitsOn drawing
	// by permit, Failsafe how many hold no permit after having lost one.
	SetpointWatts            int64
	Units, UnitsOn, Failsafe int
	// Decided is the newest decision, nil before the first.
	Decided *events.DispatchDecided
	// Signals that limit something or will, in the order in which they came, and
	// the newest price.
	Signals             []signals.Row
	PriceMicrousdPerMWh *int64

	// Shares by verdict and basis.
	Found, Accepted, Rejected, Unknown map[events.Basis]int64
	// Millisats and Microusd accrued per basis.
	Millisats, Microusd map[events.Basis]int64
	// Forgone in settled intervals, per basis; part of nothing above.
	Forgone map[events.Basis]Forgone
	// Alerts raised and not cleared, newest last.
	Alerts []events.AlertRaised
	// Recent lines worth a person's eye, newest last.
	Recent []Line

	// OverLimit is how long AI + house + mining exceeded the limit;
	// OverByMining how long it did only because of mining.
	OverLimit, OverByMining time.Duration
	// OverMaxWatts is the largest excess that mining caused. W.
	OverMaxWatts int64
	// Energy since the View began.
	Energy Balance
	// MinedNanoWattSeconds over HeadroomNanoWattSeconds is the share of
	// headroom used; both in W·ns, headroom = limit × factor − AI − house.
	Mined, Headroom WattNanos
	// Commands is how many curtail and ramp commands were seen.
	Curtails, Ramps int64
	// Decision is journal arrival of the cause → command stored; Applied is
	// the same → first status of the agent that shows it.
	Decision, Applied Latencies
}

// Line is one event of note.
type Line struct {
	At    time.Time
	Event *events.Event
}

// View follows one site.
type View struct {
	site string
	log  Log

	mu       sync.Mutex
	p        Picture
	paidAs   events.Basis
	acct     account
	units    map[string]unit
	meters   map[string]reading
	role     map[string]events.MeterConfig
	signals  signals.Book
	pending  []pending
	forgone  []forgoneIn
	lastStep time.Time
}

// reading is the newest that a meter said.
type reading struct {
	watts    int64
	modelled bool
}

type unit struct {
	setpoint, power, mhs int64
	// modelled hashing, and modelled power.
	modelled, powerModelled bool
	// unmetered: announced as seen by no meter, so that its own report
	// counts. Before it announced itself nothing is known and nothing counts.
	unmetered bool
	state     events.PermitState
	// applied is the newest key that the unit showed, and appliedAt when it
	// first did; nil before one was seen.
	applied   *events.OrderKey
	appliedAt time.Time
}

// maxRecent bounds the lines kept, maxPending the commands watched, lookBack the
// search for the decision that holds.
const (
	lookBack   = 24 * time.Hour
	maxRecent  = 200
	maxPending = 10_000
)

// New returns a View that has seen nothing.
func New(site string, log Log) *View {
	now := time.Now()
	v := &View{site: site, log: log, paidAs: events.BasisPractice, units: map[string]unit{}, meters: map[string]reading{}, role: map[string]events.MeterConfig{}}
	v.p = Picture{Site: site, Since: now, Now: now,
		Found: map[events.Basis]int64{}, Accepted: map[events.Basis]int64{}, Rejected: map[events.Basis]int64{}, Unknown: map[events.Basis]int64{},
		Millisats: map[events.Basis]int64{}, Microusd: map[events.Basis]int64{}, Forgone: map[events.Basis]Forgone{}}
	return v
}

// PaidAs says what stands behind shares that are found, which do not tell
// themselves; without it that is practice. It is called before Run.
func (v *View) PaidAs(basis events.Basis) { v.paidAs = basis }

// Run follows the site until the context ends (nil), or the bus is lost.
func (v *View) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v.before(ctx)
	// Configuration and signals matter however old they are.
	reads := []events.ReadRequest{
		{Stream: events.StreamInputs, Site: v.site, Follow: true},
		{Stream: events.StreamJournal, Site: v.site, Types: []events.Type{events.TypeMeterReading, events.TypeWorkerStatus, events.TypeClockTick}, Since: v.p.Since, Follow: true},
		{Stream: events.StreamCommands, Site: v.site, Since: v.p.Since, Follow: true},
		{Stream: events.StreamShares, Site: v.site, Since: v.p.Since, Follow: true},
		{Stream: events.StreamRevenue, Site: v.site, Since: v.p.Since, Follow: true},
	}
	errs := make(chan error, len(reads))
	for _, r := range reads {
		go func() { errs <- v.follow(ctx, r) }()
	}
	var first error
	for range reads {
		if err := <-errs; err != nil && first == nil && ctx.Err() == nil {
			first = err
			cancel()
		}
	}
	return first
}

// before looks up what was decided last before the view began: while a stop
// holds, nothing new is decided for hours, and a person must see why no power
// flows. Without a decision in a day the picture
// says that nothing was decided.
func (v *View) before(ctx context.Context) {
	r := events.ReadRequest{Stream: events.StreamCommands, Site: v.site, Types: []events.Type{events.TypeDispatchDecided}, Since: v.p.Since.Add(-lookBack)}
	for ev, err := range v.log.Events(ctx, r) {
		if err != nil {
			var d *events.DecodeError
			if errors.As(err, &d) {
				continue
			}
			return // the reads that follow meet the same trouble, and report it
		}
		if d, ok := ev.Data.(*events.DispatchDecided); ok {
			v.mu.Lock()
			v.p.Decided = d
			v.mu.Unlock()
		}
	}
}

func (v *View) follow(ctx context.Context, r events.ReadRequest) error {
	for ev, err := range v.log.Events(ctx, r) {
		if err != nil {
			var d *events.DecodeError
			if errors.As(err, &d) {
				continue // the inspector reports it
			}
			return err
		}
		v.mu.Lock()
		v.take(ev)
		v.mu.Unlock()
	}
	return nil
}

// Picture is a copy of the present picture.
func (v *View) Picture() Picture {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.p
	p.Now = time.Now()
	p.Found, p.Accepted, p.Rejected, p.Unknown = maps.Clone(p.Found), maps.Clone(p.Accepted), maps.Clone(p.Rejected), maps.Clone(p.Unknown)
	p.Millisats, p.Microusd = maps.Clone(p.Millisats), maps.Clone(p.Microusd)
	p.Forgone = maps.Clone(p.Forgone)
	p.Alerts, p.Recent = slices.Clone(p.Alerts), slices.Clone(p.Recent)
	p.Decision, p.Applied = p.Decision.clone(), p.Applied.clone()
	p.Signals = nil
	for _, r := range v.signals.Rows(p.Now) {
		if r.State.Live() && r.Signal.Kind != events.SignalPrice {
			p.Signals = append(p.Signals, r)
		}
	}
	p.Energy = v.acct.balance()
	return p
}

// take folds one event into the picture.
func (v *View) take(ev *events.Event) {
	v.signals.Fold(ev)
	switch d := ev.Data.(type) {
	case *events.SiteConfig:
		v.p.Config = d
		clear(v.role)
		for _, m := range d.SiteMeters() {
			v.role[m.Meter] = m
		}
	case *events.GridSignal:
		v.takeSignal(ev, d)
	case *events.MeterReading:
		v.step(ev.Arrived)
		if d.Quality != events.QualityBad {
			v.meters[ev.Source] = reading{d.PowerWatts, d.Modelled}
		}
		v.sum()
	case *events.WorkerStatus:
		v.step(ev.Arrived)
		v.takeStatus(ev, d)
		v.sum()
	case *events.ClockTick:
		v.step(ev.Arrived)
	case *events.CommandCurtail:
		v.p.Curtails++
		v.p.Decision.add(ev.Arrived.Sub(d.IssuedAt))
		v.watch(d.Key, d.Units, d.IssuedAt)
		v.recent(ev)
	case *events.CommandRamp:
		v.p.Ramps++
		v.p.Decision.add(ev.Arrived.Sub(d.IssuedAt))
		v.watch(d.Key, d.Units, d.IssuedAt)
		v.recent(ev)
	case *events.DispatchDecided:
		v.p.Decided = d
	case *events.AlertRaised:
		v.p.Alerts = append(v.p.Alerts, *d)
		v.recent(ev)
	case *events.AlertCleared:
		v.p.Alerts = slices.DeleteFunc(v.p.Alerts, func(a events.AlertRaised) bool { return a.Alert == d.Alert })
		v.recent(ev)
	case *events.ShareFound:
		basis := v.paidAs
		if d.Modelled {
			basis = events.BasisModelled
		}
		v.p.Found[basis]++
	case *events.ShareAccepted:
		v.p.Accepted[d.Payout.Basis]++
	case *events.ShareRejected:
		v.p.Rejected[d.Basis]++
		v.recent(ev)
	case *events.ShareUnknown:
		v.p.Unknown[d.Basis]++
		v.recent(ev)
	case *events.RevenueAccrued:
		v.p.Millisats[d.Payout.Basis] += d.ValueMillisats
		v.p.Microusd[d.Payout.Basis] += d.ValueMicrousd
		v.recent(ev)
	case *events.CurtailmentSettled:
		v.takeForgone(ev, d)
	case *events.RevenueSettled, *events.EnergySettled, *events.ProgrammePerformed:
		v.recent(ev)
	}
}

func (v *View) recent(ev *events.Event) {
	v.p.Recent = append(v.p.Recent, Line{At: ev.Arrived, Event: ev})
	if n := len(v.p.Recent) - maxRecent; n > 0 {
		v.p.Recent = slices.Delete(v.p.Recent, 0, n)
	}
}

func (v *View) takeSignal(ev *events.Event, s *events.GridSignal) {
	if s.Kind == events.SignalPrice {
		v.p.PriceMicrousdPerMWh = s.PriceMicrousdPerMWh
	}
	if ev.Arrived.After(v.p.Since) {
		v.recent(ev)
	}
}

func (v *View) takeStatus(ev *events.Event, d *events.WorkerStatus) {
	for i := range d.Units {
		u := &d.Units[i]
		if d.Leaving {
			delete(v.units, u.Unit)
			continue
		}
		x := v.units[u.Unit]
		if u.Capabilities != nil {
			x.unmetered = u.Capabilities.Meter == ""
		}
		x.setpoint, x.power, x.mhs, x.state = u.SetpointWatts, u.PowerWatts, u.HashrateMHs, u.State
		x.modelled, x.powerModelled = u.Modelled, u.Modelled || u.PowerModelled
		if u.Applied != nil && (x.applied == nil || u.Applied.Compare(*x.applied) > 0) {
			key := *u.Applied
			x.applied, x.appliedAt = &key, ev.Arrived
		}
		v.units[u.Unit] = x
		if u.Applied != nil {
			v.applied(u.Unit, *u.Applied, ev.Arrived)
		}
	}
}

// step accounts for the time since the previous event of the journal with the
// values that held in it.
func (v *View) step(at time.Time) {
	d := at.Sub(v.lastStep)
	first := v.lastStep.IsZero()
	if !first && d <= 0 {
		return
	}
	v.lastStep = at
	if first || v.p.Config == nil {
		return
	}
	d = min(d, events.MaxStep)
	c := v.p.Config
	v.acct.step(d, c.ContractedWatts, v.p.AIWatts, v.p.HouseWatts, v.p.MiningWatts, v.p.ModelledWatts)
	rest := v.p.AIWatts + v.p.HouseWatts
	if total := rest + v.p.MiningWatts; total > c.LimitWatts {
		v.p.OverLimit += d
		if rest <= c.LimitWatts {
			v.p.OverByMining += d
		}
		v.p.OverMaxWatts = max(v.p.OverMaxWatts, min(total-c.LimitWatts, v.p.MiningWatts))
	}
	usable := c.LimitWatts / 1_000_000 * c.ContinuousFactorPPM
	usable += c.LimitWatts % 1_000_000 * c.ContinuousFactorPPM / 1_000_000
	v.p.Mined.add(v.p.MiningWatts, d)
	v.p.Headroom.add(max(usable-rest, 0), d)
}

// sum brings the totals up to date.
func (v *View) sum() {
	p := &v.p
	p.AIWatts, p.HouseWatts, p.MiningWatts, p.ModelledWatts = 0, 0, 0, 0
	if p.Config != nil {
		_, p.HouseWatts = p.Config.SiteLoad()
	}
	groups := map[string]int64{}
	mining := map[string]reading{} // what counts per group or lone meter
	total, hasTotal := int64(0), false
	for id, r := range v.meters {
		m, known := v.role[id]
		if !known {
			continue
		}
		if m.Measures == events.MeasuresMining {
			of := "group/" + m.Group
			if m.Group == "" {
				of = "meter/" + id
			}
			// Of equal readings the measured one counts.
			if best, ok := mining[of]; !ok || r.watts > best.watts || r.watts == best.watts && !r.modelled {
				mining[of] = r
			}
		}
		w := r.watts
		if m.Group != "" {
			w = max(w-groups[m.Group], 0)
			groups[m.Group] += w
		}
		switch m.Measures {
		case events.MeasuresAI:
			p.AIWatts += w
		case events.MeasuresHouse:
			p.HouseWatts += w
		case events.MeasuresMining:
			p.MiningWatts += w
		case events.MeasuresTotal:
			total, hasTotal = total+w, true
		}
	}
	for _, r := range mining {
		if r.modelled {
			p.ModelledWatts += max(r.watts, 0)
		}
	}
	p.SetpointWatts, p.HashrateMHs, p.ModelledMHs, p.Units, p.UnitsOn, p.Failsafe = 0, 0, 0, len(v.units), 0, 0
	for _, u := range v.units {
		p.SetpointWatts += u.setpoint
		p.HashrateMHs += u.mhs
		if u.modelled {
			p.ModelledMHs += u.mhs
		}
		if u.unmetered {
			p.MiningWatts += u.power
			if u.powerModelled {
				p.ModelledWatts += u.power
			}
		}
		if u.setpoint > 0 {
			p.UnitsOn++
		}
		if u.state == events.PermitFailsafe {
			p.Failsafe++
		}
	}
	if hasTotal {
		p.AIWatts = max(p.AIWatts, total-p.MiningWatts-p.HouseWatts)
	}
}
