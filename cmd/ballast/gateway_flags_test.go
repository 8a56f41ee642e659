// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/workers/node/nodetest"
)

// laid parses flags as the command does and lays them over a section.
func laid(t *testing.T, g config.Gateway, args ...string) (config.Gateway, error) {
	t.Helper()
	var f gatewayFlags
	c := &cobra.Command{Use: "gateway"}
	f.add(c)
	if err := c.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return f.over(g)
}

// section reads the section gateway of a file.
func section(t *testing.T, text string) config.Gateway {
	t.Helper()
	c := config.Default()
	if err := config.Parse([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c.Gateway
}

const sectionOfAPool = `
gateway:
  id: gw-1
  upstreams:
    - {url: 'stratum+tcp://one.example:3333', user: acct.tx1, password_env: POOL_PASSWORD}
    - {url: 'stratum+ssl://two.example:3334', user: acct.tx1}
  fee: 2%
  miners:
    listen: [{address: '10.0.0.5:3333'}]
    file: miners.txt
    limits: {connections: 700}
`

// TestFlagsGoBeforeTheFile: what is given is the flag's, the rest the file's.
func TestFlagsGoBeforeTheFile(t *testing.T) {
	file := section(t, sectionOfAPool)
	g, err := laid(t, file)
	if err != nil || !reflect.DeepEqual(g, file) {
		t.Errorf("no flag: %+v, %v", g, err)
	}
	g, err = laid(t, file, "--fee-ppm", "5", "--miner-idle", "90s", "--miner-connections", "9", "--id", "gw-2", "--listen", "127.0.0.1:0", "--any-miner",
		"--upstream", "stratum+tcp://a:b@three.example:1", "--reconnect-host", "x.example", "--reconnect-host", "y.example", "--miner-max-difficulty", "4096")
	if err != nil {
		t.Fatal(err)
	}
	want := file
	want.Fee, want.ID, want.ReconnectHosts = 5, "gw-2", []string{"x.example", "y.example"}
	want.Upstreams = []config.Upstream{{URL: "stratum+tcp://a:b@three.example:1", FromFlag: true}}
	want.Miners.Listen, want.Miners.Any, want.Miners.File = []config.Listen{{Address: "127.0.0.1:0"}}, true, ""
	want.Miners.Limits.Idle, want.Miners.Limits.Connections, want.Miners.MaxDifficulty = config.Duration(90*time.Second), 9, "4096"
	if !reflect.DeepEqual(g, want) {
		t.Errorf("%+v, want %+v", g, want)
	}
	if g, err = laid(t, g, "--miners", "others.txt"); err != nil || g.Miners.Any || g.Miners.File != "others.txt" {
		t.Errorf("--miners over any: %+v, %v", g.Miners, err)
	}
	// A fee of the file's is no node's: that it would do nothing is said.
	if _, err = laid(t, file, "--upstream", "http://a:b@node:8332", "--network", "simnet", "--address", nodetest.Address); err == nil || !strings.Contains(err.Error(), "fee is for pools") {
		t.Errorf("a node with a pool's fee: %v", err)
	}
}

// TestEveryKeyHasAFlag: each scalar of the section and of its miners can be
// given on the command line, but for the keys of one upstream or address.
func TestEveryKeyHasAFlag(t *testing.T) {
	var g config.Gateway
	flags := map[any]string{}
	for _, k := range gatewayKeys() {
		flags[reflect.ValueOf(k.of(&g)).Pointer()] = k.name
	}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		for i := range v.NumField() {
			name := path + v.Type().Field(i).Tag.Get("yaml")
			switch f := v.Field(i); {
			case f.Kind() == reflect.Struct:
				walk(name+".", f)
			case name == "upstreams" || name == "miners.listen": // --upstream, --listen, --listen-tls
			case flags[f.Addr().Pointer()] == "":
				t.Errorf("gateway.%s has no flag", name)
			}
		}
	}
	walk("", reflect.ValueOf(&g).Elem())
}

// TestPasswordsComeFromTheirPlaces: files and variables are read, each line end
// of a file forgiven, and characters of a URL's own survive.
func TestPasswordsComeFromTheirPlaces(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := &app{out: os.Stdout, err: os.Stderr, environ: []string{"POOL_PASSWORD=p@ss/wo rd:#%", "EMPTY="}}
	g := section(t, sectionOfAPool)
	plan, err := a.planUpstream(&g, a.logger())
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"stratum+tcp://acct.tx1:p%40ss%2Fwo%20rd%3A%23%25@one.example:3333", "stratum+ssl://acct.tx1@two.example:3334"}; !reflect.DeepEqual(plan.pool.URLs, want) || plan.pool.Pool != "one-example" || plan.pool.FeePPM != 20_000 {
		t.Errorf("%q of %s at %d ppm, want %q", plan.pool.URLs, plan.pool.Pool, plan.pool.FeePPM, want)
	}
	up, err := plan.open("tx1", "gw-1")
	if err != nil || up.Address() != "stratum+tcp://one.example:3333" || up.another == nil {
		t.Errorf("%v, %v", up, err)
	}

	node := "gateway:\n  upstreams:\n    - {url: 'http://one:8332', user: u, password_file: " + write("good", "p:w\r\n") + "}\n" +
		"    - {url: 'http://two:8332', cookie_file: /none/.cookie}\n  solo: {network: simnet, address: " + nodetest.Address + "}\n"
	g = section(t, node)
	if plan, err = a.planUpstream(&g, a.logger()); err != nil {
		t.Fatal(err)
	}
	if n := plan.node.Nodes; n[0].User != "u" || n[0].Password != "p:w" || n[0].CookieFile != "" || n[1].User != "" || n[1].CookieFile != "/none/.cookie" {
		t.Errorf("%+v", n)
	}
	if up, err = plan.open("tx1", "gw-1"); err != nil || up.another != nil {
		t.Errorf("%v, %v", up, err)
	}

	for name, key := range map[string]string{
		"no such file": "password_file: " + filepath.Join(dir, "none"), "an empty file": "password_file: " + write("empty", "\n"),
		"two lines": "password_file: " + write("two", "a\nb\n"), "no such variable": "password_env: NO_SUCH", "an empty variable": "password_env: EMPTY",
	} {
		g := section(t, "gateway: {upstreams: [{url: 'stratum+tcp://p:1', user: a, "+key+"}]}")
		if _, err := a.planUpstream(&g, a.logger()); err == nil || !strings.Contains(err.Error(), "upstreams[0]: password_") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUpstreamFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pools.txt")
	if err := os.WriteFile(path, []byte("# first\nstratum+tcp://a:b@c:1\n\n  stratum+tcp://d:e@f:2  \r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	urls, err := upstreamURLs([]string{"stratum+tcp://x:y@z:3", "@" + path})
	if want := []string{"stratum+tcp://x:y@z:3", "stratum+tcp://a:b@c:1", "stratum+tcp://d:e@f:2"}; err != nil || !reflect.DeepEqual(urls, want) {
		t.Errorf("%q, %v, want %q", urls, err, want)
	}
}
