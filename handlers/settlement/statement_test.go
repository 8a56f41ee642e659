// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
)

// mined is a site of five-minute intervals with ten minutes of shares, one a
// second of difficulty 2^20, an hour and some behind it.
func mined(t *testing.T, change func(*events.Payout)) (*journal, *ledger.Ledger) {
	t.Helper()
	j := newJournal(t)
	c := siteConfig(meterOf("ai", events.MeasuresAI))
	c.Tariff.IntervalSeconds = 300
	j.fold("operator", c)
	j.fold("market", &events.MarketQuote{BTCPriceMicrousd: 86_000_000_000})
	j.fold("rig", status("rig", 0, false, "", true))
	l := new(ledger.Ledger)
	j.onOutput = l.Add
	p := livePayout()
	if change != nil {
		change(&p)
	}
	j.run(midnight.Add(10*time.Minute-time.Second), func() { j.share(j.now, p, "1048576") })
	return j, l
}

// Ten minutes: 600 shares, worth 2266.025… sat.
const minedMillisats = 2_266_025

// ten is the pool's statement of those ten minutes.
func ten(id string, shares int64, sum string, msat *int64) *events.PoolStatement {
	return &events.PoolStatement{
		StatementID: id, Pool: "p", From: midnight, Until: midnight.Add(10 * time.Minute),
		SharesAccepted: shares, DifficultySum: sum, ValueMillisats: msat, Basis: events.BasisLive, StatedAt: midnight.Add(time.Hour),
	}
}

func unknownShare(n int) *events.ShareUnknown {
	return &events.ShareUnknown{
		ShareID: fmt.Sprintf("%064x", n), JobID: "j", Agent: "rig", Unit: "rig", Difficulty: "1048576",
		Detail: "connection lost", Basis: events.BasisLive, JudgedAt: midnight,
	}
}

// millisats accrued of live shares.
func millisats(l *ledger.Ledger) int64 { return l.Totals().Accrued[events.BasisLive].Millisats }

func TestStatementsThatAgree(t *testing.T) {
	for _, money := range []bool{false, true} {
		j, l := mined(t, nil)
		j.run(midnight.Add(12*time.Minute), nil)
		before := millisats(l)
		var msat *int64
		if money {
			msat = ptr(int64(minedMillisats))
		}
		j.fold("p", ten("s1", 600, "629145600", msat))
		if len(j.reconciled) != 1 {
			t.Fatalf("%d answers", len(j.reconciled))
		}
		r := j.reconciled[0]
		if r.SharesAccepted != 600 || r.SharesDifference != 0 || r.DifficultyDifference != "0" || r.DifferenceMillisats != 0 ||
			r.ValueMillisats != minedMillisats || r.MoneyStated != money {
			t.Errorf("reconciled %+v", r)
		}
		if millisats(l) != before || before != minedMillisats {
			t.Errorf("booked %d msat, then %d", before, millisats(l))
		}
		j.fold("p", ten("s1", 1, "1", ptr(int64(1)))) // known: folds to nothing
		if len(j.reconciled) != 1 || len(j.raised) != 0 {
			t.Errorf("%d answers, alerts %v", len(j.reconciled), j.raised)
		}
	}
}

