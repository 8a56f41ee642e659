// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus/bustest"
)

// forgoneLog is two sites and three intervals, one of them taken back.
func forgoneLog() listLog {
	var l listLog
	put := func(site, id, reverses string, interval int, lines ...events.CurtailmentLine) {
		from := revenueStart.Add(time.Duration(interval) * 15 * time.Minute)
		e := events.New(site, events.SiteSource, &events.CurtailmentSettled{IntervalStart: from, IntervalEnd: from.Add(15 * time.Minute),
			NameplateMilliwattHours: 1_000_000, Lines: lines, Reverses: reverses})
		e.Stream, e.Sequence, e.Arrived = events.StreamRevenue, uint64(len(l)+1), from.Add(16*time.Minute)
		l = append(l, e.WithID(id))
	}
	line := func(basis events.Basis, reason events.Reason, signal string, mwh int64) events.CurtailmentLine {
		return events.CurtailmentLine{Basis: basis, Reason: reason, SignalID: signal, MilliwattHours: mwh, ModelledMilliwattHours: mwh / 10, Hashes: fmt.Sprint(mwh, "000000000000000000"),
			ForgoneMillisats: mwh, ForgoneMicrousd: mwh, AvoidedCostMicrousd: mwh / 2, NetMicrousd: mwh - mwh/2}
	}
	live, practice := events.BasisLive, events.BasisPractice
	put("tx1", "tx1/settlement/1/1/2", "", 0, line(live, events.ReasonGridCurtail, "a", 1000), line(live, events.ReasonGridCurtail, "b", 200), line(live, events.ReasonHeadroom, "", 30))
	put("tx1", "tx1/settlement/1/2/2", "", 1, line(live, events.ReasonGridCurtail, "a", 4))
	put("tx1", "tx1/settlement/lost/1/2/2", "tx1/settlement/1/2/2", 1)
	put("tx1", "tx1/settlement/2/2/2", "", 1, line(live, events.ReasonGridCurtail, "a", 5000), line(practice, events.ReasonGridCurtail, "a", 7))
	put("tx2", "tx2/settlement/1/1/2", "", 2, line(live, events.ReasonLease, "", 9))
	return l
}

