// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/node/nodetest"
	"github.com/ballast-energy/ballast/workers/stratum/server"
)

// A miner of another make, which shares no code with us, connects to the
// gateway's server; its shares are events, and the pool behind has them.
func TestForeignMinerOnTheGateway(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("SKIPPED: the foreign miner needs node (Node.js) on the PATH")
	}
	const easy = "0.0001220703125"
	pool := startPool(t, easy)
	s := newFaultSite(t, faultOptions{})
	s.role("market", "market")
	miners := filepath.Join(s.dir, "miners.txt")
	if err := os.WriteFile(miners, []byte("# who may mine\nrig-a secret\nrig-b -\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway := start(t, s.dir, "gateway", "--site", faultSiteID, "--id", "gw-1", "--upstream", "stratum+tcp://acct:x@"+pool.address,
		"--pool", "pool-a", "--server", s.url, "--json", "--listen", "127.0.0.1:0", "--miners", miners,
		"--miner-min-difficulty", "0.0001", "--miner-start-difficulty", easy)
	var ready struct{ Listens []string }
	if err := json.Unmarshal([]byte(gateway.waitLine(`"listens"`, patience)), &ready); err != nil || len(ready.Listens) != 1 {
		t.Fatalf("%v: %v", ready, err)
	}
	_, port, err := net.SplitHostPort(ready.Listens[0])
	if err != nil {
		t.Fatal(err)
	}
	mine := func(user, password string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, node, filepath.Join("testdata", "js", "miner.mjs"), port, user, password, "3").CombinedOutput()
		return string(out), err
	}
	for _, login := range [][2]string{{"acct.rig-a", "secret,d=" + easy}, {"rig-b", "whatever"}} {
		if out, err := mine(login[0], login[1]); err != nil {
			t.Errorf("%s: %v: %s", login[0], err, out)
		}
	}
	if out, err := mine("acct.rig-a", "guess"); err == nil || !strings.Contains(out, "not authorised") {
		t.Errorf("a wrong password: %v: %s", err, out)
	}
	units := map[string]int{}
	until(t, patience, "verdicts on the miner's shares", func() bool {
		clear(units)
		for e, err := range events.Read[events.ShareAccepted](t.Context(), s.b, events.AtSite(faultSiteID), events.BySource("gw-1")) {
			if err != nil {
				t.Fatal(err)
			}
			if !e.Data.Local {
				units[e.Data.Unit]++
			}
		}
		return units["rig-a"] >= 3 && units["rig-b"] >= 3
	})
	if code := gateway.end(patience); code != 0 {
		t.Errorf("gateway ended with %d", code)
	}
	s.account().check(t)
}

func TestMinerList(t *testing.T) {
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "miners")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for name, text := range map[string]string{
		"nobody": "# nobody\n", "no password": "rig-a\n", "three words": "rig-a b c\n", "bad name": "Rig_A x\n", "twice": "a b\na c\n", "comma": "a b,c\n",
	} {
		if _, err := readMiners(write(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	l, err := readMiners(write("rig-a secret\n\n  rig-b -\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ user, password, unit string }{
		{"acct.rig-a", "secret", "rig-a"},
		{"RIG-A", "secret,d=512", "rig-a"},
		{"rig-a", "", ""},
		{"rig-a", "secre", ""},
		{"acct.rig-b", "anything", "rig-b"},
		{"rig-c", "secret", ""},
		{"...", "secret", ""},
	} {
		unit, err := l.Authorise(t.Context(), server.Login{User: c.user, Password: c.password})
		if unit != c.unit || (err == nil) != (c.unit != "") {
			t.Errorf("%s with %q: unit %q, %v", c.user, c.password, unit, err)
		}
	}
}

// TestGatewayRefuses: wrong usage is said before anything is connected.
func TestGatewayRefuses(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"no upstream":         {},
		"an empty list":       {"--upstream", "@" + empty},
		"no such scheme":      {"--upstream", "ftp://pool.example:1"},
		"both kinds":          {"--upstream", "stratum+tcp://a:b@127.0.0.1:1", "--upstream", "http://a:b@127.0.0.1:2", "--address", nodetest.Address},
		"node, no address":    {"--upstream", "http://a:b@127.0.0.1:1"},
		"address of another":  {"--upstream", "http://a:b@127.0.0.1:1", "--network", "main", "--address", nodetest.Address},
		"fee above 100 %":     {"--upstream", "stratum+tcp://a:b@127.0.0.1:1", "--fee-ppm", "1000001"},
		"listen, for whom":    {"--upstream", "stratum+tcp://a:b@127.0.0.1:1", "--listen", "127.0.0.1:0"},
		"TLS, no certificate": {"--upstream", "stratum+tcp://a:b@127.0.0.1:1", "--listen-tls", "127.0.0.1:0", "--any-miner"},
		"miners, no listener": {"--upstream", "stratum+tcp://a:b@127.0.0.1:1", "--any-miner"},
		"a node with a fee":   {"--upstream", "http://a:b@127.0.0.1:1", "--network", "simnet", "--address", nodetest.Address, "--fee-ppm", "1"},
		"a pool's address":    {"--upstream", "stratum+tcp://a:b@127.0.0.1:1", "--address", nodetest.Address},
		"nobody connects":     {"--upstream", "stratum+tcp://a:b@127.0.0.1:1", "--listen", "127.0.0.1:0", "--any-miner", "--miner-connections", "0"},
		"no time":             {"--upstream", "stratum+tcp://a:b@127.0.0.1:1", "--listen", "127.0.0.1:0", "--any-miner", "--miner-idle", "-1s"},
		"port of a word":      {"--upstream", "stratum+tcp://a:b@127.0.0.1:1", "--listen", "127.0.0.1:stratum", "--any-miner"},
	} {
		if out, code := ballast(t, dir, append([]string{"gateway", "--site", "tx1", "--id", "gw-1", "--server", "nats://127.0.0.1:1"}, args...)...); code != exitUsage {
			t.Errorf("%s: exit code %d, want %d: %s", name, code, exitUsage, out)
		}
	}
}
