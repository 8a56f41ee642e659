// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// waiter follows one signal from the decision to the meters: an
// acknowledgement is not proof, only a meter is.
type waiter struct {
	site     string
	signalID string
	target   *int64 // mining must be metered at or below it; nil: nothing to meter
	deadline time.Duration
	cancel   context.CancelFunc
	seen     chan *events.Event
	failed   chan error

	config                       *events.SiteConfig
	decided                      *events.DispatchDecided
	units                        map[string]unitView        // unit → newest report
	meters                       map[string]meterView       // mining meter → newest reading
	ordered                      map[string]events.OrderKey // units that the decision's commands name, until they report it
	commanded, received, applied bool
}

type unitView struct {
	setpoint, power int64
	newest          events.OrderKey // of the commands it reports to have obeyed
	meter           string
	after           bool // reported after the decision
}

type meterView struct {
	watts int64
	after bool
}

// newWaiter starts to follow before the signal is sent, so nothing is missed.
func newWaiter(ctx context.Context, b *bus.Bus, site string, ev *events.Event, deadline time.Duration) (*waiter, error) {
	s := ev.Data.(*events.GridSignal)
	w := &waiter{site: site, signalID: s.SignalID, deadline: deadline,
		seen: make(chan *events.Event, 1024), failed: make(chan error, 2),
		units: map[string]unitView{}, meters: map[string]meterView{}, ordered: map[string]events.OrderKey{}}
	zero := int64(0)
	switch s.Kind {
	case events.SignalCurtail, events.SignalSetpoint:
		w.target = s.PowerWatts
	case events.SignalEmergency, events.SignalStop:
		w.target = &zero
	}
	for c, err := range events.Read[events.SiteConfig](ctx, b, events.AtSite(site)) {
		if err != nil {
			continue // a broken old configuration is not this command's business
		}
		w.config = &c.Data
	}
	if w.config != nil && !limitsAllMining(w.config, s) {
		w.target = nil
	}
	ctx, w.cancel = context.WithCancel(ctx)
	// Statuses of the last seconds tell what was running before.
	follow := func(r events.ReadRequest) {
		r.Site, r.Follow = site, true
		go func() {
			for e, err := range b.Events(ctx, r) {
				var d *events.DecodeError
				if err != nil && !asDecode(err, &d) {
					w.failed <- err
					return
				}
				if err != nil {
					continue
				}
				select {
				case w.seen <- e:
				case <-ctx.Done():
					return
				}
			}
		}()
	}
	since := time.Now().Add(-3 * events.StatusPeriod)
	follow(events.ReadRequest{Stream: events.StreamCommands, Types: []events.Type{events.TypeCommandCurtail, events.TypeDispatchDecided}, Since: time.Now().Add(-time.Second)})
	follow(events.ReadRequest{Stream: events.StreamJournal, Types: []events.Type{events.TypeWorkerStatus, events.TypeMeterReading}, Since: since})
	return w, nil
}

// limitsAllMining reports whether the power in a signal is what mining of the
// whole site may draw: not that of a node, of all load, or what is to be shed.
func limitsAllMining(c *events.SiteConfig, s *events.GridSignal) bool {
	node := s.Node
	if p := c.FindProgramme(s.Programme); p != nil {
		node = cmp.Or(node, p.Node)
		if s.PowerWatts != nil && (p.Measures == events.MeasuresTotal || p.LimitIs == events.LimitIsShed && s.Kind == events.SignalCurtail) {
			return false
		}
	}
	return node == "" || node == events.RootNode
}

func (w *waiter) stop() { w.cancel() }

// run prints each step as it happens and ends when the meters agree.
func (w *waiter) run(ctx context.Context, p *printer, sent time.Time) error {
	timer := time.NewTimer(w.deadline)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-w.failed:
			return fmt.Errorf("lost sight of signal %s (it stays in force): %w", w.signalID, err)
		case <-timer.C:
			return withCode(exitNotMetered, w.missing())
		case e := <-w.seen:
			if w.step(e, p, sent) {
				return nil
			}
		}
	}
}

