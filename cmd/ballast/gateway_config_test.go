// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

const poolPassword = "hunter2 is secret"

// gatewayFile writes a configuration whose gateway mines for a pool, on a bus.
func gatewayFile(t *testing.T, dir, pool, more string) string {
	t.Helper()
	password, file := filepath.Join(dir, "pool.password"), filepath.Join(dir, "real.yaml")
	text := fmt.Sprintf("gateway:\n  id: gw-9\n  pool: pool-a\n  upstreams:\n    - url: stratum+tcp://%s\n      user: acct.tx1\n      password_file: %s\n  fee: 2%%\n%s", pool, password, more)
	for name, text := range map[string]string{password: poolPassword + "\n", file: text} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return file
}

// TestGatewayOfAConfiguration: the section alone runs a gateway, a flag goes
// before it, and nothing that is printed holds the password.
func TestGatewayOfAConfiguration(t *testing.T) {
	const easy = "0.0001220703125"
	pool := startPool(t, easy)
	s := newFaultSite(t, faultOptions{})
	s.role("market", "market")
	miners := filepath.Join(s.dir, "miners.txt")
	if err := os.WriteFile(miners, []byte("rig-a secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := gatewayFile(t, s.dir, pool.address, "  site: "+faultSiteID+"\n  miners:\n    listen: [{address: '127.0.0.1:0'}]\n    file: "+miners+"\n    min_difficulty: 0.0001\n")
	check := mustBallast(t, s.dir, "config", "check", file)
	for _, want := range []string{"gateway gw-9 of site " + faultSiteID, "pool-a at stratum+tcp://" + pool.address + " as acct.tx1", "pool.password", "fee 2% (20000 ppm)", "miners connect to 127.0.0.1:0: those of " + miners, "20,000 connections, 4096 of one address"} {
		if !strings.Contains(check, want) {
			t.Errorf("config check does not say %q:\n%s", want, check)
		}
	}
	asJSON := mustBallast(t, s.dir, "config", "check", file, "--json")
	if v := jsonLines(t, asJSON); len(v) != 1 || v[0]["gateway"].(map[string]any)["fee_ppm"] != 20000. {
		t.Errorf("config check --json: %s", asJSON)
	}
	gateway := start(t, s.dir, "gateway", "--config", file, "--id", "gw-8", "--server", s.url, "--json", "--verbose")
	var ready struct {
		Gateway, Site, Pool, Upstream string
		Listens                       []string
	}
	if err := json.Unmarshal([]byte(gateway.waitLine(`"listens"`, patience)), &ready); err != nil || len(ready.Listens) != 1 {
		t.Fatalf("%+v: %v", ready, err)
	}
	if ready.Gateway != "gw-8" || ready.Site != faultSiteID || ready.Pool != "pool-a" || ready.Upstream != "stratum+tcp://"+pool.address {
		t.Errorf("%+v", ready)
	}
	next(s, "the gateway has a session", func(e events.Of[events.GatewayStatus]) bool {
		return e.Source == "gw-8" && e.Data.State == events.UpstreamReady
	})
	if code := gateway.end(patience); code != 0 {
		t.Errorf("gateway ended with %d", code)
	}
	for what, out := range map[string]string{"config check": check, "config check --json": asJSON, "gateway": gateway.output()} {
		if strings.Contains(out, "hunter2") {
			t.Errorf("%s shows the password:\n%s", what, out)
		}
	}
}

// TestUpMinesForAPool: with a section gateway the site mines for that pool, and
// nothing is practice; without, TestNewcomer sees practice.
func TestUpMinesForAPool(t *testing.T) {
	pool := startPool(t, "0.00390625")
	file := gatewayFile(t, t.TempDir(), pool.address, "")
	s := startDemo(t, "--config", file, "--ai-peak", "400kW", "--no-fleet")
	s.main.waitLine("gw-9 of demo connects to pool-a at stratum+tcp://"+pool.address, patience)
	until(t, patience, "shares accepted by the pool", func() bool {
		out, _ := ballast(t, s.dir, "pool", "status", "--json", "--server", s.url)
		for _, l := range jsonLines(t, out) {
			if status, ok := l["status"].(map[string]any); ok && status["shares_accepted"].(float64) > 0 {
				return l["gateway"] == "gw-9"
			}
		}
		return false
	})
	if code := s.main.end(patience); code != 0 {
		t.Errorf("up ended with %d", code)
	}
	out := s.main.output()
	if i := strings.Index(out, "Summary of demo"); i < 0 || !strings.Contains(out[i:], "live") || strings.Contains(out[i:], "practice") {
		t.Errorf("the summary is not that of a live pool:\n%s", out)
	}
	if strings.Contains(out, "hunter2") {
		t.Errorf("up shows the password:\n%s", out)
	}
}

func TestUpRefusesGateways(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const pool = "gateway:\n  upstreams: [{url: 'stratum+tcp://127.0.0.1:1', user: a}]\n"
	for name, args := range map[string][]string{
		"no upstreams":    {"--config", file("a", "gateway: {fee: 1%}\n")},
		"another site":    {"--config", file("b", pool+"  site: tx1\n")},
		"two sites":       {"--config", file("c", pool), "--compare-unsafe"},
		"no password":     {"--config", file("d", "gateway:\n  upstreams: [{url: 'stratum+tcp://127.0.0.1:1', user: a, password_file: none}]\n")},
		"no miners' file": {"--config", file("e", pool+"  miners: {listen: [{address: '127.0.0.1:0'}], file: none}\n")},
	} {
		if out, code := ballast(t, dir, append([]string{"up"}, args...)...); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, exitUsage, out)
		}
	}
}