// What the pool says is what stands in the books in the end, with a reason.
func TestBooksFollowTheStatement(t *testing.T) {
	for _, c := range []struct {
		name   string
		scheme events.Scheme
		shares int64
		sum    string
		msat   int64
		reason events.Variance
		diff   int64
	}{
		{"rounding", events.SchemeFPPS, 600, "629145600", 2_266_000, events.VarianceRounding, -25},
		{"another average of fees", events.SchemeFPPS, 600, "629145600", 2_300_000, events.VarianceTerms, 2_300_000 - minedMillisats},
		{"fewer shares", events.SchemeFPPS, 590, "618659840", 2_228_258, events.VarianceShares, 2_228_258 - minedMillisats},
		{"more difficulty", events.SchemeFPPS, 600, "629145601", 2_266_026, events.VarianceDifficulty, 1},
		{"nothing", events.SchemeFPPS, 0, "0", 0, events.VarianceShares, -minedMillisats},
		{"pps", events.SchemePPS, 600, "629145600", 2_266_027, events.VarianceRounding, 2},
		{"pplns is valued by it", events.SchemePPLNS, 600, "629145600", 1_999_999, events.VarianceValuation, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, l := mined(t, func(p *events.Payout) { p.Scheme = c.scheme })
			j.run(midnight.Add(12*time.Minute), nil)
			accrued := len(j.accrued)
			j.fold("p", ten("s1", c.shares, c.sum, &c.msat))
			r := j.reconciled[0]
			if r.DifferenceMillisats != c.diff || r.StatedMillisats != c.msat {
				t.Errorf("reconciled %+v", r)
			}
			if got := millisats(l); got != c.msat {
				t.Errorf("the books hold %d msat, want %d", got, c.msat)
			}
			v := j.accrued[accrued]
			if len(j.accrued) != accrued+1 || v.Variance != c.reason || v.StatementID != "s1" || v.SharesAccepted != 0 ||
				!v.From.Equal(midnight) || !v.Until.Equal(midnight.Add(10*time.Minute)) {
				t.Errorf("variance %+v", v)
			}
			if (v.ValueMillisats < 0) != (v.Reverses != "") {
				t.Errorf("%d msat with reverses %q", v.ValueMillisats, v.Reverses)
			}
			j.run(midnight.Add(20*time.Minute+31*time.Second), nil)
			if money := l.Totals().Money.Bases[0]; money.RevenueMillisats != c.msat || money.SharesAccepted != 600 {
				t.Errorf("settled %+v", money)
			}
		})
	}
}

func TestStatementsMoveUnknownShares(t *testing.T) {
	j, l := mined(t, nil)
	j.fold("gw-1", unknownShare(9001))
	j.fold("gw-1", unknownShare(9002))
	j.fold("gw-1", unknownShare(9003))
	j.fold("gw-1", unknownShare(9001)) // told twice
	j.run(midnight.Add(15*time.Minute), nil)
	s := ten("s1", 601, "630194176", nil)
	s.Credited = []string{fmt.Sprintf("%064x", 9001), fmt.Sprintf("%064x", 9001), fmt.Sprintf("%064x", 3), fmt.Sprintf("%064x", 12345)}
	s.Refused = []string{fmt.Sprintf("%064x", 9002)}
	j.fold("p", s)
	if r := j.reconciled[0]; r.SharesAccepted != 601 || r.SharesDifference != 0 || r.DifficultyDifference != "0" ||
		r.UnknownAccepted != 1 || r.UnknownRejected != 1 || r.UnknownLeft != 1 || r.ValueMillisats != 2_269_801 {
		t.Errorf("reconciled %+v", r)
	}
	again := ten("s2", 0, "0", nil)
	again.From, again.Until = again.Until, again.Until.Add(time.Minute)
	again.Refused = s.Credited // each once
	j.fold("p", again)
	if r := j.reconciled[1]; r.UnknownRejected != 0 {
		t.Errorf("reconciled %+v", r)
	}
	j.run(midnight.Add(17*time.Minute), nil)
	if m := l.Totals().Money.Bases[0]; m.SharesAccepted != 601 || m.SharesRejected != 1 || m.SharesUnknown != 1 || m.RevenueMillisats != 2_269_801 {
		t.Errorf("settled %+v", m)
	}
	// The energy of the credited share is proven too.
	if w := l.Totals().Energy.Witness; w != 601*1048576*4295032833*20/3_600_000_000_000 {
		t.Errorf("witness %d mWh", w)
	}
}

// Intervals of a statement that are final: the present one takes the shares
// over, so that the sums are right.
func TestStatementsMoveUnknownSharesOfFinalIntervals(t *testing.T) {
	j, l := mined(t, nil)
	j.fold("gw-1", unknownShare(9001))
	j.run(midnight.Add(6*time.Hour), nil)
	s := ten("s1", 601, "630194176", nil)
	s.Credited = []string{fmt.Sprintf("%064x", 9001)}
	j.fold("p", s)
	j.run(midnight.Add(6*time.Hour+6*time.Minute), nil)
	if m := l.Totals().Money.Bases[0]; m.SharesAccepted != 601 || m.SharesUnknown != 0 || m.RevenueMillisats != 2_269_801 {
		t.Errorf("settled %+v", m)
	}
	if last := j.revenue[len(j.revenue)-1].Totals[0]; last.SharesUnknown != -1 || last.SharesAccepted != 1 {
		t.Errorf("last interval %+v", last)
	}
	if len(j.raised) != 0 {
		t.Errorf("alerts %v", j.raised)
	}
}

