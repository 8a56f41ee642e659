// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/gateway"
	solo "github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/nodetest"
	"github.com/ballast-energy/ballast/workers/node/rpc"
)

// quotesOf the site, in the order of the stream.
func quotesOf(t *testing.T, b events.Log) []events.MarketQuote {
	t.Helper()
	var all []events.MarketQuote
	for e, err := range events.Read[events.MarketQuote](t.Context(), b, events.AtSite(site)) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Data)
	}
	return all
}

// Two gateways on a node tell the site what the node's templates say of the
// network, once a block: target, height, subsidy and fees, and no price.
func TestTheNetworkIsQuotedFromTheNodesTemplates(t *testing.T) {
	real := nodetest.Start(t)
	b := openBus(t)
	on := func(id string) *gateway.Gateway {
		n, err := solo.New(solo.Config{ID: "node-a", Nodes: []rpc.Endpoint{real.Endpoint()}, Network: nodetest.Network, Address: everybody(t)})
		if err != nil {
			t.Fatal(err)
		}
		return newGateway(t, b, id, n)
	}
	heights := func(want ...int64) {
		t.Helper()
		eventually(t, "quotes", func() bool {
			var got []int64
			for _, q := range quotesOf(t, b) {
				got = append(got, q.Height)
			}
			return slices.Equal(got, want)
		})
	}
	r := newRig(t, b, "rig-1")
	mine := func(height int64) string {
		t.Helper()
		publish(t, b, r.status(true))
		w := r.await("work", func(w *events.WorkAssigned) bool { return w.Height == height })
		s := solve(t, w, "rig-1", w.ShareDifficulty, 0, 1)[0]
		r.found(s)
		return s.ShareID
	}
	// Each quote is waited for: one that a newer overtakes is left out.
	stop := run(t, on("gw-a").Run)
	heights(1)
	coins := mine(1)
	heights(1, 2)
	stop()
	real.Generate(299) // the coins mature, and witnesses are allowed
	spend(t, real, coins)
	run(t, on("gw-a").Run)
	run(t, on("gw-b").Run)
	heights(1, 2, 301)
	all := []int64{1, 2, 301}
	for h := int64(301); h < 305; h++ {
		mine(h)
		all = append(all, h+1)
		heights(all...)
	}
	for _, q := range quotesOf(t, b) {
		want := events.MarketQuote{NBits: "207fffff", Height: q.Height, SubsidySats: 50_0000_0000, QuotedAt: q.QuotedAt, Practice: true, NetworkOnly: true}
		if q.Height == 301 {
			want.FeesSats = 10_000
		}
		if q != want || time.Since(q.QuotedAt) > time.Hour {
			t.Errorf("%+v, want %+v", q, want)
		}
	}
	// Its blocks name their target, and so do the bookings by them.
	for e, err := range events.Read[events.BlockFound](t.Context(), b, events.AtSite(site)) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Data.NBits != "207fffff" {
			t.Errorf("%+v", e.Data)
		}
	}
}

// A gateway whose pool does not say what a block pays takes it from the
// templates of another one's node, before a desk's quotes; it tells nothing of
// the network itself.
func TestAPoolsWorkIsValuedByATemplate(t *testing.T) {
	b := openBus(t)
	now := time.Now().UTC()
	publish(t, b,
		events.New(site, "gw-node", &events.MarketQuote{NBits: "17034219", Height: 900_001, SubsidySats: 300, FeesSats: 20, QuotedAt: now, NetworkOnly: true}),
		events.New(site, "market", &events.MarketQuote{NBits: "17034219", Height: 870_000, SubsidySats: 700, BTCPriceMicrousd: 1, QuotedAt: now.Add(time.Minute)}))
	p := newPool("0.000001")
	p.reward = 0
	run(t, newGateway(t, b, "gw-a", p).Run)
	r := newRig(t, b, "rig-1")
	if w := r.any(); w.Payout.RewardSats != 320 {
		t.Errorf("%+v", w.Payout)
	}
	// Fees of the next block, heard as they come.
	publish(t, b, events.New(site, "gw-node", &events.MarketQuote{NBits: "17034219", Height: 900_002, SubsidySats: 300, FeesSats: 50, QuotedAt: now.Add(2 * time.Minute), NetworkOnly: true}))
	// A job goes before everything else: it may be handed out before the quote is
	// heard, and is then worth what was known. The next one is not.
	for reward, deadline := int64(0), time.Now().Add(patience); reward != 350; {
		if time.Now().After(deadline) {
			t.Fatalf("work is worth %d sats, not 350", reward)
		}
		j := p.job(true)
		reward = r.await("work of the next job", func(w *events.WorkAssigned) bool { return w.Height == j.Height }).Payout.RewardSats
	}
	if n := len(quotesOf(t, b)); n != 3 {
		t.Errorf("%d quotes, want the 3 of others", n)
	}
}

// withoutQuotes is a bus that takes no quotes as long as it is away.
type withoutQuotes struct {
	*bus.Bus
	away  atomic.Bool
	tried chan int64 // heights
}

func (b *withoutQuotes) Publish(ctx context.Context, evs ...*events.Event) error {
	for _, e := range evs {
		q, ok := e.Data.(*events.MarketQuote)
		if !ok || !b.away.Load() {
			continue
		}
		select {
		case b.tried <- q.Height:
		default:
		}
		return errors.New("no responders")
	}
	return b.Bus.Publish(ctx, evs...)
}

// A bus that is away loses no quote but those that a newer one has overtaken,
// and nothing else waits for it.
func TestAQuoteWaitsForTheBus(t *testing.T) {
	b := &withoutQuotes{Bus: openBus(t), tried: make(chan int64, 100)}
	b.away.Store(true)
	p := newPool("0.000001")
	run(t, newGateway(t, b, "gw-a", p).Run)
	tried := func(height int64) {
		t.Helper()
		for deadline := time.After(patience); ; {
			select {
			case h := <-b.tried:
				if h == height {
					return
				}
			case <-deadline:
				t.Fatalf("the quote of height %d was never tried", height)
			}
		}
	}
	tried(900_001)
	newest := p.job(true)
	newRig(t, b.Bus, "rig-1").any()
	tried(newest.Height)
	b.away.Store(false)
	eventually(t, "the quote", func() bool { return len(quotesOf(t, b)) > 0 })
	if all := quotesOf(t, b); len(all) != 1 || all[0].Height != newest.Height || all[0].SubsidySats != newest.Terms.RewardSats || all[0].Practice {
		t.Errorf("%+v, want one at height %d", all, newest.Height)
	}
}
