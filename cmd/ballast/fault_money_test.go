// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// Everything that writes shares and money is killed at random moments: the
// pool between verdicts and acknowledgements, the dispatcher between accruals,
// machines with shares on their way. At the end every share found has one
// verdict, and the money booked is to the millisatoshi what the accepted shares
// are worth.
func TestFaultShareAndMoneyWritersKilled(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	s.running(s.calm(500_000))
	s.role("market", "market")
	launch := []func() *process{
		func() *process { return s.role("dispatcher", "d") },
		func() *process { return s.role("pool", "p") },
		func() *process { return s.fleet("fleet-1") },
		func() *process { return s.fleet("fleet-2") },
		func() *process {
			return start(t, s.dir, "worker", "--site", faultSiteID, "--id", "cpu-1", "--threads", "1", "--server", s.url, "--json")
		},
	}
	running := make([]*process, len(launch))
	for i, f := range launch {
		running[i] = f()
	}
	next(s, "verdicts on modelled shares", func(e events.Of[events.ShareAccepted]) bool { return e.Data.Payout.Basis == events.BasisModelled })
	next(s, "verdicts on real shares", func(e events.Of[events.ShareAccepted]) bool { return e.Data.Payout.Basis == events.BasisPractice })

	stop := s.running(s.strays)

	random := rand.New(rand.NewPCG(5, 12))
	for n := range 14 {
		victim := n % len(launch)
		if n >= len(launch) {
			victim = random.IntN(len(launch))
		}
		<-time.After(time.Duration(200+random.IntN(900)) * time.Millisecond) // the moment of death
		running[victim].kill()
		running[victim] = launch[victim]()
	}
	next(s, "verdicts after the last death", func(e events.Of[events.ShareAccepted]) bool { return e.Data.Payout.Basis == events.BasisModelled })
	stop()
	// The miners end as they should, with all their shares stored.
	for _, p := range running[2:] {
		if code := p.end(patience); code != 0 {
			t.Errorf("%s ended with %d", p.name, code)
		}
	}

	var b *book
	until(t, patience, "every share has a verdict and its money", func() bool {
		b = s.book()
		return len(b.found) == len(b.verdicts) && b.accrued == b.accepted
	})
	b.check(t)
	t.Logf("%d shares found: %d accepted, %d rejected, %d unknown; %d accruals", len(b.found), b.accepted, b.rejected, b.unknown, b.accruals)
	if b.accepted < 50 || b.rejected == 0 || b.unknown == 0 {
		t.Errorf("%d shares accepted, %d rejected, %d unknown: no load", b.accepted, b.rejected, b.unknown)
	}
	s.quiet(3 * time.Second)
	s.identical(2 * time.Second)
}

// fleet starts modelled machines in a process of their own.
func (s *faultSite) fleet(agent string) *process {
	s.t.Helper()
	return s.role("fleet", agent, "--agent", agent, "--machines", "40", "--class", "bitaxe-gamma", "--boot", "1s", "--meter", "mining-1")
}

// strays publishes shares of a job that no pool knows, and modelled
// shares of real work, ten a second.
func (s *faultSite) strays(ctx context.Context) {
	var work *events.WorkAssigned
	for e, err := range events.Read[events.WorkAssigned](ctx, s.b, events.AtSite(faultSiteID), events.BySource("cpu-1")) {
		if err == nil {
			work = &e.Data
		}
	}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		id := sha256.Sum256(fmt.Appendf(nil, "stray %d", n))
		share := &events.ShareFound{
			ShareID: hex.EncodeToString(id[:]), JobID: "nobodys-job", Gateway: "practice-1", Unit: "cpu-1",
			Difficulty: "0.001", FoundAt: time.Now().UTC(), Modelled: true,
		}
		if n%2 == 0 && work != nil {
			share.JobID, share.Difficulty = work.JobID, work.ShareDifficulty
		}
		s.publish(ctx, events.New(faultSiteID, "cpu-1", share).WithID(share.ShareID))
	}
}

// book is what SHARES and REVENUE say.
type book struct {
	found, verdicts             map[string][]uint64 // sequences by share id
	accepted, rejected, unknown int64
	accrued, accruals           int64
	// worth of the accepted shares per purse, and what was booked.
	worth, booked map[purse]*worth
}

