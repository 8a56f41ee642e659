// SPDX-License-Identifier: Apache-2.0

package siteview

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestBalanceIsExact(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var a account
		for range 500 {
			a.step(time.Duration(rnd.Int64N(int64(5*time.Second))), rnd.Int64N(2_000_000_000), rnd.Int64N(1_500_000_000), rnd.Int64N(100_000_000), rnd.Int64N(1_500_000_000), rnd.Int64N(2_000_000_000))
		}
		b := a.balance()
		if b.Contracted+b.Overdrawn != b.AI+b.House+b.Mining+b.Unused {
			t.Fatalf("does not balance: %+v", b)
		}
		if b.Overdrawn < 0 || b.Unused < 0 || b.AI < 0 || b.House < 0 || b.Mining < 0 {
			t.Fatalf("a negative term: %+v", b)
		}
		if b.Modelled <= 0 || b.Modelled > b.Mining {
			t.Fatalf("modelled is no part of mining: %+v", b)
		}
	}
}

func TestWattNanos(t *testing.T) {
	var e WattNanos
	for range 3600 {
		e.add(1_000_000_000, time.Second) // a gigawatt for an hour
	}
	if got := e.MilliwattHours(); got != 1_000_000_000_000 {
		t.Errorf("a gigawatt hour is %d mWh", got)
	}
	var half WattNanos
	half.add(500_000_000, time.Hour)
	if got := half.PermilleOf(e); got != 500 {
		t.Errorf("half is %d permille", got)
	}
	if got := e.PermilleOf(WattNanos{}); got != 0 {
		t.Errorf("a share of nothing is %d", got)
	}
}

func TestPercentiles(t *testing.T) {
	var l Latencies
	if l.Percentile(99) != 0 {
		t.Error("a percentile of nothing is not 0")
	}
	for i := 1; i <= 100; i++ {
		l.add(time.Duration(i))
	}
	for p, want := range map[int]time.Duration{1: 1, 50: 50, 99: 99, 100: 100} {
		if got := l.Percentile(p); got != want {
			t.Errorf("p%d is %d, want %d", p, got, want)
		}
	}
	for i := range 10 * maxLatencies {
		l.add(time.Duration(i))
	}
	if l.Count() >= maxLatencies {
		t.Errorf("%d values kept: the memory is not bounded", l.Count())
	}
	if m := l.Percentile(50); m < 4*maxLatencies || m > 6*maxLatencies {
		t.Errorf("median of a long ramp is %d, want about the middle", m)
	}
}
