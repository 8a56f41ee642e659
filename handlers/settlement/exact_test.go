// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// kinds of random shares: any of the payouts with any of the difficulties.
type sharesOf struct {
	payouts      []events.Payout
	difficulties []string
}

// randomKinds are payouts of one pool around changes of target, reward, fee and
// scheme, and difficulties of all sizes and forms.
func randomKinds(r *rand.Rand) sharesOf {
	var k sharesOf
	for range 24 {
		k.payouts = append(k.payouts, events.Payout{
			Pool: "p", NBits: []string{"17034219", "1702068f", "1703a30c"}[r.IntN(3)],
			RewardSats: []int64{312_500_000, 156_250_000}[r.IntN(2)] + r.Int64N(20_000_000), FeePPM: r.Int64N(30_000),
			Scheme: []events.Scheme{events.SchemeFPPS, events.SchemePPS}[r.IntN(2)], Basis: events.BasisLive,
		})
	}
	for range 400 {
		switch r.IntN(4) {
		case 0:
			k.difficulties = append(k.difficulties, fmt.Sprintf("0.%030d", 1+r.Int64N(1e18)))
		case 1:
			k.difficulties = append(k.difficulties, fmt.Sprintf("%de-%d", 1+r.IntN(1e6), r.IntN(20)))
		case 2:
			k.difficulties = append(k.difficulties, fmt.Sprintf("%d.%06d", r.IntN(1e6), r.IntN(1e6)+1))
		default:
			k.difficulties = append(k.difficulties, fmt.Sprint(1+r.Int64N(1<<30)))
		}
	}
	return k
}

// value of a share in millisatoshi by facts only: no code of this project but
// the expansion of the target.
func (k sharesOf) value(t testing.TB, payout, difficulty int) *big.Rat {
	t.Helper()
	p := &k.payouts[payout]
	bits, err := work.ParseBits(p.NBits)
	if err != nil {
		t.Fatal(err)
	}
	target, err := work.Target(bits)
	if err != nil {
		t.Fatal(err)
	}
	v, ok := new(big.Rat).SetString(k.difficulties[difficulty])
	if !ok {
		t.Fatalf("difficulty %s", k.difficulties[difficulty])
	}
	d1 := new(big.Int).Lsh(big.NewInt(0xffff), 208)
	part := v.Mul(v, new(big.Rat).SetFrac(target, d1))
	if one := big.NewRat(1, 1); part.Cmp(one) > 0 {
		part = one // no share is worth more than the block
	}
	part.Mul(part, big.NewRat(p.RewardSats*1000, 1))
	return part.Mul(part, big.NewRat(1_000_000-p.FeePPM, 1_000_000))
}

// bookkeeper folds shares one after the other, at random times, with ticks now
// and then, and adds up what is booked.
type bookkeeper struct {
	d      *Decider
	out    decider.Outbox
	now    time.Time
	event  *events.Event
	share  events.ShareAccepted
	tick   events.ClockTick
	seq    uint64
	booked int64
	shares int64
	carry  string
	events int
}

func newBookkeeper(t testing.TB, accrual int64) *bookkeeper {
	t.Helper()
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	b := &bookkeeper{d: d, now: midnight, carry: "0"}
	c := siteConfig(meterOf("ai", events.MeasuresAI))
	c.Tariff.AccrualSeconds = accrual
	b.event = events.New("tx1", "gw-1", c)
	b.fold(c)
	return b
}

func (b *bookkeeper) fold(p events.Payload) {
	b.seq++
	e := b.event
	e.Data, e.Epoch, e.Sequence, e.Arrived = p, 1, b.seq, b.now
	b.out.Begin(e)
	b.d.Fold(e, &b.out)
	for _, o := range b.out.Outputs() {
		if a, ok := o.Data.(*events.RevenueAccrued); ok {
			b.booked += a.ValueMillisats
			b.shares += a.SharesAccepted
			b.carry = a.CarryNumerator
			b.events++
		}
	}
}

// add books share number i of a kind, accepted back ago.
func (b *bookkeeper) add(i uint64, p *events.Payout, difficulty string, back time.Duration) {
	var raw [32]byte
	binary.BigEndian.PutUint64(raw[24:], i)
	b.share = events.ShareAccepted{ShareID: hex.EncodeToString(raw[:]), Unit: "rig", Difficulty: difficulty, Payout: *p}
	b.event.OriginArrived = b.now.Add(-back)
	b.fold(&b.share)
	b.event.OriginArrived = time.Time{}
}

func (b *bookkeeper) advance(d time.Duration) {
	b.now = b.now.Add(d)
	b.fold(&b.tick)
}

