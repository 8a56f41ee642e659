// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"
)

// TestExplainAndWhy asks a running site, by every way in, and with nonsense.
func TestExplainAndWhy(t *testing.T) {
	s := startDemo(t, "--ai-peak", "400kW", "--boot", "1s", "--threads", "0")
	waitFor(t, s, time.Time{}, "mining runs", func(d map[string]any) bool { return d["permitted_after_watts"].(float64) > 0 })
	s.run("signal", "emergency", "--site", "demo", "--for", "10m", "--id", "eea3", "--reason", "EEA3", "--wait")
	for _, want := range []string{"bound by emergency", "signal emergency of operator eea3", "emergency eea3 of operator to 0W, grid-emergency  ← rules", "to lower less", "what followed"} {
		if out := s.run("explain", "--last"); !strings.Contains(out, want) {
			t.Errorf("explain --last lacks %q:\n%s", want, out)
		}
	}
	chain := jsonLines(t, s.run("explain", "--last", "--replay", "--json"))[0]
	if r, _ := chain["replayed"].(map[string]any); r["same"] != true {
		t.Errorf("folded again: %v", r)
	}
	id := chain["id"].(string)
	if again := jsonLines(t, s.run("explain", id, "--json"))[0]; again["id"] != id {
		t.Errorf("%s is %v", id, again["id"])
	}
	unit := jsonLines(t, s.run("explain", "--unit", "fleet-1-0001", "--json"))[0]
	if unit["asked"].(map[string]any)["type"] != "command.curtail" {
		t.Errorf("the newest command to a unit: %v", unit["asked"])
	}

	out := s.run("why")
	if !strings.Contains(out, "a grid emergency is in force") || !strings.Contains(out, "nameplate of") {
		t.Errorf("why says:\n%s", out)
	}
	why := jsonLines(t, s.run("why", "demo", "--json"))[0]["why"].(map[string]any)
	left := why["nameplate_watts"].(float64)
	for _, h := range why["held"].([]any) {
		left -= h.(map[string]any)["watts"].(float64)
	}
	if left != why["permitted_watts"] || left != 0 {
		t.Errorf("%v W remain of what is held, %v W are permitted: %v", left, why["permitted_watts"], why)
	}

	for _, tc := range []struct {
		args []string
		code int
	}{
		{[]string{"explain"}, exitUsage},
		{[]string{"explain", id, "--last"}, exitUsage},
		{[]string{"explain", "; rm -rf /"}, exitUsage},
		{[]string{"explain", "demo/settlement/1/2/3"}, exitUsage},
		{[]string{"explain", id, "--site", "other"}, exitUsage},
		{[]string{"explain", "demo/dispatch/1/99999999/0"}, exitFailed},
		{[]string{"explain", "COMMANDS/99999999"}, exitFailed},
		{[]string{"explain", "--unit", "nobody"}, exitFailed},
		{[]string{"explain", "--unit", "NO BODY"}, exitUsage},
		{[]string{"why", "nowhere"}, exitFailed},
		{[]string{"why", "demo", "--node", "rack-9"}, exitFailed},
		{[]string{"why", "demo", "--unit", "nobody"}, exitFailed},
	} {
		if out, code := ballast(t, s.dir, append(tc.args, "--server", s.url)...); code != tc.code || out != "" {
			t.Errorf("ballast %q: exit code %d, want %d:\n%s", tc.args, code, tc.code, out)
		}
	}
}