func TestStatementsWaitForTheEndOfTheirSpan(t *testing.T) {
	j, _ := mined(t, nil)
	j.fold("p", ten("s1", 600, "629145600", nil)) // ten minutes less a second
	if len(j.reconciled) != 0 {
		t.Fatalf("answered early: %+v", j.reconciled[0])
	}
	j.run(midnight.Add(10*time.Minute+29*time.Second), nil)
	if len(j.reconciled) != 0 {
		t.Fatalf("answered within the grace: %+v", j.reconciled[0])
	}
	j.run(midnight.Add(10*time.Minute+30*time.Second), nil)
	if len(j.reconciled) != 1 || j.reconciled[0].SharesDifference != 0 {
		t.Errorf("answers %+v", j.reconciled)
	}
}

// Shares that come after the answer are counted, and the books still follow.
func TestSharesAfterTheAnswer(t *testing.T) {
	j, l := mined(t, nil)
	j.run(midnight.Add(12*time.Minute), nil)
	j.fold("p", ten("s1", 601, "630194176", ptr(int64(2_269_801))))
	if r := j.reconciled[0]; r.SharesDifference != 1 || r.DifferenceMillisats != 3776 || millisats(l) != 2_269_801 {
		t.Errorf("%d msat, reconciled %+v", millisats(l), r)
	}
	j.share(midnight.Add(5*time.Minute), livePayout(), "1048576")
	j.run(midnight.Add(14*time.Minute), nil)
	if len(j.reconciled) != 2 {
		t.Fatalf("%d answers", len(j.reconciled))
	}
	if r := j.reconciled[1]; r.StatementID != "s1" || r.SharesDifference != 0 || r.DifferenceMillisats != 0 || millisats(l) != 2_269_801 {
		t.Errorf("%d msat, reconciled %+v", millisats(l), r)
	}
}

func TestStatementsRefused(t *testing.T) {
	span := func(from, until time.Duration) func(*events.PoolStatement) {
		return func(s *events.PoolStatement) { s.From, s.Until = midnight.Add(from), midnight.Add(until) }
	}
	for _, c := range []struct {
		name   string
		change func(*events.PoolStatement)
		why    string
	}{
		{"overlap", span(9*time.Minute, 11*time.Minute), "overlaps statement s1"},
		{"within", span(time.Minute, 2*time.Minute), "overlaps statement s1"},
		{"a window cut in two", span(10*time.Minute, 10*time.Minute+30*time.Second), "divides an accrual window"},
		{"beyond all time", func(s *events.PoolStatement) { s.From, s.Until = time.Date(1200, 1, 1, 0, 0, 0, 0, time.UTC), midnight }, "1700 to 2200"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, l := mined(t, nil)
			j.run(midnight.Add(12*time.Minute), func() { j.share(j.now, livePayout(), "1048576") })
			j.fold("p", ten("s1", 600, "629145600", nil))
			before := millisats(l)
			var said string
			j.onOutput = func(e *events.Event) {
				if a, ok := e.Data.(*events.AlertRaised); ok {
					said = a.Message
				}
				l.Add(e)
			}
			s := ten("s2", 1, "1", ptr(int64(1)))
			c.change(s)
			j.fold("p", s)
			if len(j.reconciled) != 1 || !slices.Equal(j.raised, []string{"settlement-statement/p/s2"}) || !strings.Contains(said, c.why) || millisats(l) < before {
				t.Errorf("%d answers, alerts %v: %s", len(j.reconciled), j.raised, said)
			}
		})
	}
	t.Run("of another pool or basis it is no overlap", func(t *testing.T) {
		j, _ := mined(t, nil)
		j.run(midnight.Add(12*time.Minute), nil)
		j.fold("p", ten("s1", 600, "629145600", nil))
		other, practice := ten("s1", 0, "0", nil), ten("s1", 0, "0", nil)
		other.Pool, practice.Basis = "q", events.BasisPractice
		j.fold("q", other)
		j.fold("p", practice)
		if len(j.reconciled) != 3 || len(j.raised) != 0 {
			t.Errorf("%d answers, alerts %v", len(j.reconciled), j.raised)
		}
	})
}

