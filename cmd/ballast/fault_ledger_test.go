// SPDX-License-Identifier: Apache-2.0

package main

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// The ledger's process is killed at random moments while shares and money come
// in. In the end it holds what a rebuild from the streams holds, row for row.
func TestFaultLedgerKilled(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	file := filepath.Join(s.dir, "killed.sqlite")
	ledger := func() *process {
		return start(t, s.dir, "serve", "--role", "ledger", "--ledger", file, "--server", s.url, "--json")
	}
	random := rand.New(rand.NewPCG(7, 7))
	n := 0
	more := func(count int) {
		var evs []*events.Event
		now := time.Now().UTC()
		pay := events.Payout{Pool: "pool-a", NBits: "17034219", RewardSats: 317_500_000, FeePPM: 20_000, Scheme: events.SchemeFPPS, Basis: events.BasisLive}
		for range count {
			n++
			evs = append(evs, events.New(faultSiteID, "gw-1", &events.ShareAccepted{ShareID: fmt.Sprintf("%064x", n), JobID: "j", Agent: "a", Unit: fmt.Sprintf("u%d", n%7),
				Difficulty: "1048576.25", Payout: pay, JudgedAt: now}).WithID(fmt.Sprintf("share-%d", n)))
		}
		evs = append(evs, events.New(faultSiteID, events.SiteSource, &events.RevenueAccrued{From: now, Until: now.Add(time.Second), Payout: pay, SharesAccepted: int64(count),
			DifficultySum: "1", ValueMillisats: int64(n), CarryNumerator: "1", CarryDenominator: "3", Key: events.OrderKey{Epoch: 1, Sequence: uint64(n)}}).WithID(fmt.Sprintf("accrual-%d", n)))
		s.publishAll(evs...)
	}
	for range 25 {
		p := ledger()
		p.waitLine(`"serving"`, patience)
		more(300 + random.IntN(2000))
		<-time.After(time.Duration(random.IntN(60)) * time.Millisecond) // the moment of death
		p.kill()
	}
	p := ledger()
	until(t, patience, "the ledger holds everything", func() bool {
		out, code := ballast(t, s.dir, "ledger", "status", "--ledger", file, "--server", s.url, "--json")
		if code != 0 {
			return false // the file may not be there yet
		}
		var st struct {
			Streams []struct{ Lag uint64 }
		}
		if err := json.Unmarshal([]byte(out), &st); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		for _, x := range st.Streams {
			if x.Lag > 0 {
				return false
			}
		}
		return true
	})
	p.signal(syscall.SIGTERM)
	if code := p.wait(patience); code != 0 {
		t.Errorf("after SIGTERM: exit code %d", code)
	}
	fresh := filepath.Join(s.dir, "fresh.sqlite")
	mustBallast(t, s.dir, "ledger", "rebuild", "--ledger", fresh, "--server", s.url)
	have, want := ledgerRows(t, file), ledgerRows(t, fresh)
	if !slices.Equal(have, want) {
		t.Errorf("%d rows after kills, %d rebuilt, and they differ", len(have), len(want))
	}
	if shares := slices.IndexFunc(want, func(s string) bool { return strings.HasPrefix(s, "unit_hours") }); shares < 0 || len(want) < n {
		t.Errorf("only %d rows for %d shares", len(want), n)
	}
	if _, code := ballast(t, s.dir, "ledger", "rebuild", "--ledger", fresh, "--server", s.url); code != exitUsage {
		t.Errorf("a rebuild over rows ended with %d", code)
	}
	mustBallast(t, s.dir, "ledger", "rebuild", "--force", "--ledger", fresh, "--server", s.url)
	if again := ledgerRows(t, fresh); !slices.Equal(again, want) {
		t.Error("a forced rebuild differs")
	}
	t.Logf("%d shares, %d rows", n, len(want))
}

// ledgerRows is every row of an SQLite ledger.
func ledgerRows(t *testing.T, file string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var out []string
	for _, table := range []string{"positions", "energy", "settlements", "settlement_lines", "curtailments", "curtailment_lines", "accruals", "reconciliations", "statements", "statement_shares", "blocks", "shares", "unit_hours"} {
		rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+table)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			values := make([]any, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := rows.Scan(into...); err != nil {
				t.Fatal(err)
			}
			out = append(out, table+fmt.Sprint(values...))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
	slices.Sort(out)
	return out
}
