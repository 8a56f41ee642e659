// SPDX-License-Identifier: Apache-2.0

package quotes_test

import (
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/quotes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func desk(after time.Duration, fees int64) *events.MarketQuote {
	return &events.MarketQuote{NBits: "17034219", SubsidySats: 100, FeesSats: fees, BTCPriceMicrousd: 1, QuotedAt: noon.Add(after)}
}

func template(after time.Duration, fees int64) *events.MarketQuote {
	q := desk(after, fees)
	q.BTCPriceMicrousd, q.NetworkOnly = 0, true
	return q
}

func TestTheTemplateGoesFirst(t *testing.T) {
	const life = events.NetworkQuoteLife
	for _, c := range []struct {
		name string
		all  []*events.MarketQuote
		fees int64
	}{
		{"a desk alone", []*events.MarketQuote{desk(0, 1), desk(time.Second, 2)}, 2},
		{"a template alone", []*events.MarketQuote{template(0, 1), template(time.Second, 2)}, 2},
		{"a newer desk", []*events.MarketQuote{template(0, 1), desk(time.Hour, 2)}, 1},
		{"an older desk", []*events.MarketQuote{template(0, 1), desk(-24*time.Hour, 2)}, 1},
		{"a template that is nearly too old", []*events.MarketQuote{template(0, 1), desk(life-1, 2)}, 1},
		{"a template that is too old", []*events.MarketQuote{template(0, 1), desk(life, 2)}, 2},
		{"a template that comes again", []*events.MarketQuote{template(0, 1), desk(life, 2), template(life+time.Minute, 3)}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			// In whatever order they are heard.
			for range 2 {
				var b quotes.Book
				for _, q := range c.all {
					b.Take(q)
				}
				if got := b.Network(false); got == nil || got.FeesSats != c.fees {
					t.Errorf("%+v, want fees of %d", got, c.fees)
				}
				if b.Network(true) != nil {
					t.Error("a practice chain is known")
				}
				slices.Reverse(c.all)
			}
		})
	}
}

func TestWorldsAreApart(t *testing.T) {
	var b quotes.Book
	if b.Network(false) != nil || b.Network(true) != nil {
		t.Error("something is known of nothing")
	}
	q := template(0, 7)
	q.Practice = true
	b.Take(q)
	q.FeesSats = 8 // the book keeps its own
	b.Take(desk(0, 1))
	if p, l := b.Network(true), b.Network(false); p.FeesSats != 7 || l.FeesSats != 1 {
		t.Errorf("practice %+v, live %+v", p, l)
	}
}
