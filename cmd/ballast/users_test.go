// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events/bus/bustest"
)

// testSite is a site that feeds machines within seconds of its first readings.
const testSite = `
sites:
  - id: tx1
    limit: 6MW
    reserve: {margin: 100kW, envelope: 20s}
    meters:
      - {id: ai-feeder, measures: ai, period: 2s, stale: 5s}
      - {id: mining-1, measures: mining, period: 1s, stale: 5s}
    policy: {restart_delay: 0s, ramp_per_second: 1MW, ramp_burst: 1MW, min_off: 0s, economics: false}
    tariff: {interval: 1m, grace: 2s, accrual: 1s}
`

// writeSite writes a configuration with its own place and port and returns its
// name.
func writeSite(t *testing.T, dir, bus string) string {
	t.Helper()
	name := filepath.Join(dir, "site.yaml")
	text := "bus:\n  listen: " + bustest.FreeAddress(t) + "\n  data_dir: " + filepath.Join(dir, "data") + "\n" + bus + testSite
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// waitEvent follows events of a type, from the first, until one satisfies ok.
func waitEvent(t *testing.T, dir, what string, ok func(ev map[string]any) bool, args ...string) {
	t.Helper()
	w := start(t, dir, append([]string{"watch", "--json", "--since", "1h"}, args...)...)
	defer w.kill()
	deadline := time.After(patience)
	seen := 0
	for {
		w.mu.Lock()
		lines, more := w.out[seen:], w.line
		seen = len(w.out)
		w.mu.Unlock()
		for _, line := range lines {
			var ev map[string]any
			if json.Unmarshal([]byte(line), &ev) == nil && ok(ev) {
				return
			}
		}
		select {
		case <-more:
		case <-w.done:
			t.Fatalf("%s: watch ended: %s", what, w.output())
		case <-deadline:
			t.Fatalf("%s: no such event; watched:\n%s", what, w.output())
		}
	}
}

func data(ev map[string]any) map[string]any {
	d, _ := ev["data"].(map[string]any)
	return d
}

// TestSeparateProcesses runs every role as a process of its own, told by one
// configuration file only, and lets power flow, fall and be proven.
func TestSeparateProcesses(t *testing.T) {
	dir := t.TempDir()
	conf := writeSite(t, dir, "")
	metrics := bustest.FreeAddress(t)
	serve := func(args ...string) *process {
		p := start(t, dir, append([]string{"serve", "--config", conf}, args...)...)
		p.waitLine("serving", patience)
		return p
	}
	bus := serve("--role", "bus")
	first := serve("--role", "dispatcher", "--name", "a", "--metrics", metrics)
	second := serve("--role", "dispatcher", "--name", "b")
	others := []*process{
		serve("--role", "pool"), serve("--role", "market"),
		serve("--role", "load", "--ai-peak", "2MW"),
		serve("--role", "fleet", "--machines", "50", "--boot", "500ms"),
	}
	worker := start(t, dir, "worker", "--config", conf, "--site", "tx1", "--id", "rig-1", "--threads", "1")
	worker.waitLine("rig-1 joined tx1", patience)

	waitEvent(t, dir, "mining is permitted", func(ev map[string]any) bool {
		w, _ := data(ev)["permitted_after_watts"].(float64)
		return w > 0
	}, "dispatch.decided", "--config", conf)
	waitEvent(t, dir, "a share of the worker is accepted", func(ev map[string]any) bool {
		return data(ev)["unit"] == "rig-1"
	}, "share.accepted", "--config", conf)

	// The standby goes on alone.
	first.kill()
	out := mustBallast(t, dir, "signal", "curtail", "--config", conf, "--site", "tx1", "--to", "0W", "--wait", "--json")
	last := jsonLines(t, out)
	if step := last[len(last)-1]["step"]; step != "metered" {
		t.Errorf("the curtail ended with %v:\n%s", step, out)
	}
	if out := mustBallast(t, dir, "journal", "replay", "--verify", "--config", conf); strings.Count(out, "verified") != 3 || strings.Contains(out, "NOT") {
		t.Errorf("journal replay --verify says:\n%s", out)
	}
	for _, p := range append([]*process{worker, second}, append(others, bus)...) {
		if code := p.end(patience); code != exitOK {
			t.Errorf("%s ended with %d:\n%s", p.name, code, p.output())
		}
	}
}

// TestMetricsEndpoint reads what a role tells about itself.
func TestMetricsEndpoint(t *testing.T) {
	dir := t.TempDir()
	conf := writeSite(t, dir, "")
	addr := bustest.FreeAddress(t)
	p := start(t, dir, "serve", "--config", conf, "--role", "bus,dispatcher", "--metrics", addr)
	p.waitLine("serving", patience)
	resp, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ballast_build_info{", "go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(string(b), want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	taken := start(t, dir, "worker", "--config", conf, "--site", "tx1", "--id", "w", "--metrics", addr)
	if code := taken.wait(patience); code != exitFailed {
		t.Errorf("a worker whose metrics address is taken ended with %d:\n%s", code, taken.output())
	}
}

// TestJoinToken lets a worker join a secured bus by its token, keeps it from
// everything else, and revokes it.
func TestJoinToken(t *testing.T) {
	dir := t.TempDir()
	conf := writeSite(t, dir, "  secure: true\n")
	token := func(args ...string) (name, user string) {
		t.Helper()
		out := mustBallast(t, dir, append([]string{"join-token", "--config", conf, "--json"}, args...)...)
		v := jsonLines(t, out)[0]
		name = filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(name, []byte(v["token"].(string)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return "@" + name, v["user"].(string)
	}
	site := start(t, dir, "serve", "--config", conf, "--role", "bus,dispatcher,pool,load,fleet,market", "--ai-peak", "2MW", "--machines", "20", "--boot", "500ms")
	site.waitLine("serving", patience)
	rig, user := token("--role", "worker", "--id", "rig-1", "--site", "tx1")
	viewer, _ := token("--role", "viewer", "--id", "board")
	issuer, _ := token("--role", "issuer", "--id", "ercot", "--site", "tx1")
	operator, _ := token("--role", "operator", "--id", "ann")

	worker := start(t, dir, "worker", "--join", rig, "--threads", "1")
	worker.waitLine("rig-1 joined tx1", patience)
	waitEvent(t, dir, "the worker hashes", func(ev map[string]any) bool { return data(ev)["unit"] == "rig-1" }, "share.accepted", "--join", viewer)

	for _, tc := range []struct {
		join string
		args []string
		code int
	}{
		{viewer, []string{"doctor"}, exitOK},
		{viewer, []string{"revenue"}, exitOK},
		{viewer, []string{"explain", "--last", "--replay"}, exitOK},
		{viewer, []string{"why", "tx1"}, exitOK},
		{viewer, []string{"signal", "curtail", "--site", "tx1", "--to", "0W"}, exitUsage},
		{viewer, []string{"stop", "--all"}, exitUsage},
		{rig, []string{"signal", "emergency", "--site", "tx1"}, exitUsage},
		{issuer, []string{"stop", "--all"}, exitUsage},
		{issuer, []string{"signal", "curtail", "--site", "tx1", "--to", "0W", "--wait"}, exitUsage},
		{issuer, []string{"signal", "curtail", "--site", "tx1", "--to", "0W", "--id", "eea", "--for", "1h"}, exitOK},
		{operator, []string{"signal", "cancel", "no-such", "--site", "tx1"}, exitFailed},
		{operator, []string{"signal", "cancel", "eea", "--site", "tx1"}, exitOK},
		{operator, []string{"stop", "--all", "--site", "tx1", "--wait"}, exitOK},
		{"@" + filepath.Join(dir, "none"), []string{"doctor"}, exitUsage},
		{"ballast-join-1.x", []string{"doctor"}, exitUsage},
		{"", []string{"doctor"}, exitUsage},
	} {
		if out, code := ballast(t, dir, append(tc.args, "--join", tc.join)...); code != tc.code {
			t.Errorf("ballast %s: exit code %d, want %d\n%s", strings.Join(tc.args, " "), code, tc.code, out)
		}
	}
	if _, code := ballast(t, dir, "doctor", "--config", conf); code != exitUnreachable {
		t.Errorf("a secured bus let somebody in without credentials: exit code %d", code)
	}

	mustBallast(t, dir, "join-token", "--config", conf, "--revoke", user)
	if code := worker.wait(patience); code != exitFailed {
		t.Errorf("a revoked worker ended with %d:\n%s", code, worker.output())
	}
	if _, code := ballast(t, dir, "worker", "--join", rig); code != exitUnreachable {
		t.Errorf("a revoked worker came back: exit code %d", code)
	}
}

// TestPlainSignal: a signal that a plain tool published without id or header is
// listed and cancelled by the id that the decisions name.
func TestPlainSignal(t *testing.T) {
	s := startDemo(t, "--ai-peak", "400kW", "--boot", "1s", "--threads", "0")
	mining := func(d map[string]any) bool { return d["permitted_after_watts"].(float64) > 0 }
	waitFor(t, s, time.Time{}, "mining runs", mining)
	nc, err := nats.Connect(s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Request("ballast.demo.grid.signal.desk", []byte(`{"kind":"curtail","power_watts":0,"duration_seconds":600}`), patience); err != nil {
		t.Fatal(err)
	}
	rows := jsonLines(t, s.run("signal", "ls", "--json"))
	if len(rows) != 1 || rows[0]["signal_id"] == "" {
		t.Fatalf("signal ls: %v", rows)
	}
	id := rows[0]["signal_id"].(string)
	waitFor(t, s, time.Time{}, "a decision names the signal "+id, func(d map[string]any) bool { return d["signal_id"] == id })
	cancelled := time.Now()
	s.run("signal", "cancel", id, "--site", "demo")
	waitFor(t, s, cancelled, "mining runs again", func(d map[string]any) bool { return mining(d) && d["permitted_before_watts"].(float64) == 0 })
	if out := s.run("signal", "ls"); !strings.Contains(out, "no signals in force") {
		t.Errorf("after the cancel:\n%s", out)
	}
}

// TestExportImport carries a journal to another bus and proves it there, in
// every way that replay offers.
func TestExportImport(t *testing.T) {
	s := startDemo(t, "--ai-peak", "400kW", "--boot", "1s", "--threads", "0")
	waitFor(t, s, time.Time{}, "mining runs", func(d map[string]any) bool { return d["permitted_after_watts"].(float64) > 0 })
	s.run("signal", "curtail", "--site", "demo", "--to", "0MW", "--wait")
	file := filepath.Join(s.dir, "day.ndjson.zst")
	s.run("journal", "export", file, "--site", "demo")
	verified := func(out string) {
		t.Helper()
		lines := jsonLines(t, out)
		if len(lines) != 3 {
			t.Fatalf("%d reports, want one per decider:\n%s", len(lines), out)
		}
		for _, l := range lines {
			// What follows from the last messages may be stored while the streams
			// are read one after the other.
			if l["verified"] != true || l["equal"].(float64)+l["behind"].(float64) != l["stored"] || l["identity"].(map[string]any)["decider"] == nil {
				t.Errorf("not verified: %v", l)
			}
		}
	}
	verified(mustBallast(t, s.dir, "journal", "replay", "--verify", "--file", file, "--json"))

	other := startDemo(t, "--ai-peak", "400kW", "--no-fleet", "--threads", "0", "--site", "elsewhere")
	other.run("journal", "import", "case-7", file)
	verified(other.run("journal", "replay", "--verify", "--import", "case-7", "--json"))
	if out, code := ballast(t, other.dir, "journal", "import", "case-7", file, "--server", other.url); code != exitFailed {
		t.Errorf("a second import of the same name: exit code %d\n%s", code, out)
	}
	if out := other.run("signal", "ls", "--all"); strings.Contains(out, "curtail") {
		t.Errorf("an imported signal is live:\n%s", out)
	}
	other.run("journal", "forget", "case-7")
	if _, code := ballast(t, other.dir, "journal", "replay", "--verify", "--import", "case-7", "--server", other.url); code != exitFailed {
		t.Errorf("a forgotten import was replayed: exit code %d", code)
	}

	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(s.dir, "cut.ndjson.zst")
	if err := os.WriteFile(cut, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := ballast(t, s.dir, "journal", "replay", "--verify", "--file", cut); code == exitOK {
		t.Errorf("half an export was verified:\n%s", out)
	}
}

// TestJSONEverywhere: with --json every verb writes JSON and nothing else on
// its standard output.
func TestJSONEverywhere(t *testing.T) {
	s := startDemo(t, "--ai-peak", "400kW", "--boot", "1s")
	waitFor(t, s, time.Time{}, "mining runs", func(d map[string]any) bool { return d["permitted_after_watts"].(float64) > 0 })
	conf := writeSite(t, t.TempDir(), "")
	file := filepath.Join(s.dir, "x.ndjson.zst")
	keys := filepath.Join(s.dir, "data")
	for _, args := range [][]string{
		{"signal", "curtail", "--site", "demo", "--to", "0W", "--id", "one", "--wait"},
		{"signal", "setpoint", "--site", "demo", "--to", "1kW", "--for", "1s"},
		{"signal", "import-limit", "--site", "demo", "--to", "1MW", "--for", "1s"},
		{"signal", "emergency", "--site", "demo", "--test"},
		{"signal", "price", "--site", "demo", "--price=-3.5"},
		{"signal", "ls"},
		{"signal", "cancel", "one", "--site", "demo"},
		{"signal", "restore", "--site", "demo"},
		{"stop", "--all", "--id", "halt"},
		{"revenue"},
		{"revenue", "--by", "reason"},
		{"explain", "--last", "--replay"},
		{"why", "demo", "--units"},
		{"doctor"},
		{"engine", "list"},
		{"simulate", "--seeds", "2"},
		{"engine", "selftest", "--hits", "50"},
		{"decider", "ls", "--site", "demo"},
		{"decider", "activate", "dispatch", "--site", "demo"},
		{"journal", "ls", "--site", "demo"},
		{"journal", "export", file, "--site", "demo"},
		{"journal", "import", "x", file},
		{"journal", "replay", "--import", "x"},
		{"journal", "replay", "--verify", "--site", "demo"},
		{"journal", "forget", "x"},
		{"schema", "list"},
		{"schema", "show", "grid.signal"},
		{"config", "check", conf},
		{"join-token", "--role", "viewer", "--id", "v", "--data-dir", keys},
	} {
		out := s.run(append(args, "--json")...)
		if strings.TrimSpace(out) == "" && args[0] != "revenue" { // nothing is booked yet
			t.Errorf("ballast %s --json says nothing", strings.Join(args, " "))
			continue
		}
		dec := json.NewDecoder(strings.NewReader(out))
		for dec.More() {
			var v any
			if err := dec.Decode(&v); err != nil {
				t.Errorf("ballast %s --json: %v in:\n%s", strings.Join(args, " "), err, out)
				break
			}
		}
	}
	// What a person reads is one short line per event, statuses included.
	for _, line := range strings.Split(s.run("journal", "ls", "--site", "demo"), "\n") {
		if len(line) > 400 || strings.Contains(line, `{"`) {
			t.Errorf("no words for a person: %.200s", line)
		}
	}
}
