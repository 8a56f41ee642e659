// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"bytes"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
)

func TestPreview(t *testing.T) {
	j := newJournal(t)
	if list, err := j.d.Preview(); err != nil || list != nil {
		t.Fatalf("preview of nothing: %v, %v", list, err)
	}
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI), meterOf("mine", events.MeasuresMining)))
	var l ledger.Ledger
	j.onOutput = l.Add
	j.run(midnight.Add(90*time.Minute), func() {
		j.read("ai", 400_000)
		j.read("mine", 300_000)
		if j.now.Equal(midnight.Add(50*time.Minute)) || j.now.Equal(midnight.Add(90*time.Minute)) {
			j.share(j.now, livePayout(), "1048576")
		}
	})
	before, _ := j.d.Snapshot()
	list, err := j.d.Preview()
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range list {
		l.Add(events.New("tx1", "site", p).WithID(string(rune('a' + i))))
	}
	after, _ := j.d.Snapshot()
	if !bytes.Equal(before, after) {
		t.Error("a preview changed the decider")
	}
	got := l.Totals()
	want := ledger.Energy{
		Contracted: 1_500_000_000, AI: 600_000_000, Mining: 450_000_000, Unused: 450_000_000,
		Intervals: 2, From: midnight, Until: midnight.Add(90 * time.Minute),
	}
	if got.Energy != want {
		t.Errorf("energy %+v, want %+v", got.Energy, want)
	}
	if n := got.Accrued[events.BasisLive]; n.Shares != 2 || n.Millisats != 3776+3777 {
		t.Errorf("accrued %+v", n)
	}
	if len(got.Money.Bases) != 1 || got.Money.Bases[0].RevenueMillisats != 3776+3777 || got.Money.EnergyCost != 22_500_000 {
		t.Errorf("money %+v", got.Money)
	}
}

func TestPreviewAtABoundary(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	if list, err := j.d.Preview(); err != nil || len(list) != 0 {
		t.Errorf("preview of an instant: %v, %v", list, err)
	}
}

func TestTooManyPrices(t *testing.T) {
	j := newJournal(t)
	c := siteConfig(meterOf("ai", events.MeasuresAI))
	c.Tariff.Indexed = true
	j.fold("operator", c)
	for i := range maxPrices + 10 {
		j.fold("iso", priceSignal(string(rune('a'+i)), int64(i), midnight.Add(time.Duration(i)*time.Second), 0))
	}
	if n := len(j.d.Prices); n != maxPrices {
		t.Errorf("%d prices held", n)
	}
	j.at(midnight.Add(hour)).tick()
	if j.d.PriceNow != maxPrices+9 {
		t.Errorf("price in force %d, want the latest", j.d.PriceNow)
	}
}