// TestRevenueIsTheExactSum books ten million random shares, in batches of any
// size and in any order, and compares the books with one rational sum.
func TestRevenueIsTheExactSum(t *testing.T) {
	n := 10_000_000
	switch {
	case underRace:
		n = 200_000
	case testing.Short():
		n = 1_000_000
	}
	r := rand.New(rand.NewPCG(10, 7))
	k := randomKinds(r)
	counts := make([]int64, len(k.payouts)*len(k.difficulties))
	b := newBookkeeper(t, 60)
	began := time.Now()
	run := 0
	var payout, difficulty int
	for i := range n {
		if run == 0 { // a job lasts for some shares; its difficulty, too
			payout, difficulty, run = r.IntN(len(k.payouts)), r.IntN(len(k.difficulties)), 1+r.IntN(12)
		}
		run--
		counts[payout*len(k.difficulties)+difficulty]++
		b.add(uint64(i), &k.payouts[payout], k.difficulties[difficulty], time.Duration(r.IntN(600))*time.Second)
		if r.IntN(2000) == 0 {
			b.advance(time.Duration(r.IntN(90)) * time.Second)
		}
	}
	b.advance(2 * time.Minute)
	b.advance(2 * hour)
	t.Logf("%d shares in %v, %d accruals", n, time.Since(began).Round(time.Millisecond), b.events)
	checkExact(t, b, k, counts, int64(n))
}

// checkExact compares the books with the sum of counts shares of each kind.
func checkExact(t *testing.T, b *bookkeeper, k sharesOf, counts []int64, n int64) {
	t.Helper()
	exact := new(big.Rat)
	for i, c := range counts {
		if c > 0 {
			v := k.value(t, i/len(k.difficulties), i%len(k.difficulties))
			exact.Add(exact, v.Mul(v, new(big.Rat).SetInt64(c)))
		}
	}
	carry, ok := new(big.Int).SetString(b.carry, 10)
	if !ok {
		t.Fatalf("carry %q", b.carry)
	}
	books := new(big.Rat).SetFrac(carry, work.Denominator())
	books.Add(books, new(big.Rat).SetInt64(b.booked))
	if books.Cmp(exact) != 0 {
		t.Errorf("booked %d msat and a carry of %s, exactly it is %s", b.booked, b.carry, exact.FloatString(9))
	}
	if b.shares != n {
		t.Errorf("%d shares booked of %d", b.shares, n)
	}
}

// TestAnyOrderAndAnyBatching books the same shares in other orders, batches
// and accrual windows: the books are the same to the last digit.
func TestAnyOrderAndAnyBatching(t *testing.T) {
	n := 60_000
	if underRace || testing.Short() {
		n = 6_000
	}
	r := rand.New(rand.NewPCG(4, 4))
	k := randomKinds(r)
	type one struct{ payout, difficulty int }
	list := make([]one, n)
	counts := make([]int64, len(k.payouts)*len(k.difficulties))
	for i := range list {
		list[i] = one{r.IntN(len(k.payouts)), r.IntN(len(k.difficulties))}
		counts[list[i].payout*len(k.difficulties)+list[i].difficulty]++
	}
	var first *bookkeeper
	for round := range 6 {
		b := newBookkeeper(t, []int64{60, 1, 3600, 10, 60, 300}[round])
		every := []int{n + 1, 1, 7, 1000, 50, 3}[round]
		for i, s := range list {
			b.add(uint64(i), &k.payouts[s.payout], k.difficulties[s.difficulty], time.Duration(r.IntN(1+round*600))*time.Second)
			if i%every == every-1 {
				b.advance(time.Second)
			}
		}
		b.advance(2 * hour)
		b.advance(2 * hour)
		checkExact(t, b, k, counts, int64(n))
		if first == nil {
			first = b
		}
		if b.booked != first.booked || b.carry != first.carry {
			t.Errorf("round %d: %d msat and %s, the first had %d and %s", round, b.booked, b.carry, first.booked, first.carry)
		}
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
}

// TestVectors books the check vectors of a block of 317500000 sat at nBits
// 17034219.
func TestVectors(t *testing.T) {
	payout := func(fee int64) *events.Payout {
		return &events.Payout{Pool: "p", NBits: "17034219", RewardSats: 317_500_000, FeePPM: fee, Scheme: events.SchemeFPPS, Basis: events.BasisLive}
	}
	for _, c := range []struct {
		name       string
		fee        int64
		difficulty string
		batches    []int
		want       int64
	}{
		{"1000 of 2^20", 20_000, "1048576", []int{1000}, 3_776_708},
		{"in two parts", 20_000, "1048576", []int{400, 600}, 3_776_708},
		{"the first part", 20_000, "1048576", []int{400}, 1_510_683},
		{"one of 2^20", 0, "1048576", []int{1}, 3853},
		{"one of 2^19", 0, "524288", []int{1}, 1926},
		{"a million of a thousandth", 0, "0.001", []int{1_000_000}, 3},
		{"thirty-five of a thousandth", 0, "1e-03", []int{35}, 0},
		{"everything goes to the pool", 1_000_000, "1048576", []int{1000}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBookkeeper(t, 1)
			var id uint64
			for _, n := range c.batches {
				if underRace || testing.Short() {
					n = min(n, 100_000) // a tenth of a msat: nothing less is lost
				}
				for range n {
					b.add(id, payout(c.fee), c.difficulty, 0)
					id++
				}
				b.advance(2 * time.Second)
			}
			if want := c.want; b.booked != want && id != 100_000 {
				t.Errorf("booked %d msat, want %d", b.booked, want)
			}
			if c.want == 0 && c.fee == 0 && b.carry == "0" {
				t.Error("nothing is carried")
			}
		})
	}
	t.Run("one at a time", func(t *testing.T) {
		b := newBookkeeper(t, 1)
		for i := range 1000 {
			b.add(uint64(i), payout(20_000), "1048576", 0)
			b.advance(2 * time.Second)
		}
		if b.booked != 3_776_708 || b.events != 1000 {
			t.Errorf("booked %d msat in %d accruals", b.booked, b.events)
		}
	})
}