// A statement that divides a window in which nothing came is answered, and
// what comes into that window later is told apart.
func TestStatementsThatCutAWindow(t *testing.T) {
	j, _ := mined(t, nil)
	j.run(midnight.Add(12*time.Minute), nil)
	s := ten("s1", 600, "629145600", nil)
	s.Until = midnight.Add(10*time.Minute + 30*time.Second)
	j.fold("p", s)
	j.share(midnight.Add(10*time.Minute+10*time.Second), livePayout(), "1")
	j.share(midnight.Add(10*time.Minute+40*time.Second), livePayout(), "1")
	j.run(midnight.Add(14*time.Minute), nil)
	if r := j.reconciled[len(j.reconciled)-1]; r.SharesAccepted != 601 {
		t.Errorf("reconciled %+v", r)
	}
	next := ten("s2", 1, "1", nil)
	next.From, next.Until = s.Until, midnight.Add(12*time.Minute)
	j.fold("p", next)
	if r := j.reconciled[len(j.reconciled)-1]; r.SharesDifference != 0 || r.DifficultyDifference != "0" {
		t.Errorf("reconciled %+v", r)
	}
}

func TestStatementsBeyondWhatIsRemembered(t *testing.T) {
	t.Run("a journal without its beginning", func(t *testing.T) {
		j := newJournal(t)
		j.seq = 1000
		j.at(midnight.Add(time.Minute)).fold("operator", siteConfig(meterOf("ai", events.MeasuresAI)))
		j.run(midnight.Add(20*time.Minute), nil)
		j.fold("p", ten("s1", 600, "629145600", nil))
		if len(j.reconciled) != 0 || len(j.raised) != 1 {
			t.Errorf("%d answers, alerts %v", len(j.reconciled), j.raised)
		}
		j.fold("site", &events.JournalOpened{Epoch: 1, OpenedBy: "a"}) // this is the beginning
		j.fold("p", ten("s1", 600, "629145600", nil))
		if len(j.reconciled) != 1 {
			t.Errorf("%d answers", len(j.reconciled))
		}
	})
	t.Run("more windows than are kept", func(t *testing.T) {
		j := newJournal(t)
		c := siteConfig(meterOf("ai", events.MeasuresAI))
		c.Tariff.AccrualSeconds = 1
		j.fold("operator", c)
		j.run(midnight.Add((maxCells+10)*time.Second), func() { j.share(j.now, livePayout(), "1") })
		j.fold("p", ten("s1", 600, "600", nil))
		if len(j.reconciled) != 0 || len(j.raised) != 1 || len(j.d.Cells) > maxCells {
			t.Errorf("%d answers, alerts %v, %d cells", len(j.reconciled), j.raised, len(j.d.Cells))
		}
		late := ten("s2", 600, "600", nil)
		late.From, late.Until = midnight.Add(time.Hour), midnight.Add(70*time.Minute)
		j.fold("p", late)
		if len(j.reconciled) != 1 || j.reconciled[0].SharesDifference != 0 {
			t.Errorf("answers %+v", j.reconciled)
		}
	})
	t.Run("more statements than are kept", func(t *testing.T) {
		j, _ := mined(t, nil)
		j.run(midnight.Add(12*time.Minute), nil)
		d := j.d
		for i := range maxStatements + 5 {
			s := ten(fmt.Sprint("s", i), 0, "0", nil)
			s.From = midnight.Add(time.Duration(i) * time.Millisecond)
			s.Until = s.From.Add(time.Millisecond)
			s.Pool = "q"
			j.fold("q", s)
		}
		if len(d.Statements) != maxStatements || len(j.reconciled) != maxStatements+5 {
			t.Fatalf("%d kept of %d", len(d.Statements), len(j.reconciled))
		}
		s := ten("s0", 0, "0", nil)
		s.Until, s.Pool = midnight.Add(time.Millisecond), "q"
		j.fold("q", s)
		if len(j.reconciled) != maxStatements+5 || len(j.raised) != 1 {
			t.Errorf("%d answers, alerts %v", len(j.reconciled), j.raised)
		}
	})
	t.Run("too many at once", func(t *testing.T) {
		j, _ := mined(t, nil)
		for i := range maxWaiting + 1 {
			s := ten(fmt.Sprint("s", i), 0, "0", nil)
			s.From = midnight.Add(time.Duration(100+i) * time.Minute)
			s.Until = s.From.Add(time.Minute)
			j.fold("p", s)
		}
		if !slices.Equal(j.raised, []string{"settlement-statement/p/s16"}) {
			t.Errorf("alerts %v", j.raised)
		}
	})
}