func TestForgoneGroups(t *testing.T) {
	table := func(f *revenueFlags) string {
		t.Helper()
		lines, err := readForgone(t.Context(), forgoneLog(), f)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := writeForgoneCSV(&out, f.by, lines); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	const tail = "basis,milliwatt_hours,modelled_milliwatt_hours,hashes,forgone_millisats,forgone_microusd,avoided_cost_microusd,net_microusd\n"
	for _, c := range []struct {
		f    revenueFlags
		want string
	}{
		{revenueFlags{by: byReason}, "site,reason," + tail +
			"tx1,grid-curtail,live,6200,620,6200000000000000000000,6200,6200,3100,3100\n" +
			"tx1,grid-curtail,practice,7,0,7000000000000000000,7,7,3,4\n" +
			"tx1,headroom,live,30,3,30000000000000000000,30,30,15,15\n" +
			"tx2,lease,live,9,0,9000000000000000000,9,9,4,5\n"},
		{revenueFlags{by: bySignal}, "site,signal_id,reason," + tail +
			"tx1,,headroom,live,30,3,30000000000000000000,30,30,15,15\n" +
			"tx1,a,grid-curtail,live,6000,600,6000000000000000000000,6000,6000,3000,3000\n" +
			"tx1,a,grid-curtail,practice,7,0,7000000000000000000,7,7,3,4\n" +
			"tx1,b,grid-curtail,live,200,20,200000000000000000000,200,200,100,100\n" +
			"tx2,,lease,live,9,0,9000000000000000000,9,9,4,5\n"},
		{revenueFlags{by: byReason, sinceAt: revenueStart.Add(time.Minute), till: revenueStart.Add(30 * time.Minute)}, "site,reason," + tail +
			"tx1,grid-curtail,live,5000,500,5000000000000000000000,5000,5000,2500,2500\n" +
			"tx1,grid-curtail,practice,7,0,7000000000000000000,7,7,3,4\n"},
	} {
		if got := table(&c.f); got != c.want {
			t.Errorf("%+v:\n%s\nwant\n%s", c.f, got, c.want)
		}
	}
	lines, err := readForgone(t.Context(), forgoneLog(), &revenueFlags{by: bySignal})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "f.parquet")
	if err := writeParquet(name, lines); err != nil {
		t.Fatal(err)
	}
	back, err := parquet.ReadFile[forgoneLine](name)
	if err != nil || len(back) != len(lines) {
		t.Fatalf("%d rows, %v", len(back), err)
	}
	for i := range back {
		if back[i] != lines[i] {
			t.Errorf("row %d: %+v, want %+v", i, back[i], lines[i])
		}
	}
	now := revenueStart
	for _, f := range []revenueFlags{{by: byReason, csv: true}, {by: bySignal, since: "1h"}} {
		if err := f.check(now); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
	f := revenueFlags{by: byReason, follow: true}
	if err := f.check(now); err == nil {
		t.Error("--follow --by reason is taken")
	}
}

// A signal takes the power; afterwards the books say what that cost, under its
// name, and no margin has it.
func TestForgoneUnderItsSignal(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "site.yaml")
	text := "bus:\n  listen: " + bustest.FreeAddress(t) + "\n  data_dir: " + filepath.Join(dir, "data") + "\n" +
		strings.Replace(testSite, "interval: 1m, grace: 2s", "interval: 5s, grace: 1s", 1)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	site := start(t, dir, "serve", "--config", conf, "--role", "bus,dispatcher,pool,load,fleet,market", "--ai-peak", "2MW", "--machines", "20", "--boot", "500ms")
	site.waitLine("serving", patience)
	waitEvent(t, dir, "mining is permitted", func(ev map[string]any) bool {
		w, _ := data(ev)["permitted_after_watts"].(float64)
		return w > 0
	}, "dispatch.decided", "--config", conf)
	mustBallast(t, dir, "signal", "curtail", "--config", conf, "--site", "tx1", "--to", "0W", "--id", "eea-7", "--wait")
	under := func(lines any) (mwh float64) {
		list, _ := lines.([]any)
		for _, l := range list {
			if l, ok := l.(map[string]any); ok && l["signal_id"] == "eea-7" && l["reason"] == "grid-curtail" {
				mwh, _ = l["milliwatt_hours"].(float64)
			}
		}
		return mwh
	}
	waitEvent(t, dir, "an interval without power is settled", func(ev map[string]any) bool { return under(data(ev)["lines"]) > 0 }, "curtailment.settled", "--config", conf)

	find := func(by, field, value string) map[string]any {
		t.Helper()
		out := mustBallast(t, dir, "revenue", "--config", conf, "--by", by, "--json")
		for _, l := range jsonLines(t, out) {
			if l[field] == value {
				return l
			}
		}
		t.Fatalf("--by %s knows no %s:\n%s", by, value, out)
		return nil
	}
	reason := find("reason", "reason", "grid-curtail")
	signal := find("signal", "signal_id", "eea-7")
	for _, l := range []map[string]any{reason, signal} {
		if l["site"] != "tx1" || l["basis"] != "modelled" || l["milliwatt_hours"].(float64) <= 0 || l["modelled_milliwatt_hours"] != l["milliwatt_hours"] || l["hashes"] == "0" {
			t.Errorf("forgone: %v", l)
		}
	}
	if out := mustBallast(t, dir, "revenue", "--config", conf); !strings.Contains(out, "forgone modelled") {
		t.Errorf("ballast revenue says nothing of it:\n%s", out)
	}
	total := jsonLines(t, mustBallast(t, dir, "revenue", "--config", conf, "--json"))[0]
	if under(total["forgone"].(map[string]any)["lines"]) <= 0 {
		t.Errorf("totals: %v", total)
	}
	if out := mustBallast(t, dir, "revenue", "--config", conf, "--by", "signal"); !strings.Contains(out, "eea-7 grid-curtail") {
		t.Errorf("by signal:\n%s", out)
	}
	if code := site.end(patience); code != exitOK {
		t.Errorf("the site ended with %d:\n%s", code, site.output())
	}
}
