// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// A power failure takes the journal's copies of verdicts whose money is booked
// already. They are relayed again, and their money is not booked again.
func TestFaultMoneyBookedOnceAfterTailCut(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	s.running(s.calm(500_000))
	s.role("market", "market")
	d, pool := s.role("dispatcher", "d"), s.role("pool", "p")
	fleet := s.fleet("fleet-1")
	next(s, "money", func(e events.Of[events.RevenueAccrued]) bool { return e.Data.SharesAccepted > 0 })
	next(s, "more money", func(e events.Of[events.RevenueAccrued]) bool { return e.Data.SharesAccepted > 0 })
	if code := fleet.end(patience); code != 0 {
		t.Errorf("the machines ended with %d", code)
	}
	settled := func() bool {
		b := s.book()
		return len(b.found) == len(b.verdicts) && b.accrued == b.accepted
	}
	until(t, patience, "every share has a verdict and its money", settled)
	s.book().check(t)

	d.kill()
	pool.kill()
	s.server.kill()
	s.cutJournal(events.JournalSubject(s.b.Prefix(), faultSiteID, events.TypeShareAccepted, "practice-1"), 20)
	s.startBus()
	s.journalStateAgain()
	s.role("dispatcher", "d")
	s.role("pool", "p")
	s.quiet(5 * time.Second) // two accruals
	until(t, patience, "every share has its money", settled)
	s.book().check(t)
	reversals := 0
	for e, err := range events.Read[events.RevenueAccrued](t.Context(), s.b, events.AtSite(faultSiteID)) {
		if err == nil && e.Data.Reverses != "" {
			reversals++
		}
	}
	r := s.verify(2 * time.Second)["settlement"]
	if !r.Clean() || len(r.Lost) == 0 || reversals == 0 {
		t.Errorf("%d accruals were reversed, and verification lists %d lost spans: the cut took no booking\n%s", reversals, len(r.Lost), r)
	}
	t.Logf("%d accruals reversed\n%s", reversals, r)
}
