// SPDX-License-Identifier: Apache-2.0

package work

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func mustTarget(t testing.TB, nbits string) *big.Int {
	t.Helper()
	b, err := ParseBits(nbits)
	if err != nil {
		t.Fatal(err)
	}
	target, err := Target(b)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func mustDifficulty(t testing.TB, s string) *big.Int {
	t.Helper()
	d, err := ParseDifficulty(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNetworkTargets(t *testing.T) {
	for _, c := range []struct{ nbits, difficulty, work string }{
		{"1d00ffff", "1.000000000000", "4295032833"},
		{"1b0404cb", "16307.420938523983", "70040908352512"},
		{"17034219", "86388558925171.0117", "371041696979166003650763"},
		{"1702068f", "138955357012247.297", "596817820688841045216562"},
		{"1a44b9f2", "244112.487774336", "1048471149936089"},
		{"207fffff", "0.0000000004656542373906925", "2"},
	} {
		target := mustTarget(t, c.nbits)
		_, decimals, _ := strings.Cut(c.difficulty, ".")
		if got := Difficulty(target).FloatString(len(decimals)); got != c.difficulty {
			t.Errorf("difficulty of %s = %s, want %s", c.nbits, got, c.difficulty)
		}
		if got := Work(target).String(); got != c.work {
			t.Errorf("work of %s = %s, want %s", c.nbits, got, c.work)
		}
	}
	for _, bad := range []string{"", "1d00fff", "1d00ffff0", "1d00fffg", "1d80ffff", "1d000000", "00ffffff", "02000000", "237fffff", "+1d00fff"} {
		b, err := ParseBits(bad)
		if err == nil {
			_, err = Target(b)
		}
		if !errors.Is(err, ErrBits) {
			t.Errorf("nbits %q: error %v", bad, err)
		}
	}
	if got := mustTarget(t, "03123456").String(); got != strconv.Itoa(0x123456) {
		t.Errorf("target of 03123456 = %s", got)
	}
	if got := mustTarget(t, "01123456").String(); got != strconv.Itoa(0x12) {
		t.Errorf("target of 01123456 = %s", got)
	}
}

func TestShareWork(t *testing.T) {
	for _, c := range []struct{ difficulty, work string }{
		{"0.001", "4295032"}, {"0.01", "42950328"}, {"0.1", "429503283"},
		{"8192", "35184908967936"}, {"16384", "70369817935872"}, {"65536", "281479271743489"},
		{"524288", "2251834173947912"}, {"1048576", "4503668347895824"}, {"1", "4295032833"},
	} {
		if got := Work(ShareTarget(mustDifficulty(t, c.difficulty))).String(); got != c.work {
			t.Errorf("work of difficulty %s = %s, want %s", c.difficulty, got, c.work)
		}
	}
}

func TestSubsidy(t *testing.T) {
	for _, c := range []struct{ height, interval, want int64 }{
		{0, HalvingInterval, 5000000000}, {209999, HalvingInterval, 5000000000},
		{210000, HalvingInterval, 2500000000}, {839999, HalvingInterval, 625000000},
		{840000, HalvingInterval, 312500000}, {1049999, HalvingInterval, 312500000},
		{1050000, HalvingInterval, 156250000}, {6929999, HalvingInterval, 1},
		{6930000, HalvingInterval, 0}, {64 * HalvingInterval, HalvingInterval, 0}, {-1, HalvingInterval, 0},
		{149, RegtestHalvingInterval, 5000000000}, {150, RegtestHalvingInterval, 2500000000},
		{173, RegtestHalvingInterval, 2500000000}, {300, RegtestHalvingInterval, 1250000000},
		{450, RegtestHalvingInterval, 625000000},
	} {
		if got := Subsidy(c.height, c.interval); got != c.want {
			t.Errorf("subsidy at %d (halving every %d) = %d, want %d", c.height, c.interval, got, c.want)
		}
	}
	var all int64
	for era := range int64(64) {
		all += HalvingInterval * Subsidy(era*HalvingInterval, HalvingInterval)
	}
	if all != 2_099_999_997_690_000 {
		t.Errorf("all subsidies = %d sat", all)
	}
}

func TestHashpriceAndEnergyValue(t *testing.T) {
	target := mustTarget(t, "17034219")
	if got := Hashprice(target, 317_500_000); got.Int64() != 73_932 {
		t.Errorf("hashprice = %v sat per PH/s and day, want 73932", got)
	}
	for _, c := range []struct {
		mj   int64
		want string
	}{{15_000, "205.367754"}, {17_000, "181.206841"}, {20_000, "154.025815"}, {30_000, "102.683877"}} {
		micro := new(big.Rat).Mul(SatsPerKilowattHour(target, 317_500_000, c.mj), new(big.Rat).SetInt64(1_000_000))
		got := new(big.Int).Div(micro.Num(), micro.Denom()).String()
		if want := strings.Replace(c.want, ".", "", 1); got != want {
			t.Errorf("%d mJ/TH: %s millionths of a sat per kWh, want %s", c.mj, got, want)
		}
	}
}

func TestValuePerShare(t *testing.T) {
	ep, err := NewEpoch("17034219", 317_500_000, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ difficulty, sats string }{
		{"1", "0.000003675255195251"},
		{"0.001", "0.000000003675255195"},
		{"524288", "1.926892195807866103"},
		{"1048576", "3.853784391615732207"},
	} {
		var s Sum
		ep.Add(&s, mustDifficulty(t, c.difficulty))
		n := ep.Numerator(&s) // msat over denominator; sat·10^18 = n·10^15/den
		n.Mul(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(15), nil))
		n.Div(n, denominator)
		want := strings.TrimLeft(strings.Replace(c.sats, ".", "", 1), "0")
		if n.String() != want {
			t.Errorf("a share of %s is worth %v·10⁻¹⁸ sat, want %s", c.difficulty, n, want)
		}
	}
}

// credits books shares of one difficulty in batches and returns the credits.
func credits(t testing.TB, ep *Epoch, difficulty string, batches ...int64) (list []int64, carry *big.Int) {
	t.Helper()
	d := mustDifficulty(t, difficulty)
	carry = new(big.Int)
	for _, n := range batches {
		s := Sum{Shares: n}
		s.Paid.Mul(d, big.NewInt(n))
		s.Difficulty.Set(&s.Paid)
		var c int64
		c, carry = ep.Credit(&s, carry, 1<<53-1)
		list = append(list, c)
	}
	return list, carry
}

func TestCredits(t *testing.T) {
	with, _ := NewEpoch("17034219", 317_500_000, 20_000)
	free, _ := NewEpoch("17034219", 317_500_000, 0)
	ones := make([]int64, 1000)
	for i := range ones {
		ones[i] = 1
	}
	for _, c := range []struct {
		name       string
		epoch      *Epoch
		difficulty string
		batches    []int64
		want       []int64
		all        int64
	}{
		{"1000 at once", with, "1048576", []int64{1000}, []int64{3776708}, 3776708},
		{"400 and 600", with, "1048576", []int64{400, 600}, []int64{1510683, 2266025}, 3776708},
		{"one at a time", with, "1048576", ones, nil, 3776708},
		{"a million small ones", free, "0.001", []int64{1_000_000}, []int64{3}, 3},
		{"a thousand million small ones", free, "0.001", []int64{1_000_000_000}, []int64{3675}, 3675},
		{"too few for anything", free, "0.001", []int64{35}, []int64{0}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, carry := credits(t, c.epoch, c.difficulty, c.batches...)
			var all int64
			for i, n := range got {
				all += n
				if c.want != nil && n != c.want[i] {
					t.Errorf("credit %d = %d msat, want %d", i, n, c.want[i])
				}
			}
			if all != c.all {
				t.Errorf("all credits = %d msat, want %d", all, c.all)
			}
			if carry.Sign() <= 0 || carry.Cmp(denominator) >= 0 {
				t.Errorf("carry %v out of range", carry)
			}
		})
	}
}

func TestCapAtReward(t *testing.T) {
	ep, err := NewEpoch("207fffff", 5_000_000_000, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	var s Sum
	for range 3 {
		ep.Add(&s, mustDifficulty(t, "0.001"))
	}
	got, carry := ep.Credit(&s, new(big.Int), 1<<53-1)
	if want := int64(3 * 5_000_000_000 * 990); got != want || carry.Sign() != 0 {
		t.Errorf("three capped shares = %d msat and %v, want %d", got, carry, want)
	}
	if FormatDifficulty(&s.Difficulty) != "0.003" || s.Capped != 3 || s.Shares != 3 {
		t.Errorf("sum = %+v", s)
	}
	// A limit holds back whole millisatoshi without losing any.
	first, carry := ep.Credit(&s, new(big.Int), 1000)
	rest, carry := Split(carry, 1<<53-1)
	if first != 1000 || first+rest != got || carry.Sign() != 0 {
		t.Errorf("limited credits = %d + %d msat and %v", first, rest, carry)
	}
}

func TestEpochTerms(t *testing.T) {
	for _, c := range []struct {
		nbits       string
		reward, fee int64
	}{{"xx", 1, 0}, {"1d80ffff", 1, 0}, {"1d00ffff", -1, 0}, {"1d00ffff", 1, -1}, {"1d00ffff", 1, 1_000_001}} {
		if _, err := NewEpoch(c.nbits, c.reward, c.fee); err == nil {
			t.Errorf("epoch %+v was accepted", c)
		}
	}
}

func TestParseDifficulty(t *testing.T) {
	for in, want := range map[string]string{
		"1": "1", "1.0": "1", "001.500": "1.5", "1e-05": "0.00001", "1E+3": "1000", "2.5e2": "250",
		"0.000000000000000000000000000001": "0.000000000000000000000000000001",
		"1e-30":                            "0.000000000000000000000000000001",
		"10e-31":                           "0.000000000000000000000000000001",
		"1." + strings.Repeat("0", 60):     "1",
		"999999999999999999999999999999":   "999999999999999999999999999999",
		"86388558925171.0117":              "86388558925171.0117",
	} {
		d, err := ParseDifficulty(in)
		if err != nil {
			t.Errorf("%q: %v", in, err)
		} else if got := FormatDifficulty(d); got != want {
			t.Errorf("%q = %s, want %s", in, got, want)
		}
	}
	for _, bad := range []string{
		"", "0", "0.0", "-1", "+1", ".5", "1.", "1e", "1e-", "e5", "1e5.0", "1e-31", "1e30", "1e1000", "NaN", "Inf",
		"0x10", "1_000", " 1", "1 ", "1.5.2", "１", strings.Repeat("1", 200), "1.0000000000000000000000000000001",
	} {
		if _, err := ParseDifficulty(bad); !errors.Is(err, ErrDifficulty) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
}

func FuzzParseDifficulty(f *testing.F) {
	for _, s := range []string{"1", "1e-05", "0.001", "65536", "1e30", "1e-30", "9.99e-7", "00.10", "1e+2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDifficulty(s)
		if err != nil {
			return
		}
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			t.Fatalf("%q was accepted", s)
		}
		want := r.Mul(r, new(big.Rat).SetInt(One()))
		if !want.IsInt() || want.Num().Cmp(d) != 0 {
			t.Fatalf("%q = %v/10^30, want %v", s, d, want)
		}
		back, err := ParseDifficulty(FormatDifficulty(d))
		if err != nil || back.Cmp(d) != 0 {
			t.Fatalf("%q → %s → %v, %v", s, FormatDifficulty(d), back, err)
		}
	})
}

func FuzzParseBits(f *testing.F) {
	f.Add("1d00ffff")
	f.Add("00000000")
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBits(s)
		if err != nil {
			return
		}
		target, err := Target(b)
		if err == nil && (target.Sign() <= 0 || target.BitLen() > 256) {
			t.Fatalf("%q expands to %x", s, target)
		}
	})
}

