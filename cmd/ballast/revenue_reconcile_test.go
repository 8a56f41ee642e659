// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func TestStatementFiles(t *testing.T) {
	now := time.Date(2026, 3, 3, 0, 5, 0, 0, time.UTC)
	id := strings.Repeat("0f", 32)
	whole := `{"statement_id":"d","pool":"upstream-1","from":"2026-03-02T00:00:00Z","until":"2026-03-03T00:00:00Z","shares_accepted":3,"difficulty_sum":"1.5","value_millisats":7,"credited":["` + id + `"],"basis":"live","stated_at":"2026-03-03T00:05:00Z"}`
	short := `{"from":"2026-03-02T01:00:00+01:00","until":"2026-03-03T00:00:00Z","shares_accepted":3,"difficulty_sum":"1.5"}`
	for _, c := range []struct {
		name, file, text, pool string
		want                   string // of the first, or in the error
		n                      int
	}{
		{"whole", "a.json", whole, "", "d upstream-1 live 3 1.5 7 1 0", 1},
		{"short", "a.json", short, "upstream-1", "2026-03-02T00:00:00Z_2026-03-03T00:00:00Z upstream-1 live 3 1.5 - 0 0", 1},
		{"several", "a.txt", whole + "\n" + whole, "", "d upstream-1 live 3 1.5 7 1 0", 2},
		{"a list", "a", " [" + whole + "," + whole + "," + whole + "]\n", "", "d upstream-1 live 3 1.5 7 1 0", 3},
		{"csv", "a.csv", "From, until,shares_accepted,difficulty_sum,value_millisats,pool,refused\r\n2026-03-02T00:00:00Z,2026-03-03T00:00:00Z,3,1.5,,upstream-1," + id + " " + strings.Repeat("1", 64) + "\n2026-03-03T00:00:00Z,2026-03-04T00:00:00Z,4,2,9,upstream-1,\n", "",
			"2026-03-02T00:00:00Z_2026-03-03T00:00:00Z upstream-1 live 3 1.5 - 0 2", 2},
		{"csv with a mark before it", "a.csv", "\ufefffrom,until,shares_accepted,difficulty_sum\n2026-03-02T00:00:00Z,2026-03-03T00:00:00Z,3,1.5\n", "p", "2026-03-02T00:00:00Z_2026-03-03T00:00:00Z p live 3 1.5 - 0 0", 1},
		{"no pool", "a.json", short, "", "pool", 0},
		{"another pool", "a.json", whole, "q", "--pool says q", 0},
		{"a pool that is no token", "a.json", short, "My.Pool", "pool", 0},
		{"unknown field", "a.json", `{"statement":1}`, "p", "unknown field", 0},
		{"no JSON", "a.json", "shares,3", "p", "invalid character", 0},
		{"nothing", "a.json", "\n", "p", "is empty", 0},
		{"an empty list", "a.json", "[]", "p", "the list is empty", 0},
		{"null in a list", "a.json", "[null]", "p", "null", 0},
		{"behind the list", "a.json", "[" + whole + "] 1", "", "follows the list", 0},
		{"a span that ends before it begins", "a.json", strings.Replace(short, "-03T", "-01T", 1), "p", "must be after", 0},
		{"a float", "a.json", strings.Replace(short, "3,", "3.5,", 1), "p", "3.5", 0},
		{"a wrong column", "a.csv", "from,until,shares,difficulty_sum\n", "p", `column "shares" is none of`, 0},
		{"a column twice", "a.csv", "from,until,shares_accepted,difficulty_sum,from\n", "p", "twice", 0},
		{"no column", "a.csv", "from,until,shares_accepted\n", "p", "no column difficulty_sum", 0},
		{"no row", "a.csv", "from,until,shares_accepted,difficulty_sum\n", "p", "nothing below", 0},
		{"a wrong time", "a.csv", "from,until,shares_accepted,difficulty_sum\nyesterday,2026-03-03T00:00:00Z,3,1.5\n", "p", `line 2: from "yesterday"`, 0},
		{"a wrong number", "a.csv", "from,until,shares_accepted,difficulty_sum\n2026-03-02T00:00:00Z,2026-03-03T00:00:00Z,3e2,1.5\n", "p", "want a whole number", 0},
		{"too few cells", "a.csv", "from,until,shares_accepted,difficulty_sum\n2026-03-02T00:00:00Z,2026-03-03T00:00:00Z,3\n", "p", "wrong number of fields", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), c.file)
			if err := os.WriteFile(name, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			list, err := readStatements(name, c.pool, now)
			if c.n == 0 {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), name) {
					t.Errorf("error %v, want %q", err, c.want)
				}
				return
			}
			if err != nil || len(list) != c.n {
				t.Fatalf("%d statements, %v", len(list), err)
			}
			s, money := list[0], "-"
			if s.ValueMillisats != nil {
				money = fmt.Sprint(*s.ValueMillisats)
			}
			got := fmt.Sprintln(s.StatementID, s.Pool, s.Basis, s.SharesAccepted, s.DifficultySum, money, len(s.Credited), len(s.Refused))
			if strings.TrimSpace(got) != c.want || !s.StatedAt.Equal(now) {
				t.Errorf("read %s at %v, want %s", got, s.StatedAt, c.want)
			}
		})
	}
	if _, err := readStatements(filepath.Join(t.TempDir(), "none"), "p", now); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// TestReconcile states what a pool counted, with the real binary: zero
