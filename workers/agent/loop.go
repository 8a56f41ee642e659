// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/permit"
)

// burst is how many messages are folded before news is told: commands that
// arrive together are answered together.
const burst = 64

// leaseLook is how often living leases are held against the clock.
const leaseLook = time.Second

// Run subscribes, drives every unit to its failsafe setpoint, announces, and
// obeys until ctx ends. Then it sets every unit to 0 W, lets the driver
// finish, and tells the bus that its units are leaving, all within
// DrainTimeout. It may be called once. It returns nil after a complete
// goodbye, and an error when it could not subscribe or the goodbye was not
// acknowledged; the units are at 0 W in either case.
func (a *Agent) Run(ctx context.Context) error {
	ran := false
	a.once.Do(func() { ran = true })
	if !ran {
		return fmt.Errorf("agent %s: Run called twice", a.cfg.Agent)
	}
	defer close(a.stopped)
	subs, err := a.subscribe()
	defer func() {
		for _, s := range subs {
			_ = s.Unsubscribe() // fails only when the connection is gone
		}
	}()
	if err != nil {
		return fmt.Errorf("agent %s: %w", a.cfg.Agent, err)
	}
	changes := a.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer a.nc.RemoveStatusListener(changes)

	a.drive(a.everyone, a.panel.Setpoint)
	a.announce()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(a.untilNext())
		select {
		case <-ctx.Done():
			return a.leave(ctx)
		case m := <-a.messages:
			a.receive(m)
			for n := 1; n < burst && len(a.messages) > 0; n++ {
				a.receive(<-a.messages)
			}
		case f := <-a.calls:
			f()
		case <-a.report:
			a.tellAll()
			a.newsAt = 0
		case <-a.introduce:
			a.announce()
		case s := <-changes:
			if s == nats.CLOSED {
				a.drive(a.everyone, func(int) int64 { return 0 })
				return fmt.Errorf("agent %s: the bus connection was closed; all units are at 0 W", a.cfg.Agent)
			}
			a.retry.Reset()
			a.announce()
		case <-timer.C:
		}
		a.onTime()
		a.flush()
	}
}

// subscribe hears everything on one channel. The subscriptions made before an
// error are returned with it.
func (a *Agent) subscribe() ([]*nats.Subscription, error) {
	a.inbox = a.nc.NewInbox() + "."
	subjects := []string{a.inbox + "*", a.curtailSubject, a.broadcastSubject, a.rampSubject, a.renewSubject}
	if a.worker != nil {
		subjects = append(subjects, a.workSubject)
	}
	var subs []*nats.Subscription
	for _, s := range subjects {
		sub, err := a.nc.ChanSubscribe(s, a.messages)
		if err != nil {
			return subs, fmt.Errorf("subscribe to %s: %w", s, err)
		}
		subs = append(subs, sub)
	}
	return subs, nil
}

// untilNext is the time to the next thing due.
func (a *Agent) untilNext() time.Duration {
	next := min(a.statusAt, a.announceAt)
	if len(a.unacked) > 0 {
		next = min(next, a.retryAt)
	}
	now := a.cfg.Clock()
	if end, live := a.panel.Next(); live {
		// Timers stand still while the machine sleeps, the clock of leases does
		// not: it has to be looked at.
		next = min(next, end, now.Add(leaseLook))
	}
	if len(a.telling) > 0 && a.nc.IsConnected() {
		next = min(next, a.newsAt)
	}
	if next == math.MaxInt64 {
		return time.Hour
	}
	return max(next.Sub(now), 0)
}

// onTime does what is due.
func (a *Agent) onTime() {
	now := a.cfg.Clock()
	if end, live := a.panel.Next(); live && now >= end {
		a.obey("lease", a.panel.Tick(now))
	}
	switch {
	case now >= a.announceAt, len(a.unacked) > 0 && now >= a.retryAt:
		a.announce()
	case now >= a.statusAt:
		a.tellAll()
	}
}