// purse is whose remainder is carried.
type purse struct {
	pool  string
	basis events.Basis
}

type worth struct {
	sums      map[events.Payout]*work.Sum
	millisats int64
	carry     string
}

func (s *faultSite) book() *book {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	b := &book{found: map[string][]uint64{}, verdicts: map[string][]uint64{}, worth: map[purse]*worth{}, booked: map[purse]*worth{}}
	verdict := func(e *events.Event, id string) { b.verdicts[id] = append(b.verdicts[id], e.Sequence) }
	for e, err := range s.b.Events(ctx, events.ReadRequest{Stream: events.StreamShares, Site: faultSiteID}) {
		if err != nil {
			s.t.Fatal(err)
		}
		switch p := e.Data.(type) {
		case *events.ShareFound:
			b.found[p.ShareID] = append(b.found[p.ShareID], e.Sequence)
		case *events.ShareAccepted:
			verdict(e, p.ShareID)
			b.accepted++
			k := purse{p.Payout.Pool, p.Payout.Basis}
			if b.worth[k] == nil {
				b.worth[k] = &worth{sums: map[events.Payout]*work.Sum{}}
			}
			sum := b.worth[k].sums[p.Payout]
			if sum == nil {
				sum = new(work.Sum)
				b.worth[k].sums[p.Payout] = sum
			}
			epoch, err := work.NewEpoch(p.Payout.NBits, p.Payout.RewardSats, p.Payout.FeePPM)
			if err != nil {
				s.t.Fatal(err)
			}
			d, err := work.ParseDifficulty(p.Difficulty)
			if err != nil {
				s.t.Fatal(err)
			}
			epoch.Add(sum, d)
		case *events.ShareRejected:
			verdict(e, p.ShareID)
			b.rejected++
		case *events.ShareUnknown:
			verdict(e, p.ShareID)
			b.unknown++
		}
	}
	for e, err := range events.Read[events.RevenueAccrued](ctx, s.b, events.AtSite(faultSiteID)) {
		if err != nil {
			s.t.Fatal(err)
		}
		b.accruals++
		b.accrued += e.Data.SharesAccepted
		k := purse{e.Data.Payout.Pool, e.Data.Payout.Basis}
		if b.booked[k] == nil {
			b.booked[k] = &worth{}
		}
		b.booked[k].millisats += e.Data.ValueMillisats
		if e.Data.Reverses == "" {
			b.booked[k].carry = e.Data.CarryNumerator
		}
	}
	return b
}

// check fails the test unless every share has one verdict and the money is
// exact.
func (b *book) check(t *testing.T) {
	t.Helper()
	for id, at := range b.found {
		if len(at) != 1 {
			t.Errorf("share %s was stored %d times: SHARES/%v", id, len(at), at)
		}
		if v := b.verdicts[id]; len(v) != 1 {
			t.Errorf("share %s (SHARES/%d) has %d verdicts: SHARES/%v", id, at[0], len(v), v)
		}
	}
	for id, at := range b.verdicts {
		if b.found[id] == nil {
			t.Errorf("a verdict on share %s, which nobody found: SHARES/%v", id, at)
		}
	}
	if n := b.accepted + b.rejected + b.unknown; int64(len(b.found)) != n {
		t.Errorf("%d shares found, but %d accepted + %d rejected + %d unknown", len(b.found), b.accepted, b.rejected, b.unknown)
	}
	for k, w := range b.worth {
		total := new(big.Int)
		for p, sum := range w.sums {
			epoch, err := work.NewEpoch(p.NBits, p.RewardSats, p.FeePPM)
			if err != nil {
				t.Fatal(err)
			}
			total.Add(total, epoch.Numerator(sum))
		}
		millisats, rest := work.Split(total, math.MaxInt64)
		have := b.booked[k]
		if have == nil {
			have = &worth{}
		}
		if have.millisats != millisats || have.carry != rest.String() {
			t.Errorf("%s %s: booked %d msat and carried %s; the accepted shares are worth %d msat and %s", k.pool, k.basis, have.millisats, have.carry, millisats, rest)
		}
		t.Logf("%s %s: %d msat and %s/%s", k.pool, k.basis, millisats, rest, work.DenominatorText)
	}
}