func TestWitness(t *testing.T) {
	var w Witness
	// 1 TH/s for an hour at 20 J/TH is 20 Wh.
	hashes := big.NewInt(3600 * 1e12)
	d := new(big.Int).Mul(hashes, pow10(Scale))
	d.Div(d, big.NewInt(HashesPerDifficulty))
	w.Add(d, 20_000)
	mwh, rest := WitnessMilliwattHours(w.Parts())
	if mwh != 19_999 { // the difficulty was rounded down
		t.Errorf("witness = %d mWh", mwh)
	}
	if back := rest.Add(rest, WitnessParts(mwh)); back.Cmp(w.Parts()) != 0 {
		t.Errorf("parts do not add up")
	}
}

func TestMicrousd(t *testing.T) {
	for _, c := range []struct{ msat, price, want int64 }{
		{3_776_708, 86_000_000_000, 3_247_968},
		{0, 86_000_000_000, 0}, {1, 1, 0}, {-1, 1, -1}, {1 << 52, 1 << 52, 1<<53 - 1},
	} {
		if got := Microusd(c.msat, c.price, 1<<53-1); got != c.want {
			t.Errorf("%d msat at %d µ$ = %d µ$, want %d", c.msat, c.price, got, c.want)
		}
	}
}

// TestCreditsAreExact books random shares in random batches over changing
// epochs and compares with one rational sum.
func TestCreditsAreExact(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	r := rand.New(rand.NewPCG(7, 7))
	texts := []string{"0.001", "1e-05", "1", "512", "65536.5", "1048576", "123456.789"}
	shares := make([]*big.Int, len(texts))
	for i, s := range texts {
		shares[i] = mustDifficulty(t, s)
	}
	carry, exact := new(big.Int), new(big.Int)
	var booked int64
	for n > 0 {
		bits := []string{"17034219", "1702068f", "1a44b9f2"}[r.IntN(3)]
		ep, err := NewEpoch(bits, r.Int64N(400_000_000), r.Int64N(1_000_001))
		if err != nil {
			t.Fatal(err)
		}
		var s Sum
		for range min(n, 1+r.IntN(500)) {
			d := shares[r.IntN(len(shares))]
			ep.Add(&s, d)
			x := new(big.Int).Mul(d, ep.target)
			if x.Cmp(scaled1) > 0 {
				x.Set(scaled1) // a block at most
			}
			exact.Add(exact, x.Mul(x, ep.weight))
			n--
		}
		var c int64
		c, carry = ep.Credit(&s, carry, 1<<53-1)
		if c < 0 || carry.Sign() < 0 || carry.Cmp(denominator) >= 0 {
			t.Fatalf("credit %d, carry %v", c, carry)
		}
		booked += c
	}
	want, left := new(big.Int).QuoRem(exact, denominator, new(big.Int))
	if want.Int64() != booked || left.Cmp(carry) != 0 {
		t.Fatalf("booked %d msat and %v, want %v and %v", booked, carry, want, left)
	}
}

