// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
)

func soloBlock(n int, sats int64) events.Block {
	return events.Block{
		BlockHash: fmt.Sprintf("%064x", n), Height: 900_000, Pool: "node", JobID: "j", Agent: "rig", Unit: "rig",
		RewardSats: sats, Scheme: events.SchemeSolo, Basis: events.BasisLive, SeenAt: midnight,
	}
}

func TestBlocksAreBookedWhenTheyMature(t *testing.T) {
	const reward = 317_500_000
	type step struct {
		kind  string
		block int
		gw    string
	}
	for _, c := range []struct {
		name   string
		steps  []step
		booked int64 // blocks that stand in the end
		events int   // accruals
	}{
		{"found is worth nothing", []step{{"found", 1, "gw-1"}}, 0, 0},
		{"orphaned without a booking", []step{{"found", 1, "gw-1"}, {"orphaned", 1, "gw-1"}}, 0, 0},
		{"matured", []step{{"found", 1, "gw-1"}, {"matured", 1, "gw-1"}}, 1, 1},
		{"matured unheard of", []step{{"matured", 1, "gw-1"}}, 1, 1},
		{"told by every gateway", []step{{"matured", 1, "gw-1"}, {"matured", 1, "gw-2"}, {"matured", 1, "gw-1"}}, 1, 1},
		{"orphaned", []step{{"matured", 1, "gw-1"}, {"orphaned", 1, "gw-1"}, {"orphaned", 1, "gw-2"}}, 0, 2},
		{"the chain turns back", []step{{"matured", 1, "gw-1"}, {"orphaned", 1, "gw-1"}, {"matured", 1, "gw-1"}, {"matured", 1, "gw-2"}}, 1, 3},
		{"two at one height", []step{{"matured", 1, "gw-1"}, {"orphaned", 2, "gw-1"}, {"matured", 3, "gw-1"}}, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := newJournal(t)
			j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
			j.fold("market", &events.MarketQuote{BTCPriceMicrousd: 86_000_000_000})
			var l ledger.Ledger
			j.onOutput = l.Add
			solo := livePayout()
			solo.Pool, solo.Scheme = "node", events.SchemeSolo
			j.share(j.now, solo, "1048576")
			at := map[int]step{}
			for i, s := range c.steps {
				at[600+1200*i] = s // some of them in the next intervals
			}
			j.run(midnight.Add(3*hour), func() {
				s, ok := at[int(j.now.Sub(midnight).Seconds())]
				if !ok {
					return
				}
				b := soloBlock(s.block, reward)
				switch s.kind {
				case "found":
					j.fold(s.gw, (*events.BlockFound)(&b))
				case "matured":
					j.fold(s.gw, (*events.BlockMatured)(&b))
				case "orphaned":
					j.fold(s.gw, (*events.BlockOrphaned)(&b))
				}
			})
			want := c.booked * reward * 1000
			if got := millisats(&l); got != want {
				t.Errorf("booked %d msat, want %d", got, want)
			}
			if len(j.accrued) != c.events+1 { // the share's own, worth 0
				t.Errorf("%d accruals, want %d", len(j.accrued), c.events+1)
			}
			var settled int64
			for _, b := range l.Totals().Money.Bases {
				settled += b.RevenueMillisats
			}
			if settled != want {
				t.Errorf("settled %d msat, want %d", settled, want)
			}
			for _, a := range j.accrued[1:] {
				if a.Payout.NBits != "17034219" || a.BlockHash == "" || a.Until.Sub(a.From) != 1 || a.ValueMillisats < 0 != (a.Reverses != "") {
					t.Errorf("accrual %+v", a)
				}
			}
		})
	}
}

// A block's accrual names the target of its own header, although the difficulty
// has changed since.
func TestBlocksAreBookedAtTheirOwnTarget(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	solo := livePayout()
	solo.Pool, solo.Scheme, solo.NBits = "node", events.SchemeSolo, "1702068f"
	j.share(j.now, solo, "1048576")
	j.run(midnight.Add(20*time.Minute), func() {}) // the share is booked
	b, old := soloBlock(1, 317_500_000), soloBlock(2, 317_500_000)
	b.NBits = "17034219"
	j.fold("gw-1", (*events.BlockFound)(&b))
	j.fold("gw-1", (*events.BlockMatured)(&b))
	j.fold("gw-1", (*events.BlockMatured)(&old)) // of a gateway that does not say
	var got []string
	for _, a := range j.accrued {
		if a.BlockHash != "" {
			got = append(got, a.Payout.NBits)
		}
	}
	if len(got) != 2 || got[0] != "17034219" || got[1] != "1702068f" {
		t.Errorf("booked at %v", got)
	}
}

// Only solo pays by the block, whatever a gateway says of others.
func TestBlocksOfPoolsBookNothing(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	for i, s := range []events.Scheme{events.SchemeFPPS, events.SchemePPS, events.SchemePPLNS} {
		b := soloBlock(i, 1)
		b.Scheme = s
		j.fold("gw-1", (*events.BlockFound)(&b))
		j.fold("gw-1", (*events.BlockMatured)(&b))
		j.fold("gw-1", (*events.BlockOrphaned)(&b))
	}
	if len(j.accrued) != 0 || len(j.d.Blocks) != 0 {
		t.Errorf("accrued %+v", j.accrued)
	}
}

// More blocks of a test chain than an event of an interval can carry are
// booked in the next ones, all of them.
func TestManyBlocks(t *testing.T) {
	j := newJournal(t)
	c := siteConfig(meterOf("ai", events.MeasuresAI))
	c.Tariff.IntervalSeconds = 300
	j.fold("operator", c)
	var l ledger.Ledger
	j.onOutput = l.Add
	const blocks = 4000
	for i := range blocks {
		b := soloBlock(i, 5_000_000_000)
		j.fold("gw-1", (*events.BlockMatured)(&b))
	}
	if n := int64(events.MaxInteger / 5_000_000_000_000); millisats(&l) != n*5_000_000_000_000 {
		t.Errorf("booked %d msat at once", millisats(&l))
	}
	for i := range 10 {
		b := soloBlock(i, 5_000_000_000)
		j.fold("gw-1", (*events.BlockOrphaned)(&b))
	}
	j.run(midnight.Add(16*time.Minute), nil)
	if want := int64((blocks - 10) * 5_000_000_000_000); millisats(&l) != want {
		t.Errorf("booked %d msat, want %d", millisats(&l), want)
	}
	for i := range 3 * maxBlocks {
		b := soloBlock(blocks+i, 1)
		j.fold("gw-1", (*events.BlockMatured)(&b))
	}
	if len(j.d.Blocks) > maxBlocks {
		t.Errorf("%d blocks remembered", len(j.d.Blocks))
	}
}

// A block before the first configuration waits for it.
func TestABlockBeforeTheFirstConfiguration(t *testing.T) {
	j := newJournal(t)
	var l ledger.Ledger
	j.onOutput = l.Add
	b := soloBlock(1, 7)
	j.fold("gw-1", (*events.BlockMatured)(&b))
	j.at(midnight.Add(time.Minute)).fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.run(midnight.Add(3*time.Minute), nil)
	if millisats(&l) != 7000 {
		t.Errorf("booked %d msat", millisats(&l))
	}
}
