// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/workers/node/nodetest"
)

// scriptedPool answers each method as the script says; what the script leaves
// out it grants, but for version rolling. It returns where it listens.
func scriptedPool(t *testing.T, script map[string]string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the gateway
				defer c.Close()
				for lines := bufio.NewScanner(c); lines.Scan(); {
					var m struct {
						ID     json.RawMessage
						Method string
					}
					if json.Unmarshal(lines.Bytes(), &m) != nil {
						return
					}
					answer, ok := script[m.Method]
					switch {
					case ok:
					case m.Method == "mining.configure":
						answer = `"result":{"version-rolling":false},"error":null`
					default:
						answer = `"result":true,"error":null`
					}
					if _, err := fmt.Fprintf(c, "{\"id\":%s,%s}\n", m.ID, answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

const subscribed = `"result":[[["mining.notify","x"]],"a511026b",8],"error":null`

// syncingNode is on the main network and not ready to mine.
func syncingNode(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			ID     json.RawMessage
			Method string
		}
		b, err := io.ReadAll(r.Body)
		if err != nil || json.Unmarshal(b, &m) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if m.Method == "getblockhash" {
			fmt.Fprintf(w, `{"id":%s,"error":null,"result":"000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"}`, m.ID)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `{"id":%s,"result":null,"error":{"code":-10,"message":"in initial sync and waiting for blocks..."}}`, m.ID)
	}))
	t.Cleanup(s.Close)
	return strings.Replace(s.URL, "http://", "http://u:p@", 1)
}

// piped runs a command as in a pipe on a terminal that shows colours.
func piped(t *testing.T, dir string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), builtBinary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=", "TERM=xterm-256color")
	b, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

const mainAddress = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"