// differences end with 0, anything else with 4, and the books follow.
func TestReconcile(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	s.role("dispatcher", "d")
	s.running(s.calm(500_000))
	mustBallast(t, s.dir, "revenue", "reconcile", "--site", faultSiteID, "--server", s.url) // none yet
	pay := events.Payout{Pool: "pool-a", NBits: "17034219", RewardSats: 317_500_000, FeePPM: 20_000, Scheme: events.SchemeFPPS, Basis: events.BasisLive}
	from := time.Now().UTC().Truncate(time.Second)
	var evs []*events.Event
	for i := range 1000 {
		evs = append(evs, events.New(faultSiteID, "gw-1", &events.ShareAccepted{ShareID: fmt.Sprintf("%064x", i), JobID: "j", Agent: "a", Unit: "u",
			Difficulty: "1048576", Payout: pay, JudgedAt: from}).WithID(fmt.Sprint("share-", i)))
	}
	lost := strings.Repeat("e", 64)
	evs = append(evs, events.New(faultSiteID, "gw-1", &events.ShareUnknown{ShareID: lost, JobID: "j", Agent: "a", Unit: "u", Difficulty: "1048576", Detail: "cut",
		Basis: events.BasisLive, JudgedAt: from}).WithID("lost"))
	s.publishAll(evs...)
	until := time.Now().UTC().Truncate(time.Second).Add(2 * time.Second)

	state := func(id string, from, until time.Time, shares int64, sum string, msat int64, credited ...string) (int, []map[string]any) {
		t.Helper()
		raw, err := json.Marshal(&events.PoolStatement{StatementID: id, From: from, Until: until, SharesAccepted: shares, DifficultySum: sum, ValueMillisats: &msat, Credited: credited})
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(t.TempDir(), "statement.json")
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := ballast(t, s.dir, "revenue", "reconcile", "--site", faultSiteID, "--pool", "pool-a", "--statement", name, "--deadline", patience.String(), "--json", "--server", s.url)
		return code, jsonLines(t, out)
	}
	code, rows := state("first", from, until, 1001, "1049624576", 3_780_485, lost)
	if code != exitOK || len(rows) != 1 || rows[0]["agrees"] != true {
		t.Fatalf("exit code %d: %v", code, rows)
	}
	if d := rows[0]["reconciled"].(map[string]any); d["unknown_accepted"] != 1.0 || d["shares_accepted"] != 1001.0 || d["value_millisats"] != 3_780_485.0 {
		t.Errorf("reconciled %v", d)
	}
	// The same statement again is not counted again, whatever it says.
	if code, rows := state("first", from, until, 7, "7", 7); code != exitOK || len(rows) != 1 {
		t.Errorf("exit code %d: %v", code, rows)
	}
	if code, _ := state("second", from.Add(-time.Second), until, 1, "1", 1); code != exitFailed {
		t.Errorf("an overlapping statement: exit code %d", code)
	}
	// A pool that pays for more than we know of.
	code, rows = state("third", until, until.Add(time.Second), 1, "1048576", 3776)
	if code != exitDiffers || len(rows) != 1 || rows[0]["agrees"] != false {
		t.Errorf("exit code %d: %v", code, rows)
	}
	out, code := ballast(t, s.dir, "revenue", "reconcile", "--site", faultSiteID, "--server", s.url)
	for _, want := range []string{"pool-a first", "agrees", "pool-a third", "differs", "difference +1", "ours 1,001, theirs 1,001"} {
		if !strings.Contains(out, want) {
			t.Errorf("reconcile does not say %q:\n%s", want, out)
		}
	}
	if code != exitDiffers {
		t.Errorf("exit code %d", code)
	}
	if _, code := ballast(t, s.dir, "revenue", "reconcile", "--site", faultSiteID, "--pool", "pool-b", "--server", s.url); code != exitOK {
		t.Errorf("another pool: exit code %d", code)
	}
	totals := jsonLines(t, mustBallast(t, s.dir, "revenue", "--site", faultSiteID, "--json", "--server", s.url))
	if live := totals[0]["accrued"].(map[string]any)["live"].(map[string]any); live["value_millisats"] != 3_780_485.0+3776 {
		t.Errorf("the books hold %v", live)
	}
	if out := mustBallast(t, s.dir, "journal", "replay", "--verify", "--site", faultSiteID, "--server", s.url); strings.Contains(out, "NOT") {
		t.Errorf("replay: %s", out)
	}
}

// FuzzStatementFiles: whatever a file holds, it is read or refused.
func FuzzStatementFiles(f *testing.F) {
	f.Add([]byte(`{"from":"2026-03-02T00:00:00Z"}`))
	f.Add([]byte("from,until,shares_accepted,difficulty_sum\n1,2,3,4\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		name := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := readStatements(name, "p", revenueStart)
		if (err == nil) != (len(list) > 0) {
			t.Errorf("%d statements, %v", len(list), err)
		}
		for _, s := range list {
			if err := s.Validate(); err != nil {
				t.Error(err)
			}
		}
	})
}
