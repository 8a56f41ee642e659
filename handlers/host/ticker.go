// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

const (
	// tickGap seconds without a tick raise an alert; tickCalm ticks in a row
	// clear it.
	tickGap  = 3
	tickCalm = 10
	// tickSkew is how far, in seconds, a tick may be from its arrival before
	// it is nobody's clock.
	tickSkew = 60
)

// ticker offers one clock.tick per second. Every host does; the id keeps one
// per second, so there is no clock process that could die.
func (h *Host) ticker(ctx context.Context) {
	var journal jetstream.Stream // once it was reached
	for {
		now := time.Now()
		next := now.Truncate(events.TickPeriod).Add(events.TickPeriod)
		timer := time.NewTimer(next.Sub(now))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		second := time.Now().Unix()
		pctx, cancel := context.WithTimeout(ctx, events.TickPeriod*9/10)
		var err error
		if journal == nil {
			journal, err = h.cfg.Bus.JetStream().Stream(pctx, events.StreamJournal)
		}
		if err == nil {
			err = h.offerTick(pctx, journal, second)
		}
		cancel()
		switch {
		case err == nil:
			h.m.ticks.WithLabelValues(h.cfg.Site).Inc()
		case ctx.Err() == nil:
			h.cfg.Logger.Warn("tick could not be offered", "site", h.cfg.Site, "second", second, "error", err)
		}
	}
}

// offerTick stores the tick of that second unless another host has. One that is
// known may have to be stored again.
func (h *Host) offerTick(ctx context.Context, journal jetstream.Stream, second int64) error {
	e := events.New(h.cfg.Site, events.SiteSource, &events.ClockTick{Second: second}).At(time.Now().UTC()).
		WithID(h.cfg.Site + "/tick/" + strconv.FormatInt(second, 10))
	m, err := events.Encode(h.cfg.Bus.Prefix(), e)
	if err != nil {
		return err
	}
	known, err := h.storeInJournal(ctx, journal, m)
	if err != nil || known == 0 {
		return err
	}
	last, err := journal.GetLastMsgForSubject(ctx, m.Subject)
	if err != nil {
		return fmt.Errorf("look at the newest tick: %w", err)
	}
	if !replica.TickComesAgain(known, &decider.Raw{Sequence: last.Sequence, Data: last.Data}, second) {
		return nil
	}
	return storeAgain(ctx, h.cfg.Bus.JetStream(), m)
}

// tickWatch finds gaps between the ticks of the journal. All of it follows
// from the journal, so every host names a gap alike and one alert is stored.
type tickWatch struct {
	newest int64
	calm   int
	gap    string // the open one
}

// tick is called with every clock.tick of a journal that is being followed.
func (w *tickWatch) tick(ctx context.Context, h *Host, second int64, arrived time.Time) {
	last := w.newest
	if off := second - arrived.Unix(); second <= last || off > tickSkew || off < -tickSkew {
		return
	}
	w.newest = second
	alert := "tick-gap/" + h.cfg.Site
	switch {
	case last == 0:
	case second-last > tickGap:
		w.gap, w.calm = strconv.FormatInt(last, 10), 0
		h.raise(ctx, w.gap, &events.AlertRaised{
			Alert: alert, Severity: events.SeverityWarning,
			Message: fmt.Sprintf("no clock.tick for %d s after second %d: no permit was renewed meanwhile", second-last-1, last),
			Remedy:  "Check that a dispatcher host runs and reaches the bus, and its clock.",
		})
	case w.gap != "":
		if w.calm++; w.calm >= tickCalm {
			h.lower(ctx, w.gap, &events.AlertCleared{Alert: alert, Message: "clock.tick is regular again"})
			w.gap = ""
		}
	}
}
