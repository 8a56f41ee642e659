// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/rand/v2"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// TestRevenue compares with the published satoshi per kilowatt-hour at nBits
// 17034219 and a reward of 317,500,000 sat, at 60,000 $ per bitcoin: one sat is
// 600 µ$, so a megawatt-hour is worth 600,000 times the figure.
func TestRevenue(t *testing.T) {
	q := events.MarketQuote{NBits: "17034219", SubsidySats: 312_500_000, FeesSats: 5_000_000, BTCPriceMicrousd: 60_000_000_000}
	for _, tt := range []struct{ mjth, low int64 }{
		{15_000, 205_367_753 * 6 / 10},
		{17_000, 181_206_841 * 6 / 10},
		{20_000, 154_025_815 * 6 / 10},
		{30_000, 102_683_877 * 6 / 10},
	} {
		scaled, ok := scaledRevenue(&q, 0)
		got := (&quote{Known: ok, Scaled: scaled}).revenue(tt.mjth)
		if got < tt.low || got > tt.low+1 {
			t.Errorf("%d mJ/TH earns %d µ$/MWh, want %d", tt.mjth, got, tt.low)
		}
	}
	whole, _ := scaledRevenue(&q, 0)
	less, _ := scaledRevenue(&q, 20_000)
	if d := whole*98/100 - less; d < -1 || d > 1 {
		t.Errorf("a fee of 2 %% leaves %d of %d", less, whole)
	}
	for _, nbits := range []string{"", "zz", "17834219", "00000000", "ff7fffff"} {
		bad := q
		bad.NBits = nbits
		if _, ok := scaledRevenue(&bad, 0); ok {
			t.Errorf("nBits %q is believed", nbits)
		}
	}
	practice := q
	practice.NBits = "207fffff"
	if s, ok := scaledRevenue(&practice, 0); !ok || s != never {
		t.Errorf("a practice chain gives %d %v", s, ok)
	}
}

// A snapshot taken while the price, or the age of the template, still matters
// goes on as the original does.
func TestQuoteSurvivesSnapshots(t *testing.T) {
	price := func(btc int64) *events.MarketQuote {
		return &events.MarketQuote{NBits: "1701a10c", SubsidySats: 312_500_000, BTCPriceMicrousd: btc}
	}
	template := &events.MarketQuote{NBits: "17034219", Height: 7, SubsidySats: 312_500_000, FeesSats: 5_000_000, NetworkOnly: true}
	d := New(Config{})
	for i, step := range []struct {
		after int64
		q     *events.MarketQuote
		known bool
		nbits string
		btc   int64
	}{
		{second, template, false, "17034219", 0},
		{second, price(60_000_000_000), true, "17034219", 60_000_000_000},
		{networkLife - second - 1, price(50_000_000_000), true, "17034219", 50_000_000_000},
		{second, template, true, "17034219", 50_000_000_000},
		{networkLife, price(40_000_000_000), true, "1701a10c", 40_000_000_000},
		{second, template, true, "17034219", 40_000_000_000},
		{second, price(0), true, "17034219", 0},
	} {
		r := restored(t, d)
		d.now += step.after
		r.now = d.now
		if !d.onQuote(step.q) || !r.onQuote(step.q) {
			t.Fatalf("step %d: not folded", i)
		}
		if d.quote != r.quote || d.misc != r.misc {
			t.Errorf("step %d: %+v, restored %+v", i, d.quote, r.quote)
		}
		want := int64(0)
		if d.quote.Known {
			want, _ = scaledRevenue(&d.quote.Raw, d.site.poolFee)
		}
		if q := d.quote; q.Known != step.known || q.Raw.NBits != step.nbits || q.Raw.BTCPriceMicrousd != step.btc || q.Scaled != want {
			t.Errorf("step %d: %+v", i, q)
		}
	}
	was := d.quote
	practice := *template
	practice.Practice = true
	if d.onQuote(&practice) || d.quote != was {
		t.Error("a practice chain is believed")
	}
}

// TestEnvelope compares the queue with the plain maximum of everything pushed.
func TestEnvelope(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const window = 600 * second
	e := envelope{Started: -1}
	type value struct{ at, w int64 }
	var all []value
	now := int64(0)
	for n := range 20_000 {
		now += rng.Int64N(3 * second)
		w := rng.Int64N(1_000)
		if n%500 < 20 {
			w += 5_000
		}
		all = append(all, value{now, w})
		e.push(now, window, w)
		got := e.peak(now)
		exact, loose := int64(0), int64(0)
		for i := len(all) - 1; i >= 0 && now-all[i].at <= window+window/envelopeBuckets; i-- {
			loose = max(loose, all[i].w)
			if now-all[i].at < window {
				exact = max(exact, all[i].w)
			}
		}
		if got < exact || got > loose {
			t.Fatalf("at %d the peak is %d, want %d to %d", now, got, exact, loose)
		}
		if len(e.Peaks) > envelopeBuckets+2 {
			t.Fatalf("%d candidates", len(e.Peaks))
		}
	}
	sum := e.sum
	if e.rehash(); e.sum != sum {
		t.Error("the digest of the envelope is off")
	}
}

// TestRefill checks that no fraction of a watt is lost or made.
func TestRefill(t *testing.T) {
	d := New(Config{})
	d.root.rampRate, d.root.rampBurst = 7, 1_000_000
	for range 3_000_000 {
		d.now += 333
		d.refill(d.root)
	}
	if want := int64(3_000_000) * 333 * 7 / second; d.root.bucket.tokens != want {
		t.Errorf("%d W, want %d", d.root.bucket.tokens, want)
	}
	d.now += 1 << 60
	if d.refill(d.root); d.root.bucket.tokens != 1_000_000 || d.root.bucket.carry != 0 {
		t.Errorf("a full bucket holds %d W and %d", d.root.bucket.tokens, d.root.bucket.carry)
	}
}
