// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// twoLies cannot be told from a real load: the AI meter reads a thousandth and
// the total meter nothing while the load rises. It fails by physics, whatever
// the deciders do.
const twoLies = `# two meters at once
seed 1
run until 3m
host host-a
config limit 100 kW, ai nameplate 90 kW, reserve 5 kW
config meter ai-a measures ai, every 1s, stale 5s, range 0 W to 200 kW
worker rig-1 has 4 units of 15 kW at 20 J/TH, min 15 kW, falls 2s
at 0s ai load 30 kW
at 1m10s ai load 85 kW
at 2m20s ai load 30 kW
from 1m0s to 2m30s ai-a reads a thousandth
from 2m40s to 2m50s host-a is down
`

func TestSimulateHolds(t *testing.T) {
	dir := t.TempDir()
	if out := mustBallast(t, dir, "simulate", "--seeds", "3"); !strings.Contains(out, "simulated hours per minute") || !strings.HasPrefix(out, "3 seeds") {
		t.Errorf("no summary:\n%s", out)
	}
	sum := jsonLines(t, mustBallast(t, dir, "simulate", "--seeds", "2", "--seed", "5", "--json"))
	if len(sum) != 1 || sum[0]["seeds"].(float64) != 2 || sum[0]["failed"] != nil {
		t.Errorf("summary: %v", sum)
	}
	one := mustBallast(t, dir, "simulate", "--seed", "5", "--trace")
	if !strings.Contains(one, "folds from 1") || !strings.Contains(one, "fault: ") || !strings.Contains(one, "all rules held for 10m0s") {
		t.Errorf("no trace:\n%s", one)
	}
	if again := mustBallast(t, dir, "simulate", "--seed", "5", "--trace"); again != one {
		t.Error("the same seed gave another run")
	}
}

func TestSimulateFinds(t *testing.T) {
	dir := t.TempDir()
	story, small := filepath.Join(dir, "lies.scenario"), filepath.Join(dir, "small.scenario")
	if err := os.WriteFile(story, []byte(twoLies), 0o600); err != nil {
		t.Fatal(err)
	}
	out, code := ballast(t, dir, "simulate", "--scenario", story, "--write", small)
	if code != exitDiffers || !strings.Contains(out, "# SPDX-License-Identifier") || strings.Contains(out, "host-a is down") {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	written, err := os.ReadFile(small)
	if err != nil || !strings.Contains(out, string(written)[:40]) {
		t.Fatalf("%v\n%s", err, written)
	}
	lines, code := ballast(t, dir, "simulate", "--scenario", small, "--json")
	if code != exitDiffers {
		t.Fatalf("what was written does not fail: exit code %d\n%s", code, lines)
	}
	v := jsonLines(t, lines)
	if rule := v[0]["violation"].(map[string]any)["rule"]; rule != "no limit exceeded because of mining" || len(v) != 2 || v[1]["scenario"] == "" {
		t.Errorf("%v", v)
	}
}

func TestSimulateRefuses(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.scenario")
	if err := os.WriteFile(bad, []byte("fly away\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"simulate", "--trace"},
		{"simulate", "--seeds", "2", "--trace"},
		{"simulate", "--scenario", bad},
		{"simulate", "--scenario", filepath.Join(dir, "none")},
		{"simulate", "--scenario", bad, "--seed", "1"},
		{"simulate", "--seeds", "-1"},
	} {
		if out, code := ballast(t, dir, args...); code != exitUsage {
			t.Errorf("ballast %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, exitUsage, out)
		}
	}
}
