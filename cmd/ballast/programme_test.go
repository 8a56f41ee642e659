// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strings"
	"testing"
)

// TestProgrammeLs: what the configuration says of programmes, what of them is in
// force, and who is silent, as a person and a program read it.
func TestProgrammeLs(t *testing.T) {
	dir := t.TempDir()
	conf := writeSite(t, dir, "")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	with := strings.TrimRight(string(text), "\n") + `
    programmes:
      - {id: ers-10, name: Emergency response, product: ERS-10, market: ERCOT, measures: mining, limit_is: cap, response: 10m, ramp: 5m, recovery: 15m, tests: obey}
      - {id: target, measures: total, limit_is: shed, silence: {source: broker, after: 4m, then: limit, limit: 100kW}}
`
	if err := os.WriteFile(conf, []byte(with), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir, "serve", "--config", conf, "--role", "bus,dispatcher")
	p.waitLine("serving", patience)
	mustBallast(t, dir, "signal", "curtail", "--config", conf, "--site", "tx1", "--to", "1MW", "--programme", "ers-10", "--id", "eea", "--for", "1h")
	out := mustBallast(t, dir, "programme", "ls", "--config", conf, "--site", "tx1")
	for _, want := range []string{"ers-10", "ramping", "Emergency response", "ERCOT ERS-10", "mining capped at the point of connection", "response 10m", "recovery 15m",
		"tests are carried out", "signals eea", "target", "all load shed by", "silent after 4m without broker, then 100kW; NEVER HEARD"} {
		if !strings.Contains(out, want) {
			t.Errorf("programme ls lacks %q:\n%s", want, out)
		}
	}
	rows := jsonLines(t, mustBallast(t, dir, "programme", "ls", "--config", conf, "--json"))
	if len(rows) != 2 || rows[0]["state"] != "ramping" || rows[1]["silent"] != true || rows[0]["programme"].(map[string]any)["ramp_seconds"] != 300.0 {
		t.Errorf("programme ls --json: %v", rows)
	}
	list := jsonLines(t, mustBallast(t, dir, "signal", "ls", "--config", conf, "--json"))
	if len(list) != 1 || list[0]["state"] != "ramping" || list[0]["ramp_at"] == nil || list[0]["recovered_at"] == nil {
		t.Errorf("signal ls --json: %v", list)
	}
}
