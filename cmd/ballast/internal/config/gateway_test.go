// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// parseGateway reads a section as a file has it.
func parseGateway(t *testing.T, text string) (Gateway, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, nil)
	if err != nil {
		return Gateway{}, err
	}
	return c.Gateway, nil
}

func TestGatewayOfTheExample(t *testing.T) {
	c := Default()
	if err := Parse(Example(), &c); err != nil {
		t.Fatal(err)
	}
	want := defaultGateway()
	want.ID, want.Site, want.Pool, want.Scheme, want.Fee = "gw-1", "tx1", "pool-a", "fpps", 20_000
	want.Upstreams = []Upstream{
		{URL: "stratum+ssl://pool.example:3334", User: "acct.tx1", PasswordEnv: "POOL_PASSWORD"},
		{URL: "stratum+tcp://eu.pool.example:3333", User: "acct.tx1"},
	}
	want.ReconnectHosts = []string{".pool.example"}
	want.Miners.Listen = []Listen{
		{Address: "10.0.0.5:3333"},
		{Address: "10.0.0.5:3334", CertFile: "/etc/ballast/gateway.pem", KeyFile: "/etc/ballast/gateway.key"},
	}
	want.Miners.File = "/etc/ballast/miners.txt"
	if !reflect.DeepEqual(c.Gateway, want) {
		t.Errorf("read as\n%+v, want\n%+v", c.Gateway, want)
	}
	if !c.Gateway.Given() || c.Gateway.OnNodes() || c.Gateway.Basis() != events.BasisLive {
		t.Errorf("given %v, nodes %v, %s", c.Gateway.Given(), c.Gateway.OnNodes(), c.Gateway.Basis())
	}
}

// TestCommentedDefaultsAreTheDefaults: what the example comments out as the
// default of the gateway is the default, key by key.
func TestCommentedDefaultsAreTheDefaults(t *testing.T) {
	var section []string
	in := false
	for _, line := range strings.Split(string(Example()), "\n") {
		if strings.HasPrefix(line, "gateway:") {
			in = true
		} else if line != "" && line[0] != ' ' {
			in = false
		}
		key, rest, ok := strings.Cut(line, "# ")
		if in && ok && strings.TrimSpace(key) == "" && strings.Contains(rest, ": ") && !strings.Contains(rest, "(default") &&
			!strings.Contains(rest, "/etc/") && !strings.Contains(rest, "/var/") && !strings.Contains(rest, "bc1q") && !strings.Contains(rest, "pool.example") {
			line = key + rest
		}
		if in {
			section = append(section, line)
		}
	}
	with, without := Default(), Default()
	if err := Parse([]byte(strings.Join(section, "\n")), &with); err != nil {
		t.Fatal(err)
	}
	if err := Parse(Example(), &without); err != nil {
		t.Fatal(err)
	}
	with.Gateway.Solo.Network = "" // main is what its absence means
	if !reflect.DeepEqual(with.Gateway, without.Gateway) {
		t.Errorf("written out:\n%+v, left out:\n%+v", with.Gateway, without.Gateway)
	}
}

func TestGatewayKeepsDefaults(t *testing.T) {
	for name, text := range map[string]string{
		"no section":     "worker: {nice: 3}\n",
		"empty":          "gateway:\n",
		"empty sections": "gateway:\n  tls:\n  solo:\n  miners:\n    limits:\n",
		"braces":         "gateway: {tls: {}, solo: {}, miners: {limits: {}}}\n",
	} {
		g, err := parseGateway(t, text)
		if err != nil || g.Given() {
			t.Errorf("%s: %+v, %v", name, g, err)
		}
	}
	g, err := parseGateway(t, "gateway:\n  upstreams: [{url: 'http://node:8332', cookie_file: c}]\n  solo: {network: regtest, address: bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080}\n"+
		"  miners: {listen: [{address: ':0'}], any: true, min_difficulty: 0.0001220703125, max_difficulty: 1e3, limits: {idle: 5m}}\n")
	if err != nil {
		t.Fatal(err)
	}
	if g.Solo.Tag != "/ballast/" || g.Miners.MinDifficulty != "0.0001220703125" || g.Miners.StartDifficulty != "1024" ||
		time.Duration(g.Miners.Limits.Idle) != 5*time.Minute || g.Miners.Limits.Connections != 20_000 {
		t.Errorf("%+v", g)
	}
	if !g.OnNodes() || g.Basis() != events.BasisPractice {
		t.Errorf("nodes %v, %s", g.OnNodes(), g.Basis())
	}
}

