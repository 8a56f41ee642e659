// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/events/bus/bustest"
)

// TestEventReport goes from a signal to the report of what came of it, over a
// real bus: the site obeys, the meters show it, the event is booked, and two
// files say so.
func TestEventReport(t *testing.T) {
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
	if _, code := ballast(t, dir, "report", "event", "nobody-sent-this", "--config", conf); code != exitFailed {
		t.Errorf("an unknown event: exit code %d", code)
	}
	mustBallast(t, dir, "signal", "curtail", "--config", conf, "--site", "tx1", "--to", "0W", "--id", "eea-7", "--reason", "EEA2 <b>", "--wait")
	if out, code := ballast(t, dir, "report", "event", "eea-7", "--config", conf); code != exitFailed {
		t.Errorf("an event that is not over: exit code %d\n%s", code, out)
	}
	mustBallast(t, dir, "signal", "cancel", "eea-7", "--config", conf, "--site", "tx1")
	waitEvent(t, dir, "the event is booked", func(ev map[string]any) bool { return data(ev)["signal_id"] == "eea-7" }, "programme.performed", "--config", conf)

	rows := jsonLines(t, mustBallast(t, dir, "report", "events", "--config", conf, "--json"))
	if len(rows) != 1 || rows[0]["signal_id"] != "eea-7" || rows[0]["final"] != false {
		t.Fatalf("%v", rows)
	}
	out := filepath.Join(dir, "reports")
	done := jsonLines(t, mustBallast(t, dir, "report", "event", "eea-7", "--config", conf, "--out", out, "--json"))
	if len(done) != 1 || done[0]["site"] != "tx1" || done[0]["html"] != filepath.Join(out, "event-eea-7.html") {
		t.Fatalf("%v", done)
	}
	page, err := os.ReadFile(filepath.Join(out, "event-eea-7.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"EEA2 &lt;b&gt;", "First command stored", "Preliminary", "</html>"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
	table, err := os.ReadFile(filepath.Join(out, "event-eea-7.csv"))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	if err != nil || len(lines) < 2 || lines[1][0] != "eea-7" {
		t.Errorf("%d lines, %v", len(lines), err)
	}
	if out := mustBallast(t, dir, "report", "events", "--config", conf); !strings.Contains(out, "eea-7") {
		t.Errorf("list:\n%s", out)
	}
	site.kill()
}

func TestReportFileNames(t *testing.T) {
	for id, want := range map[string]string{"EEA2-7": "EEA2-7", "a_b.c": "a_b.c"} {
		if got := fileName(id); got != want {
			t.Errorf("%q: %q", id, got)
		}
	}
	seen := map[string]bool{}
	for _, id := range []string{"../../etc/passwd", "a/b", "a:b", "a b", strings.Repeat("x", 256), "ü", "INPUTS:1:7"} {
		got := fileName(id)
		if strings.ContainsAny(got, `/\: `) || len(got) > 100 || seen[got] {
			t.Errorf("%q: %q", id, got)
		}
		seen[got] = true
	}
}
