// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// MaxSkew is how far the date in an envelope may be from the arrival of the
// message.
const MaxSkew = time.Hour

// CheckDate refuses an event that says of itself that it happened at an
// impossible time, where believing it could raise power or change who speaks. A
// relayed fact is judged by its arrival in its first stream.
//
// Reductions are obeyed whatever the sender's clock says. So are epochs, which
// must be the same for everybody, and verdicts on shares, which nothing is
// raised by and whose money must not be lost. What deciders say themselves
// carries the time of its cause. An event without a date is judged by its
// arrival alone.
func CheckDate(e *events.Event) error {
	arrived := e.Arrived
	if !e.OriginArrived.IsZero() {
		arrived = e.OriginArrived
	}
	if e.Time.IsZero() || !raises(e) {
		return nil
	}
	if d := e.Time.Sub(arrived); d > MaxSkew || d < -MaxSkew {
		return fmt.Errorf("dated %s, arrived at %s: more than %s apart; check the sender's clock",
			e.Time.UTC().Format(time.RFC3339), arrived.UTC().Format(time.RFC3339), MaxSkew)
	}
	return nil
}

// raises reports whether power may rise because e is believed.
func raises(e *events.Event) bool {
	switch p := e.Data.(type) {
	case *events.MeterReading, *events.WorkerStatus, *events.SiteConfig, *events.MarketQuote, *events.DeciderActivated:
		return true
	case *events.AIJob:
		return p.State == events.JobPaused || p.State == events.JobEnded
	case *events.GridSignal:
		switch p.Kind {
		case events.SignalEmergency, events.SignalStop:
			return false
		case events.SignalRestore, events.SignalPrice:
			return true
		}
		return p.Supersedes != "" // it may be softer than what it replaces
	}
	return false
}
