// SPDX-License-Identifier: Apache-2.0

package market_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/sources/market"
)

func TestRunQuotesAtOnceAndAgain(t *testing.T) {
	b, err := bus.Open(t.Context(), bus.Config{DataDir: t.TempDir(), Durability: bus.ProcessCrash})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	q := events.MarketQuote{NBits: "17034219", Height: 870_000, SubsidySats: 312_500_000, FeesSats: 5_000_000, BTCPriceMicrousd: 90_000_000_000}
	start := time.Now()
	done := make(chan error, 1)
	go func() {
		done <- market.Run(ctx, b, "demo", "desk", q, time.Second, slog.New(slog.DiscardHandler))
	}()
	n := 0
	for ev, err := range events.Read[events.MarketQuote](ctx, b, events.Follow()) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Data.BTCPriceMicrousd != q.BTCPriceMicrousd || ev.Data.QuotedAt.Before(start) {
			t.Errorf("quote %+v: want the figures given, dated now", ev.Data)
		}
		if n++; n == 2 {
			break
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Run returned %v, want the context's error", err)
	}
}

func TestRunRefusesNonsense(t *testing.T) {
	good := events.MarketQuote{NBits: "17034219", Height: 1, SubsidySats: 1}
	if err := market.Run(t.Context(), nil, "demo", "desk", good, time.Millisecond, nil); err == nil {
		t.Error("a period of a millisecond was accepted")
	}
	if err := market.Run(t.Context(), nil, "demo", "desk", events.MarketQuote{NBits: "zz"}, time.Second, nil); err == nil {
		t.Error("a quote without a target was accepted")
	}
}
