// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }

func counter(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range all {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

var views = []string{"standing_energy", "standing_settlements", "standing_blocks", "standing_shares", "energy_balance", "energy_by_hour",
	"revenue_by_hour", "revenue_by_site", "revenue_by_unit", "shares_by_hour", "margin_by_hour",
	"standing_curtailments", "forgone_by_hour", "forgone_by_signal"}

// The views say the same in both databases, and the same as the totals that
// the command line prints.
func TestViewsAgree(t *testing.T) {
	b := openBus(t)
	newFacts(11).store(t, b, 900)
	var l ledger.Ledger
	for e, err := range b.Events(testContext(t), events.ReadRequest{Stream: events.StreamRevenue}) {
		if err == nil {
			l.Add(e)
		}
	}
	want := l.Totals()
	var first map[string][]string
	onEach(t, func(t *testing.T, address string) {
		s := openStore(t, address)
		stop := run(t, b, s)
		until(t, b, s)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		have := map[string][]string{}
		for _, v := range views {
			have[v] = query(t, s, "SELECT * FROM "+v)
			if len(have[v]) == 0 {
				t.Errorf("view %s is empty", v)
			}
		}
		if first == nil {
			first = have
		}
		for _, v := range views {
			same(t, v, have[v], first[v])
		}
		for _, line := range have["energy_balance"] {
			if !strings.HasSuffix(line, " difference=0") {
				t.Errorf("off balance: %s", line)
			}
		}
		one := func(q string) int64 {
			var n int64
			if err := s.db.QueryRowContext(context.Background(), q).Scan(&n); err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			return n
		}
		for basis, a := range want.Accrued {
			if got := one("SELECT value_millisats FROM revenue_by_site WHERE basis = '" + string(basis) + "'"); got != a.Millisats {
				t.Errorf("%s: %d msat accrued, wanted %d", basis, got, a.Millisats)
			}
		}
		if got := one("SELECT sum(ai_milliwatt_hours) FROM energy_by_hour"); got != want.Energy.AI {
			t.Errorf("AI %d mWh, wanted %d", got, want.Energy.AI)
		}
		if got := one("SELECT count(*) FROM standing_energy"); got != want.Energy.Intervals {
			t.Errorf("%d intervals stand, wanted %d", got, want.Energy.Intervals)
		}
		if got := one("SELECT sum(margin_microusd) FROM margin_by_hour"); got != want.Money.Margin {
			t.Errorf("margin %d, wanted %d", got, want.Money.Margin)
		}
		if got := one("SELECT sum(nameplate_milliwatt_hours) FROM standing_curtailments"); got != want.Forgone.Nameplate {
			t.Errorf("nameplate %d mWh, wanted %d", got, want.Forgone.Nameplate)
		}
		if len(want.Forgone.Lines) != 3 {
			t.Errorf("%d lines of what was forgone", len(want.Forgone.Lines))
		}
		for _, l := range want.Forgone.Lines {
			at := " WHERE reason = '" + string(l.Reason) + "' AND signal_id = '" + l.SignalID + "'"
			if got := one("SELECT milliwatt_hours FROM forgone_by_signal" + at); got != l.MilliwattHours {
				t.Errorf("%s %s: %d mWh, wanted %d", l.Reason, l.SignalID, got, l.MilliwattHours)
			}
			if got := one("SELECT net_microusd FROM forgone_by_signal" + at); got != l.NetMicrousd {
				t.Errorf("%s %s: %d µ$, wanted %d", l.Reason, l.SignalID, got, l.NetMicrousd)
			}
		}
		hoursAreExact(t, s, b)
	})
}

// hoursAreExact sums the shares anew.
func hoursAreExact(t *testing.T, s *Store, b *bus.Bus) {
	t.Helper()
	difficulty, numerator := map[string]*big.Int{}, map[string]*big.Int{}
	seen := map[string]bool{}
	for e, err := range b.Events(testContext(t), events.ReadRequest{Stream: events.StreamShares}) {
		if err != nil {
			continue
		}
		v, ok := verdictOf(e)
		if !ok || seen[v.shareID] {
			continue
		}
		seen[v.shareID] = true
		k := v.unit + " " + v.verdict
		if difficulty[k] == nil {
			difficulty[k], numerator[k] = new(big.Int), new(big.Int)
		}
		d, err := work.ParseDifficulty(v.difficulty)
		if err != nil {
			t.Fatal(err)
		}
		difficulty[k].Add(difficulty[k], d)
		if v.payout != nil && v.payout.Scheme == events.SchemeFPPS && !v.local {
			ep, err := work.NewEpoch(v.payout.NBits, v.payout.RewardSats, v.payout.FeePPM)
			if err != nil {
				t.Fatal(err)
			}
			var sum work.Sum
			ep.Add(&sum, d)
			numerator[k].Add(numerator[k], ep.Numerator(&sum))
		}
	}
	rows, err := s.db.QueryContext(context.Background(), "SELECT unit, verdict, difficulty_sum, value_numerator, value_millisats FROM unit_hours")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var unit, verdict, d, n string
		var msat int64
		if err := rows.Scan(&unit, &verdict, &d, &n, &msat); err != nil {
			t.Fatal(err)
		}
		x, err := work.ParseSum(d)
		if err != nil {
			t.Fatal(err)
		}
		y, _ := new(big.Int).SetString(n, 10)
		if want, _ := work.Split(y, math.MaxInt64); want != msat {
			t.Errorf("%s %s: %d msat, wanted %d", unit, verdict, msat, want)
		}
		k := unit + " " + verdict
		difficulty[k].Sub(difficulty[k], x)
		numerator[k].Sub(numerator[k], y)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for k := range difficulty {
		if difficulty[k].Sign() != 0 || numerator[k].Sign() != 0 {
			t.Errorf("%s: difficulty is off by %s, value by %s", k, difficulty[k], numerator[k])
		}
	}
}

// What the pool states of an unknown share decides it.
func TestStatementDecidesUnknownShares(t *testing.T) {
	b := openBus(t)
	f := newFacts(1)
	id := func(c string) string { return strings.Repeat(c, 64) }
	var evs []*events.Event
	for _, c := range []string{"a", "b", "c"} {
		evs = append(evs, f.event("gw-1", &events.ShareUnknown{ShareID: id(c), JobID: "j", Agent: "a", Unit: "u", Difficulty: "2", Detail: "cut", Basis: events.BasisLive, JudgedAt: f.at}))
	}
	evs = append(evs, f.event("pool-a", &events.PoolStatement{StatementID: "s", Pool: "pool-a", From: f.at, Until: f.at.Add(time.Hour), DifficultySum: "2", SharesAccepted: 1,
		Credited: []string{id("a")}, Refused: []string{id("b")}, Basis: events.BasisLive, StatedAt: f.at}))
	publish(t, b, evs...)
	onEach(t, func(t *testing.T, address string) {
		s := openStore(t, address)
		stop := run(t, b, s)
		until(t, b, s)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		got := query(t, s, "SELECT substr(share_id, 1, 1) AS id, first_verdict, verdict FROM standing_shares")
		want := []string{" id=a first_verdict=unknown verdict=accepted", " id=b first_verdict=unknown verdict=rejected", " id=c first_verdict=unknown verdict=unknown"}
		if !slices.Equal(got, want) {
			t.Errorf("have %q", got)
		}
	})
}

func TestWrongAddresses(t *testing.T) {
	ctx := testContext(t)
	for _, a := range []string{"", "mysql://u:geheim@h/x", ":memory:", "postgres://u:geheim@h:port/x", "postgres://u:geheim@127.0.0.1:1/x?connect_timeout=2", filepath.Join(t.TempDir(), "no", "such", "folder")} {
		s, err := Open(ctx, a)
		if err == nil {
			_ = s.Close()
			t.Errorf("%q was opened", a)
			continue
		}
		if strings.Contains(err.Error(), "geheim") && strings.HasPrefix(a, "postgres") {
			t.Errorf("%q: the error tells the password: %v", a, err)
		}
	}
	if _, err := OpenExisting(ctx, filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// Tables of a later program are left alone.
func TestNewerTablesAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, address string) {
		s := openStore(t, address)
		if _, err := s.db.ExecContext(testContext(t), s.bind("INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, ?)"), 99, s.value(true)); err != nil {
			t.Fatal(err)
		}
		if o, err := Open(testContext(t), address); err == nil || !strings.Contains(err.Error(), "newer") {
			if o != nil {
				_ = o.Close()
			}
			t.Errorf("newer tables: %v", err)
		}
	})
}