// TestEpochsOfJobs: shares accepted after a change of target, reward or fee for
// a job from before it are paid as the job was.
func TestEpochsOfJobs(t *testing.T) {
	before := livePayout()
	for _, c := range []struct {
		name   string
		change func(*events.Payout)
	}{
		{"target", func(p *events.Payout) { p.NBits = "1702068f" }},
		{"halving", func(p *events.Payout) { p.RewardSats = work.Subsidy(1_050_000, work.HalvingInterval) + 5_000_000 }},
		{"fee", func(p *events.Payout) { p.FeePPM = 10_000 }},
		{"scheme", func(p *events.Payout) { p.Scheme = events.SchemePPLNS }},
		{"all", func(p *events.Payout) { p.NBits, p.RewardSats, p.FeePPM = "1702068f", 156_250_000, 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			next := before
			c.change(&next)
			k := sharesOf{[]events.Payout{before, next}, []string{"1048576"}}
			b := newBookkeeper(t, 60)
			add := func(i int, p *events.Payout) { b.add(uint64(i), p, "1048576", 0) }
			var olds, news int64
			for i := range 100 { // until the change
				add(i, &before)
				olds++
			}
			b.advance(10 * time.Second)
			for i := range 100 { // around it, both
				if i%3 == 0 {
					add(1000+i, &before)
					olds++
				} else {
					add(1000+i, &next)
					news++
				}
				b.advance(time.Second)
			}
			b.advance(hour)
			b.advance(hour)
			if next.Scheme == events.SchemePPLNS {
				if b.shares != olds+news {
					t.Errorf("%d shares booked", b.shares)
				}
				b.shares, news = b.shares-news, 0
			}
			checkExact(t, b, k, []int64{olds, news}, olds+news)
		})
	}
}

// TestLocalShares are counted and prove energy, and are worth nothing; pools
// never hear of them.
func TestLocalShares(t *testing.T) {
	j := newJournal(t)
	j.fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
	j.fold("rig", status("rig", 0, false, "", true))
	local := func(n int) *events.ShareAccepted {
		return &events.ShareAccepted{ShareID: fmt.Sprintf("%064x", n), JobID: "j", Agent: "rig", Unit: "rig", Difficulty: "1048576",
			Payout: livePayout(), Local: true, JudgedAt: midnight}
	}
	for i := range 10 {
		j.fold("gw-1", local(i))
		j.fold("gw-1", local(i))
	}
	j.run(midnight.Add(hour+30*time.Second), nil)
	if m := j.revenue[0].Totals; len(m) != 1 || m[0] != (events.BasisTotal{Basis: events.BasisLive, SharesAccepted: 10}) {
		t.Errorf("totals %+v", m)
	}
	if w := j.settled[0].WitnessMilliwattHours; w != 10*1048576*4295032833*20/3_600_000_000_000 {
		t.Errorf("witness %d mWh", w)
	}
	if len(j.accrued) != 0 {
		t.Errorf("accrued %+v", j.accrued)
	}
	s := ten("s1", 0, "0", nil)
	j.fold("p", s)
	if r := j.reconciled[0]; r.SharesAccepted != 0 || r.SharesDifference != 0 {
		t.Errorf("reconciled %+v", r)
	}
}