// receive folds one message.
func (a *Agent) receive(m *nats.Msg) {
	if strings.HasPrefix(m.Subject, a.inbox) {
		a.acknowledged(m)
		return
	}
	decode := a.decoder.Decode
	if m.Subject == a.workSubject {
		decode = events.Decode // the driver keeps the job
	}
	e, err := decode(m.Subject, m.Header, m.Data)
	if err != nil {
		a.complain("message ignored", err)
		return
	}
	now := a.cfg.Clock()
	switch p := e.Data.(type) {
	case *events.CommandCurtail:
		a.obey("curtail", a.panel.Curtail(now, p))
		if m.Subject == a.broadcastSubject {
			a.newsAt = now.Add(a.spread)
		}
	case *events.CommandRamp:
		// Nobody but the server may publish on this subject, and it does so
		// after storing.
		a.obey("ramp", a.panel.Ramp(now, a.cfg.Wall(), m.Subject == a.rampSubject, p))
	case *events.PermitRenewed:
		a.obey("renewal", a.panel.Renew(now, p))
	case *events.WorkAssigned:
		a.cfg.Metrics.messages.WithLabelValues("work").Inc()
		if a.worker != nil {
			a.worker.Work(p)
		}
	}
}

// obey drives the units that a fold changed and remembers what is to be told.
func (a *Agent) obey(kind string, out permit.Outcome) {
	a.drive(out.Changed, a.panel.Setpoint)
	if len(out.Telling) > 0 {
		a.tell(out.Telling)
		a.newsAt = 0
	}
	a.cfg.Metrics.count(kind, out)
	if kind == "lease" && len(out.Telling) > 0 {
		a.cfg.Metrics.failsafes.Add(float64(len(out.Telling)))
		a.log.Warn("lease ran out: units at failsafe", "units", len(out.Telling))
	}
	if out.Foreign || out.Unknown > 0 || out.Refused[permit.RefusedOld]+out.Refused[permit.RefusedNoLease]+
		out.Refused[permit.RefusedExpired]+out.Refused[permit.RefusedFailsafe]+out.Refused[permit.RefusedDecider] > 0 {
		a.log.Debug("not obeyed", "kind", kind, "foreign", out.Foreign, "unknown_units", out.Unknown,
			"old", out.Refused[permit.RefusedOld], "no_lease", out.Refused[permit.RefusedNoLease],
			"expired", out.Refused[permit.RefusedExpired], "failsafe", out.Refused[permit.RefusedFailsafe],
			"decider", out.Refused[permit.RefusedDecider])
	}
}

// drive hands setpoints to the driver in one call.
func (a *Agent) drive(units []int, watts func(int) int64) {
	if len(units) == 0 {
		return
	}
	a.orders = a.orders[:0]
	for _, i := range units {
		a.orders = append(a.orders, Order{Unit: i, Watts: watts(i)})
	}
	a.driver.Drive(a.orders)
}

// complain logs at most once a second; counting goes on.
func (a *Agent) complain(what string, err error) {
	a.cfg.Metrics.unreadable.Inc()
	now := a.cfg.Clock()
	if a.complained != 0 && now.Sub(a.complained) < time.Second {
		return
	}
	a.complained = now
	a.log.Warn(what, "error", err)
}

// leave ends a run: power first, then what the driver has to finish, then the
// goodbye.
func (a *Agent) leave(ctx context.Context) error {
	a.drive(a.everyone, func(int) int64 { return 0 })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.cfg.DrainTimeout)
	defer cancel()
	var errs []error
	if d, ok := a.driver.(Drainer); ok {
		// Half of the time: a bus that does not take shares may still take a
		// goodbye later.
		dctx, dcancel := context.WithTimeout(ctx, a.cfg.DrainTimeout/2)
		if err := d.Drain(dctx); err != nil {
			errs = append(errs, fmt.Errorf("agent %s: drain: %w", a.cfg.Agent, err))
		}
		dcancel()
	}
	a.draining = true
	clear(a.unacked)
	if err := a.status(a.everyone, statusLeaving); err != nil {
		return errors.Join(append(errs, fmt.Errorf("agent %s: goodbye: %w", a.cfg.Agent, err))...)
	}
	for len(a.unacked) > 0 {
		select {
		case m := <-a.messages:
			if strings.HasPrefix(m.Subject, a.inbox) {
				a.acknowledged(m)
			}
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("agent %s: the goodbye was not acknowledged within %s; its units count as silent until their leases end", a.cfg.Agent, a.cfg.DrainTimeout))
			return errors.Join(errs...)
		}
	}
	return errors.Join(errs...)
}