// TestOperatorSeesWhatIsWrong: whatever is wrong with a pool or a node, the
// gateway runs on, and pool status and the doctor say what it is.
func TestOperatorSeesWhatIsWrong(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	if out, code := piped(t, s.dir, "pool", "status", "--server", s.url); code != exitDiffers || !strings.Contains(out, "no gateway has spoken") {
		t.Errorf("no gateway: exit code %d: %s", code, out)
	}
	if out, code := piped(t, s.dir, "pool", "status", "--server", s.url, "--site", "nowhere"); code != exitDiffers || !strings.Contains(out, "it knows: "+faultSiteID) {
		t.Errorf("no such site: exit code %d: %s", code, out)
	}
	if out, code := piped(t, s.dir, "pool", "status", "--server", "nats://127.0.0.1:1"); code != exitUnreachable {
		t.Errorf("no bus: exit code %d: %s", code, out)
	}
	real := nodetest.Start(t)
	wrongPassword := "http://tester:wrong@" + strings.TrimPrefix(real.Endpoint().URL, "http://")
	for _, c := range []struct {
		name, upstream string
		args           []string
		want           string
	}{
		{"refuses the user", "stratum+tcp://acct.x:x@" + scriptedPool(t, map[string]string{
			"mining.subscribe": subscribed, "mining.authorize": `"result":null,"error":[24,"no such account",null]`}), nil, "refused worker acct.x: no such account (code 24); check the account and its password"},
		{"gives no job", "stratum+tcp://acct.x:x@" + scriptedPool(t, map[string]string{"mining.subscribe": subscribed}), nil, " job"}, // it waits for the first, and later: has sent none
		{"nobody there", "stratum+tcp://acct.x:x@127.0.0.1:1", nil, "connection refused"},
		{"node, password", wrongPassword, []string{"--network", nodetest.Network, "--address", nodetest.Address}, "refuses the user or password"},
		{"node, syncing", syncingNode(t), []string{"--address", mainAddress}, "in initial sync"},
	} {
		t.Run(c.name, func(t *testing.T) {
			gateway := start(t, s.dir, append([]string{"gateway", "--site", faultSiteID, "--id", "gw-1", "--upstream", c.upstream, "--server", s.url}, c.args...)...)
			gateway.waitLine("gw-1 of "+faultSiteID+" connects to ", patience)
			var out string
			until(t, patience, "pool status says "+c.want, func() bool {
				var code int
				if out, code = piped(t, s.dir, "pool", "status", "--server", s.url); code != exitDiffers {
					t.Errorf("exit code %d: %s", code, out)
				}
				return strings.Contains(out, c.want)
			})
			if !strings.Contains(out, "→ ballast watch alert --site "+faultSiteID) || !strings.Contains(out, "no gateway serves "+faultSiteID) || strings.Contains(out, "\x1b") {
				t.Errorf("pool status says:\n%q", out)
			}
			// A gateway whose words are late, on a busy machine, is taken for dead
			// until the next one comes.
			until(t, patience, "pool status says that the gateway is alive and serves nobody", func() bool {
				asJSON, code := ballast(t, s.dir, "pool", "status", "--json", "--server", s.url)
				v := jsonLines(t, asJSON)
				if len(v) != 1 || code != exitDiffers || v[0]["serving"] != false {
					t.Errorf("exit code %d: %s", code, asJSON)
				}
				return t.Failed() || v[0]["alive"] == true
			})
			if out, _ := ballast(t, s.dir, "doctor", "--server", s.url); !strings.Contains(out, "critical "+faultSiteID+" gateway gw-1") {
				t.Errorf("the doctor says:\n%s", out)
			}
			if code := gateway.end(patience); code != 0 {
				t.Errorf("gateway ended with %d", code)
			}
			var code int
			until(t, patience, "the gateway is known to have ended", func() bool {
				out, code = piped(t, s.dir, "pool", "status", "--server", s.url)
				return strings.Contains(out, "ended ")
			})
			if code != exitDiffers || !strings.Contains(out, "no gateway serves") {
				t.Errorf("all have ended: exit code %d: %s", code, out)
			}
		})
	}
	t.Run("another network", func(t *testing.T) {
		gateway := start(t, s.dir, "gateway", "--site", faultSiteID, "--id", "gw-1", "--upstream", real.URL(), "--address", mainAddress, "--server", s.url)
		if code := gateway.wait(patience); code != exitUsage || !strings.Contains(gateway.output(), "is on simnet, configured is main") {
			t.Errorf("exit code %d: %s", code, gateway.output())
		}
		if strings.Contains(gateway.output(), "gateway gw-1: gateway gw-1") {
			t.Errorf("it names itself twice: %s", gateway.output())
		}
	})
	t.Run("port taken", func(t *testing.T) {
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		gateway := start(t, s.dir, "gateway", "--site", faultSiteID, "--id", "gw-1", "--upstream", "stratum+tcp://acct.x:x@127.0.0.1:1", "--server", s.url,
			"--listen", taken.Addr().String(), "--any-miner")
		if code := gateway.wait(patience); code != exitFailed || !strings.Contains(gateway.output(), "choose another with --listen") {
			t.Errorf("exit code %d: %s", code, gateway.output())
		}
	})
}

// TestStandby: a second gateway of an id that is to wait does, and takes over
// when the first dies.
func TestStandby(t *testing.T) {
	pool := startPool(t, "1")
	s := newFaultSite(t, faultOptions{})
	launch := func(args ...string) *process {
		return start(t, s.dir, append([]string{"gateway", "--site", faultSiteID, "--id", "gw-1", "--upstream", "stratum+tcp://acct:x@" + pool.address, "--server", s.url, "--json"}, args...)...)
	}
	const serves = `"gateway":"gw-1"`
	first := launch()
	first.waitLine(serves, patience)
	if second := launch(); second.wait(patience) != exitFailed || !strings.Contains(second.output(), "--standby") {
		t.Errorf("a second gateway of the id says:\n%s", second.output())
	}
	standby := launch("--standby", "--lease-time", "2s")
	standby.waitLine("standby=true", patience)
	first.kill()
	standby.waitLine(serves, patience)
	if code := standby.end(patience); code != 0 {
		t.Errorf("the standby ended with %d", code)
	}
}
