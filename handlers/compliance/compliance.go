// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Name is the decider's name: the third token of its message ids.
const Name = "compliance"

// Version changes whenever the same journal may give other outputs.
const Version = "1"

// Config is what a compliance decider is built with outside the journal.
type Config struct {
	// After is how long after its end an event is looked at before the last
	// word on it: for the return of the load, and for counters to prove what
	// was estimated. 1 min to 24 h; 0 means 15 min.
	After time.Duration
}

// Decider measures grid events of one site. See the package documentation.
type Decider struct {
	identity decider.Identity
	after    int64 // ns
	state
	index
	out *decider.Outbox
}

var (
	_ decider.Decider  = (*Decider)(nil)
	_ decider.Reverser = (*Decider)(nil)
)

// New returns a decider that has folded nothing.
func New(cfg Config) (*Decider, error) {
	if cfg.After == 0 {
		cfg.After = 15 * time.Minute
	}
	if cfg.After < time.Minute || cfg.After > 24*time.Hour {
		return nil, fmt.Errorf("compliance: %s after an event: want 1m to 24h", cfg.After)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "after %d\n", cfg.After))
	d := &Decider{identity: decider.Identity{Name: Name, Version: Version, ConfigHash: hex.EncodeToString(sum[:8])}, after: int64(cfg.After)}
	d.Chain = chainSeed
	d.rebuild()
	return d, nil
}

// Identity of the decider.
func (d *Decider) Identity() decider.Identity { return d.identity }

// Fold takes the next event of the journal.
func (d *Decider) Fold(e *events.Event, out *decider.Outbox) {
	d.out, d.Site = out, e.Site
	d.advance(e.Arrived.UnixNano())
	d.mix(uint64(d.Now))
	switch p := e.Data.(type) {
	case *events.MeterReading:
		d.reading(e.Source, p)
	case *events.WorkerStatus:
		d.status(e.Source, p)
	case *events.ClockTick:
		d.tick()
	case *events.GridSignal:
		d.signal(e, p)
	case *events.SiteConfig:
		d.configure(p)
	}
	d.out = nil
}

// Reverse takes back what was booked for an event of which the journal has
// lost the cause.
func (d *Decider) Reverse(booked *events.Event) (events.Payload, bool) {
	p, ok := booked.Data.(*events.ProgrammePerformed)
	if !ok {
		return nil, false
	}
	return &events.ProgrammePerformed{
		SignalID: p.SignalID, SignalSource: p.SignalSource, Programme: p.Programme, Product: p.Product, Market: p.Market,
		Kind: p.Kind, Reason: p.Reason, Test: p.Test, Obeyed: p.Obeyed, Node: p.Node, Measures: p.Measures, Part: p.Part, Final: p.Final,
		Outcome: events.PerformanceVoid, Ending: p.Ending, EndedBy: p.EndedBy,
		IssuedAt: p.IssuedAt, ArrivedAt: p.ArrivedAt, BeganAt: p.BeganAt, WindowStart: p.WindowStart, WindowEnd: p.WindowEnd,
		DeadlineAt: p.DeadlineAt, LimitWatts: p.LimitWatts, IntervalSeconds: p.IntervalSeconds, UTCOffsetSeconds: p.UTCOffsetSeconds,
		Version: p.Version, ConfigHash: p.ConfigHash, SiteHash: p.SiteHash, SignalSequence: p.SignalSequence,
		Reverses: booked.ID, Key: p.Key,
	}, true
}