func TestBadGatewaysAreRefused(t *testing.T) {
	const pool = "  upstreams: [{url: 'stratum+tcp://pool.example:3333', user: acct}]\n"
	const node = "  upstreams: [{url: 'http://node:8332', user: u, password_env: P}]\n"
	const paid = "  solo: {address: bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4}\n"
	for name, tc := range map[string]struct{ yaml, want string }{
		"unknown key":             {"  upstream: x\n", "[2:3]"},
		"unknown key of upstream": {"  upstreams:\n    - url: x\n      password: secret\n", "[4:7]"},
		"unknown key of miners":   {"  miners:\n    vardiff: 3\n", "[3:5]"},
		"unknown limit":           {"  miners:\n    limits:\n      conections: 3\n", "[4:7]"},
		"fee without percent":     {"  fee: 20000\n", "percentage"},
		"password in the URL":     {"  upstreams: [{url: 'stratum+tcp://acct:secret@pool.example:3333'}]\n", "password_file"},
		"user in a node's URL":    {"  upstreams: [{url: 'http://u:secret@node:8332'}]\n" + paid, "password_file"},
		"URL that is none":        {"  upstreams: [{url: 'stratum+tcp://acct:se%cret@pool.example:3333'}]\n", "cannot be read"},
		"no URL":                  {"  upstreams: [{user: acct}]\n", "url is missing"},
		"no such scheme":          {"  upstreams: [{url: 'ftp://pool.example:1', user: acct}]\n", "scheme \"ftp\""},
		"no port":                 {"  upstreams: [{url: 'stratum+tcp://pool.example', user: acct}]\n", "port is missing"},
		"a path":                  {"  upstreams: [{url: 'stratum+tcp://pool.example:3333/x', user: acct}]\n", "follows the port"},
		"no user":                 {"  upstreams: [{url: 'stratum+tcp://pool.example:3333'}]\n", "user of the pool"},
		"two passwords":           {"  upstreams: [{url: 'stratum+tcp://pool.example:3333', user: a, password_file: f, password_env: P}]\n", "not both"},
		"a pool with a cookie":    {"  upstreams: [{url: 'stratum+tcp://pool.example:3333', user: a, cookie_file: c}]\n", "for nodes"},
		"node without a user":     {"  upstreams: [{url: 'http://node:8332'}]\n" + paid, "cookie_file of Bitcoin Core"},
		"node without a password": {"  upstreams: [{url: 'http://node:8332', user: u}]\n" + paid, "password is missing"},
		"node with both":          {"  upstreams: [{url: 'http://node:8332', user: u, cookie_file: c}]\n" + paid, "not both"},
		"node with options":       {"  upstreams: [{url: 'http://node:8332?cookie=c', user: u}]\n" + paid, "keys of their own"},
		"node without address":    {node, "address that blocks pay"},
		"address of another":      {node + "  solo: {network: simnet, address: bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4}\n", "simnet"},
		"orphans at once":         {node + "  solo: {address: bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4, orphan_depth: 0}\n", "orphan_depth"},
		"orphans never":           {node + "  solo: {address: bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4, orphan_depth: 101}\n", "orphan_depth"},
		"folder for a pool":       {pool + "  solo: {data_dir: /var/lib/ballast}\n", "solo.data_dir"},
		"unknown network":         {node + "  solo: {network: moon, address: x}\n", "moon"},
		"node with a fee":         {node + paid + "  fee: 1%\n", "fee is for pools"},
		"node, TLS in vain":       {node + paid + "  tls: {ca_file: x}\n", "https only"},
		"pool with an address":    {pool + paid, "for nodes"},
		"both kinds":              {"  upstreams: [{url: 'stratum+tcp://p:1', user: a}, {url: 'http://n:2', cookie_file: c}]\n", "both pools and nodes"},
		"scheme of payment":       {pool + "  scheme: ppx\n", "fpps, pps"},
		"difficulty to suggest":   {pool + "  suggest_difficulty: none\n", "suggest_difficulty"},
		"reconnect host":          {pool + "  reconnect_hosts: ['stratum+tcp://x']\n", "reconnect host"},
		"no shares":               {pool + "  shares_per_second: 0\n", "shares_per_second"},
		"short lease":             {pool + "  lease_time: 10ms\n", "lease_time 10ms"},
		"bad id":                  {"  id: GW_1\n", "id"},
		"miners, who":             {"  miners: {listen: [{address: 'x:1'}]}\n", "which miners"},
		"miners, both":            {"  miners: {listen: [{address: 'x:1'}], any: true, file: f}\n", "which miners"},
		"miners, where":           {"  miners: {any: true}\n", "not where"},
		"no host:port":            {"  miners: {listen: [{address: '3333'}], any: true}\n", "host:port"},
		"no port number":          {"  miners: {listen: [{address: 'x:stratum'}], any: true}\n", "0 to 65535"},
		"an address twice":        {"  miners: {listen: [{address: 'x:1'}, {address: 'x:1'}], any: true}\n", "twice"},
		"half a certificate":      {"  miners: {listen: [{address: 'x:1', cert_file: c}], any: true}\n", "certificate and a key"},
		"difficulties crossed":    {"  miners: {min_difficulty: 8, max_difficulty: 4}\n", "above max_difficulty"},
		"no difficulty":           {"  miners: {start_difficulty: 0}\n", "start_difficulty"},
		"no connections":          {"  miners: {limits: {connections: 0}}\n", "limits.connections 0"},
		"short line":              {"  miners: {limits: {line_bytes: 10}}\n", "limits.line_bytes 10"},
		"never idle":              {"  miners: {limits: {idle: 0s}}\n", "limits.idle 0s"},
		"duration":                {"  miners: {limits: {idle: 10}}\n", "write it like"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseGateway(t, "gateway:\n"+tc.yaml)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("error %v, want one with %q", err, tc.want)
			}
			// The line of an unknown key is shown as it stands; no other error
			// may repeat a password.
			if strings.Contains(err.Error(), "secret") && name != "unknown key of upstream" {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestGatewayEnvironment(t *testing.T) {
	c, err := Load("", []string{"BALLAST_GATEWAY_ID=gw-7", "BALLAST_GATEWAY_FEE=1.5%", "BALLAST_GATEWAY_MINERS_LIMITS_CONNECTIONS=70",
		"BALLAST_GATEWAY_MINERS_LIMITS_IDLE=90s", "BALLAST_GATEWAY_SOLO_NETWORK=signet", "BALLAST_GATEWAY_MINERS_MIN_DIFFICULTY=0.5"})
	if err != nil {
		t.Fatal(err)
	}
	g := c.Gateway
	if g.ID != "gw-7" || g.Fee != 15_000 || g.Miners.Limits.Connections != 70 || g.Miners.Limits.Idle.Seconds() != 90 || g.Solo.Network != "signet" || g.Miners.MinDifficulty != "0.5" {
		t.Errorf("environment was not applied: %+v", g)
	}
	if _, err := Load("", []string{"BALLAST_GATEWAY_LIMIT=2"}); err == nil {
		t.Error("a variable for no key of the gateway was accepted")
	}
}

func FuzzGateway(f *testing.F) {
	f.Add("upstreams: [{url: 'stratum+tcp://pool.example:3333', user: acct}]")
	f.Add("upstreams: [{url: 'http://[::1]:8332', cookie_file: c}]\nsolo: {address: bc1q}")
	f.Add("miners: {listen: [{address: ':0'}], any: true, min_difficulty: 1e-5, limits: {idle: 1m}}")
	f.Fuzz(func(t *testing.T, text string) {
		c := Default()
		if Parse([]byte("gateway:\n  "+strings.ReplaceAll(text, "\n", "\n  ")), &c) != nil || c.Validate() != nil {
			return
		}
		for i := range c.Gateway.Upstreams {
			if strings.Contains(c.Gateway.Upstreams[i].Shown(), "@") {
				t.Errorf("%q is shown as %q", c.Gateway.Upstreams[i].URL, c.Gateway.Upstreams[i].Shown())
			}
		}
		_, _, _ = c.Gateway.OnNodes(), c.Gateway.Basis(), c.Gateway.Miners.Server()
	})
}
