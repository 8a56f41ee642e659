// SPDX-License-Identifier: Apache-2.0

package energy

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestOf(t *testing.T) {
	for _, c := range []struct {
		watts, nanos int64
		want         Amount
	}{
		{0, 1e9, Amount{}},
		{3600, 1e9, Amount{1000, 0}},
		{438_000, 1e9, Amount{121_666, 2_400_000_000}},
		{-1, 1, Amount{-1, 3_599_999_999}},
		{1_000_000_000, 86_400_000_000_000, Amount{24_000_000_000_000, 0}},
		{-1_000_000_000, 86_400_000_000_001, Amount{-24_000_000_000_001, 2_600_000_000}},
	} {
		if got := Of(c.watts, c.nanos); got != c.want {
			t.Errorf("Of(%d W, %d ns) = %+v, want %+v", c.watts, c.nanos, got, c.want)
		}
	}
}

func TestArithmeticAgreesWithBig(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		w1, n1 := r.Int64N(1<<37)-1<<36, r.Int64N(1<<46)
		w2, n2 := r.Int64N(1<<20)-1<<19, r.Int64N(1<<32)
		a, b := Of(w1, n1), Of(w2, n2)
		x := new(big.Int).Mul(big.NewInt(w1), big.NewInt(n1))
		y := new(big.Int).Mul(big.NewInt(w2), big.NewInt(n2))
		if a.WattNanos().Cmp(x) != 0 || FromWattNanos(x) != a {
			t.Fatalf("Of(%d, %d) = %v, want %v W·ns", w1, n1, a.WattNanos(), x)
		}
		if got, want := a.Add(b).WattNanos(), new(big.Int).Add(x, y); got.Cmp(want) != 0 {
			t.Fatalf("%v + %v = %v", x, y, got)
		}
		if got, want := a.Sub(b).WattNanos(), new(big.Int).Sub(x, y); got.Cmp(want) != 0 {
			t.Fatalf("%v − %v = %v", x, y, got)
		}
		if a.Cmp(b) != x.Cmp(y) || a.Sign() != x.Sign() || a.Neg().WattNanos().Cmp(new(big.Int).Neg(x)) != 0 {
			t.Fatalf("comparison of %v and %v", x, y)
		}
		if Max(a, b).Cmp(Min(a, b)) < 0 {
			t.Fatalf("Max(%v, %v) below Min", x, y)
		}
		if y.Sign() != 0 {
			rat := new(big.Rat).SetFrac(new(big.Int).Mul(x, x), y)
			floor := new(big.Int).Div(rat.Num(), rat.Denom()) // Denom > 0: Euclid is floor
			if fl := floorDiv(new(big.Int).Mul(x, x), y); fl.Cmp(floor) != 0 {
				t.Fatalf("floorDiv = %v, want %v", fl, floor)
			}
		}
	}
}

func TestShares(t *testing.T) {
	a := Milliwatthours(10)
	third := a.ShareOf(1, 3)
	if want := (Amount{3, 1_200_000_000}); third != want {
		t.Errorf("a third of 10 mWh = %+v, want %+v", third, want)
	}
	if got := a.Share(Milliwatthours(2), Milliwatthours(8)); got != (Amount{2, 1_800_000_000}) {
		t.Errorf("2/8 of 10 mWh = %+v", got)
	}
}

func BenchmarkOf(b *testing.B) {
	var a Amount
	for i := range b.N {
		a = a.Add(Of(438_000+int64(i&1023), 1_000_000_000))
	}
	_ = a
}