// step takes one event; true means done.
func (w *waiter) step(e *events.Event, p *printer, sent time.Time) bool {
	since := e.Arrived.Sub(sent)
	switch d := e.Data.(type) {
	case *events.DispatchDecided:
		if w.decided == nil && since > -time.Second && (d.SignalID == w.signalID || e.Causation == w.signalID || causedBySignal(d, w.site, w.signalID)) {
			w.decided = d
			w.say(p, "decided", since, fmt.Sprintf("%s → %s permitted, bound by %s", watts(d.PermittedBeforeWatts), watts(d.PermittedAfterWatts), d.Binding))
		}
	case *events.CommandCurtail:
		if d.SignalID == w.signalID {
			w.order(d)
		}
	case *events.WorkerStatus:
		for _, u := range d.Units {
			v := w.units[u.Unit]
			if u.Applied != nil {
				v.newest = *u.Applied
				w.obeyed(u.Unit, v.newest)
			}
			v.setpoint, v.power = u.SetpointWatts, u.PowerWatts
			if u.Capabilities != nil {
				v.meter = u.Capabilities.Meter
			}
			v.after = since > 0
			if d.Leaving {
				v = unitView{after: true}
				delete(w.ordered, u.Unit)
			}
			w.units[u.Unit] = v
		}
	case *events.MeterReading:
		if w.isMining(e.Source) {
			w.meters[e.Source] = meterView{d.PowerWatts, since > 0 && d.Quality == events.QualityGood}
		}
	}
	if w.commanded && !w.received && len(w.ordered) == 0 {
		w.received = true
		w.say(p, "received", since, "every unit that was told reports it")
	}
	if w.target == nil {
		return w.decided != nil
	}
	if !w.applied {
		sum, all := int64(0), true
		for _, u := range w.units {
			sum += u.setpoint
			all = all && (u.after || u.setpoint == 0)
		}
		if !all || sum > *w.target || since <= 0 {
			return false
		}
		w.applied = true
		detail := fmt.Sprintf("%s at %s", figures.Count(int64(len(w.units)), "unit"), watts(sum))
		if w.decided == nil && !w.commanded {
			detail += ", and were before: no command was needed"
		}
		w.say(p, "applied", since, detail)
	}
	sum, all := int64(0), len(w.meters) > 0 || !w.anyMining()
	for _, m := range w.meters {
		sum += m.watts
		all = all && m.after
	}
	for _, u := range w.units {
		if u.meter == "" {
			sum += u.power
			all = all && (u.after || u.power == 0)
		}
	}
	if !all || sum > *w.target || since <= 0 {
		return false
	}
	w.say(p, "metered", since, fmt.Sprintf("mining at %s", watts(sum)))
	return true
}

// order notes the units that a command of the signal names; a broadcast names
// all.
func (w *waiter) order(c *events.CommandCurtail) {
	w.commanded = true
	if len(c.Units) == 0 {
		for id := range w.units {
			w.ordered[id] = c.Key
		}
	}
	for _, u := range c.Units {
		w.ordered[u.Unit] = c.Key
	}
	for id, v := range w.units { // statuses may come before the command
		w.obeyed(id, v.newest)
	}
}

func (w *waiter) obeyed(unit string, newest events.OrderKey) {
	if key, waiting := w.ordered[unit]; waiting && newest.Compare(key) >= 0 {
		delete(w.ordered, unit)
	}
}

// causedBySignal: the decision that folds the signal names it as its cause.
func causedBySignal(d *events.DispatchDecided, site, id string) bool {
	return d.CauseType == events.TypeGridSignal && len(d.CauseID) > len(id) && d.CauseID[len(d.CauseID)-len(id):] == id
}

func (w *waiter) isMining(meter string) bool {
	if w.config == nil {
		return false
	}
	for _, m := range w.config.SiteMeters() {
		if m.Meter == meter && m.Measures == events.MeasuresMining {
			return true
		}
	}
	return false
}

func (w *waiter) anyMining() bool {
	if w.config == nil {
		return false
	}
	for _, m := range w.config.SiteMeters() {
		if m.Measures == events.MeasuresMining {
			return true
		}
	}
	return false
}

func (w *waiter) say(p *printer, step string, after time.Duration, detail string) {
	if p.json {
		_ = p.value(map[string]any{"signal_id": w.signalID, "step": step, "after_ms": millis(after), "detail": detail})
		return
	}
	p.linef("  %-8s after %8s  %s", step, roundMillis(after), detail)
}

// missing says what did not happen.
func (w *waiter) missing() error {
	switch {
	case w.decided == nil && !w.applied:
		return fmt.Errorf("signal %s: no decision within %v; is a dispatcher running and active (ballast decider ls)? The signal stays in force", w.signalID, w.deadline)
	case !w.applied:
		var late []string
		for id, u := range w.units {
			if u.setpoint > 0 && len(late) < 5 {
				late = append(late, id)
			}
		}
		return fmt.Errorf("signal %s: not applied by every unit within %v, for example %v; their leases run out by themselves", w.signalID, w.deadline, late)
	}
	sum, fresh := int64(0), false
	for _, m := range w.meters {
		sum += m.watts
		fresh = fresh || m.after
	}
	if !fresh && w.anyMining() {
		return fmt.Errorf("signal %s: not metered within %v: no good reading of the mining meters came (ballast doctor says which is silent)", w.signalID, w.deadline)
	}
	return fmt.Errorf("signal %s: not metered within %v: the mining meters show %s, wanted %s or less", w.signalID, w.deadline, watts(sum), watts(*w.target))
}

func asDecode(err error, d **events.DecodeError) bool { return errors.As(err, d) }

// millis is a duration in milliseconds with three decimals.
func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func roundMillis(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