func BenchmarkAdd(b *testing.B) {
	ep, _ := NewEpoch("17034219", 317_500_000, 20_000)
	d := mustDifficulty(b, "1048576")
	var s Sum
	b.ReportAllocs()
	for range b.N {
		ep.Add(&s, d)
	}
}

// BenchmarkTenMillionShares books 10^7 shares in 1000 accruals and checks the
// sum against the exact one.
func BenchmarkTenMillionShares(b *testing.B) {
	ep, _ := NewEpoch("17034219", 317_500_000, 20_000)
	d := mustDifficulty(b, "1048576")
	for range b.N {
		carry := new(big.Int)
		var booked int64
		for range 1000 {
			var s Sum
			for range 10_000 {
				ep.Add(&s, d)
			}
			var c int64
			c, carry = ep.Credit(&s, carry, 1<<53-1)
			booked += c
		}
		s := Sum{}
		s.Paid.Mul(d, big.NewInt(10_000_000))
		want, left := ep.Credit(&s, new(big.Int), 1<<53-1)
		if booked != want || carry.Cmp(left) != 0 {
			b.Fatalf("booked %d msat, want %d", booked, want)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1e7, "ns/share")
}

func BenchmarkParseDifficulty(b *testing.B) {
	for range b.N {
		if _, err := ParseDifficulty("1048576.25"); err != nil {
			b.Fatal(err)
		}
	}
}
