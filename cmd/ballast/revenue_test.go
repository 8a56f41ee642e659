// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/ballast-energy/ballast/events"
)

// listLog is a log of events in memory.
type listLog []*events.Event

func (l listLog) Events(_ context.Context, r events.ReadRequest) iter.Seq2[*events.Event, error] {
	return func(yield func(*events.Event, error) bool) {
		for _, e := range l {
			if e.Stream != r.Stream || len(r.Types) > 0 && !slices.Contains(r.Types, e.Type) ||
				e.Arrived.Before(r.Since) || !r.Until.IsZero() && !e.Arrived.Before(r.Until) {
				continue
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

var revenueStart = time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC)

// The figures are those of 1000 shares of difficulty 1048576 at 2 % fee, 400
// in one worker and 600 in another, in two hours.
func revenueLog() listLog {
	pay := events.Payout{Pool: "pool-a", NBits: "17034219", RewardSats: 317_500_000, FeePPM: 20_000, Scheme: events.SchemeFPPS, Basis: events.BasisLive}
	var l listLog
	put := func(at time.Time, source, stream string, p events.Payload) {
		e := events.New("tx1", source, p)
		e.Stream, e.Sequence, e.Arrived = stream, uint64(len(l)+1), at
		e.ID = fmt.Sprint(len(l))
		l = append(l, e)
	}
	share := func(i int) (time.Time, string, string) {
		unit, at := "u1", revenueStart.Add(time.Duration(i)*time.Second)
		if i >= 400 {
			unit, at = "u2", at.Add(30*time.Minute)
		}
		return at, unit, fmt.Sprintf("%064x", i)
	}
	for i := range 1000 {
		at, unit, id := share(i)
		put(at, "gw-1", events.StreamShares, &events.ShareAccepted{ShareID: id, JobID: "j", Agent: "a", Unit: unit, Difficulty: "1048576", Payout: pay, JudgedAt: at})
		if i%100 == 0 { // once more, by another gateway
			put(at, "gw-2", events.StreamShares, &events.ShareRejected{ShareID: id, JobID: "j", Agent: "a", Unit: unit, Difficulty: "1048576", Reason: events.RejectDuplicate, Basis: events.BasisLive, JudgedAt: at})
		}
	}
	at, _, _ := share(999)
	put(at, "gw-1", events.StreamShares, &events.ShareAccepted{ShareID: strings.Repeat("a", 64), JobID: "j", Agent: "a", Unit: "u2", Difficulty: "10", Payout: pay, Local: true, JudgedAt: at})
	put(at, "gw-1", events.StreamShares, &events.ShareUnknown{ShareID: strings.Repeat("b", 64), JobID: "j", Agent: "a", Unit: "u2", Difficulty: "10", Detail: "cut", Basis: events.BasisLive, JudgedAt: at})
	for range 2 { // both gateways report the block
		put(at, "gw-1", events.StreamShares, &events.BlockFound{BlockHash: strings.Repeat("c", 64), Height: 1, Pool: "pool-a", JobID: "j", Agent: "a", Unit: "u2", RewardSats: 1, Scheme: events.SchemeFPPS, Basis: events.BasisLive, SeenAt: at})
	}
	accrue := func(from time.Time, msat, price, usd int64, reverses string) {
		put(from.Add(time.Hour), "site", events.StreamRevenue, &events.RevenueAccrued{From: from, Until: from.Add(30 * time.Minute), Payout: pay, ValueMillisats: msat,
			BTCPriceMicrousd: price, ValueMicrousd: usd, Reverses: reverses, DifficultySum: "1", CarryNumerator: "0", CarryDenominator: "1"})
	}
	accrue(revenueStart, 1_510_683, 90_000_000_000, 1_359_614, "")
	accrue(revenueStart.Add(30*time.Minute), 2_266_025, 100_000_000_000, 2_266_025, "")
	accrue(revenueStart, 999, 0, 5, "")
	accrue(revenueStart, -999, 0, -5, "x") // taken back
	return l
}

func TestRevenueGroups(t *testing.T) {
	now := revenueStart.Add(2 * time.Hour)
	group := func(f *revenueFlags) []revenueLine {
		t.Helper()
		lines, err := readRevenue(t.Context(), revenueLog(), f, now)
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	workers := group(&revenueFlags{by: byWorker})
	if len(workers) != 2 {
		t.Fatalf("%d workers", len(workers))
	}
	u1, u2 := workers[0], workers[1]
	if u1.Unit != "u1" || u1.ValueMillisats != 1_510_683 || u1.SharesAccepted != 400 || u1.SharesRejected != 0 || u1.ValueMicrousd != 1_359_615 && u1.ValueMicrousd != 1_359_614 {
		t.Errorf("u1: %+v", u1)
	}
	if u2.Unit != "u2" || u2.ValueMillisats != 2_266_025 || u2.SharesAccepted != 600 || u2.SharesLocal != 1 || u2.SharesUnknown != 1 || u2.BlocksFound != 1 || u2.DifficultySum != "629145600" {
		t.Errorf("u2: %+v", u2)
	}
	// 600·1048576 + 10 of local work, over two hours, at 4295032833 hashes.
	if want := int64(629145610) * 4295032833 / 1_000_000 / 7200; u2.HashrateMHs != want {
		t.Errorf("hash rate %d, wanted %d", u2.HashrateMHs, want)
	}
	// D/D_net with D_net = 86388558925171.0117
	if !strings.HasPrefix(u2.BlocksExpected, "0.00000728274") || u2.LuckMillionths == nil || *u2.LuckMillionths/1_000_000 != 137310 {
		t.Errorf("luck: %s expected, %v", u2.BlocksExpected, u2.LuckMillionths)
	}
	if u1.LuckMillionths != nil {
		t.Error("luck without a block")
	}

	hours := group(&revenueFlags{by: byHour})
	if len(hours) != 2 || hours[0].Hour.Hour() != 10 || hours[0].ValueMillisats != 1_510_683 || hours[1].ValueMillisats != 2_266_025 ||
		hours[0].ValueMicrousd != 1_359_614 || hours[0].SharesAccepted != 400 || hours[1].SharesAccepted != 600 {
		t.Errorf("hours: %+v", hours)
	}
	// The first hour is known from its first share on: 30 minutes.
	if want := int64(400*1048576) * 4295032833 / 1_000_000 / 1800; hours[0].HashrateMHs != want {
		t.Errorf("hash rate %d, wanted %d", hours[0].HashrateMHs, want)
	}
	site := group(&revenueFlags{by: bySite})
	if len(site) != 1 || site[0].ValueMillisats != 3_776_708 || site[0].SharesAccepted != 1000 {
		t.Errorf("site: %+v", site)
	}
	late := group(&revenueFlags{by: bySite, sinceAt: revenueStart.Add(30 * time.Minute)})
	if len(late) != 1 || late[0].ValueMillisats != 2_266_025 || late[0].SharesAccepted != 600 {
		t.Errorf("since: %+v", late)
	}
	early := group(&revenueFlags{by: bySite, till: revenueStart.Add(30 * time.Minute)})
	if len(early) != 1 || early[0].ValueMillisats != 1_510_683 || early[0].SharesAccepted != 400 {
		t.Errorf("until: %+v", early)
	}
}

func TestRevenueFiles(t *testing.T) {
	lines, err := readRevenue(t.Context(), revenueLog(), &revenueFlags{by: byHour}, revenueStart.Add(2*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeCSV(&out, byHour, lines); err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(rows) != 3 || !strings.HasPrefix(rows[0], "site,hour,basis,shares_accepted,") || !strings.HasPrefix(rows[1], "tx1,2026-03-01T10:00:00Z,live,400,0,0,0,419430400,1510683,1359614,") {
		t.Errorf("CSV:\n%s", out.String())
	}
	name := filepath.Join(t.TempDir(), "r.parquet")
	if err := writeParquet(name, parquetLines(lines)); err != nil {
		t.Fatal(err)
	}
	back, err := parquet.ReadFile[parquetLine](name)
	if err != nil {
		t.Fatal(err)
	}
	if len(back) != 2 || back[0].ValueMillisats != 1_510_683 || *back[1].Hour != lines[1].Hour.UnixMicro() || back[0].LuckMillionths != nil || *back[1].LuckMillionths != *lines[1].LuckMillionths {
		t.Errorf("Parquet: %+v", back)
	}
	if left, _ := filepath.Glob(name + ".*"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := writeParquet(filepath.Join(t.TempDir(), "no", "r.parquet"), parquetLines(lines)); err == nil {
		t.Error("a folder that is not there")
	}
	if err := writeParquet[parquetLine](name, nil); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() == 0 {
		t.Errorf("a file without rows: %v %v", info, err)
	}
}

func TestRevenueFlags(t *testing.T) {
	now := revenueStart
	for _, f := range []revenueFlags{{by: "day"}, {csv: true, parquet: "x"}, {follow: true, by: bySite}, {follow: true, csv: true}, {follow: true, until: "1h"},
		{since: "yesterday"}, {since: "-1h"}, {until: "x"}, {since: "1h", until: "2h"}} {
		if err := f.check(now); err == nil {
			t.Errorf("%+v is taken", f)
		}
	}
	f := revenueFlags{since: "24h", until: "2026-03-01T10:00:00Z", csv: true}
	if err := f.check(now); err != nil || f.by != bySite || !f.sinceAt.Equal(now.Add(-24*time.Hour)) || f.till.Hour() != 10 {
		t.Errorf("%+v: %v", f, err)
	}
	f = revenueFlags{since: "0"}
	if err := f.check(now); err != nil || !f.sinceAt.IsZero() {
		t.Errorf("--since 0: %+v %v", f, err)
	}
}
