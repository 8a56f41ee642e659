// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Name is the decider's name: the third token of its message ids.
const Name = "settlement"

// version changes whenever the same journal may give other outputs.
const version = "3"

// Config is what a settlement decider is built with outside the journal.
type Config struct {
	// CorrectableIntervals is how many closed intervals can still be
	// corrected, 1…10000; 0 means 48.
	CorrectableIntervals int
}

// Decider books energy and money of one site. See the package documentation.
type Decider struct {
	identity decider.Identity
	state
	index
	out *decider.Outbox
}

var _ decider.Decider = (*Decider)(nil)

// New returns a decider that has folded nothing.
func New(cfg Config) (*Decider, error) {
	if cfg.CorrectableIntervals == 0 {
		cfg.CorrectableIntervals = 48
	}
	if cfg.CorrectableIntervals < 1 || cfg.CorrectableIntervals > 10_000 {
		return nil, fmt.Errorf("settlement: %d correctable intervals: want 1 to 10000", cfg.CorrectableIntervals)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "correctable-intervals %d\n", cfg.CorrectableIntervals))
	d := &Decider{identity: decider.Identity{
		Name:       Name,
		Version:    version,
		ConfigHash: hex.EncodeToString(sum[:8]),
	}}
	d.Correctable = cfg.CorrectableIntervals
	d.Chain = chainSeed
	d.rebuild()
	return d, nil
}

// Identity of the decider.
func (d *Decider) Identity() decider.Identity { return d.identity }

// Fold takes the next event of the journal.
func (d *Decider) Fold(e *events.Event, out *decider.Outbox) {
	d.out = out
	d.Site = e.Site
	t := e.Arrived.UnixNano()
	d.begin(e, t)
	if d.configured() {
		d.advance(t)
	} else if t > d.Now {
		d.Now = t
	}
	switch p := e.Data.(type) {
	case *events.MeterReading:
		d.reading(e.Source, p)
	case *events.WorkerStatus:
		d.status(e.Source, p)
	case *events.ClockTick:
		d.tick()
	case *events.ShareAccepted:
		d.accepted(e, p)
	case *events.ShareRejected:
		d.refused(e, p.ShareID, p.Basis, true)
	case *events.ShareUnknown:
		if iv, basis := d.refused(e, p.ShareID, p.Basis, false); iv != nil {
			d.unjudged(e, p, basis, iv)
		}
	case *events.BlockFound:
		d.found((*events.Block)(p))
	case *events.BlockMatured:
		d.matured(e, (*events.Block)(p))
	case *events.BlockOrphaned:
		d.orphaned(e, (*events.Block)(p))
	case *events.PoolStatement:
		d.stated(p)
	case *events.JournalOpened:
		if p.Epoch == 1 {
			d.Since = 0 // nothing was before
		}
	case *events.MarketQuote:
		d.quote(p)
	case *events.GridSignal:
		d.signal(e, p)
	case *events.SiteConfig:
		d.configure(p)
	}
	d.settleUse()
	d.out = nil
}

// begin notes from when on the journal is known: one that has been trimmed
// says nothing of what a pool may state for the time before.
func (d *Decider) begin(e *events.Event, t int64) {
	if d.Begun {
		return
	}
	d.Begun = true
	if e.Sequence > 1 {
		d.Since = t
	}
	d.mix(uint64(d.Since))
}

// quote remembers what a bitcoin is worth; one of the network alone does not
// say.
func (d *Decider) quote(q *events.MarketQuote) {
	if q.NetworkOnly || q.BTCPriceMicrousd < 0 || q.BTCPriceMicrousd > events.MaxInteger {
		return
	}
	if q.Practice {
		d.QuotePractice = q.BTCPriceMicrousd
	} else {
		d.QuoteLive = q.BTCPriceMicrousd
	}
	d.mix(uint64(q.BTCPriceMicrousd)<<1 | flag(q.Practice))
}

// btcPrice for shares of a basis, micro-dollars, 0 when none is known. Coins of
// a practice chain are no money: only a practice quote can price them.
func (d *Decider) btcPrice(b int) int64 {
	if b == basisPractice {
		return d.QuotePractice
	}
	return d.QuoteLive
}
