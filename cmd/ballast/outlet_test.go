// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus/bustest"
)

// TestOutletIsSwitched: what a person asks for goes through the journal and
// dispatch to the process that switches, from there to the plug, and what became
// of it is stored.
func TestOutletIsSwitched(t *testing.T) {
	var asked atomic.Value // the newest request
	asked.Store("")
	plug := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Method + " " + r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(plug.Close)

	s := &faultSite{t: t, dir: t.TempDir()}
	addr := bustest.FreeAddress(t)
	s.url, s.conf = "nats://"+addr, filepath.Join(s.dir, "site.yaml")
	text := fmt.Sprintf(faultConfig, filepath.Join(s.dir, "data"), addr, 2*time.Minute, 1<<20, 10*time.Second) +
		"    outlets:\n      - {id: rack-7-o3, controller: pdu-7, agent: farm, unit: farm-3}\n"
	controller := filepath.Join(s.dir, "pdu-7.yaml")
	devices := fmt.Sprintf("outlets:\n  id: pdu-7\n  devices:\n    - id: rack-7-o3\n      off: {url: %q, method: POST}\n      on: {url: %q, method: POST}\n",
		plug.URL+"/relay/off", plug.URL+"/relay/on")
	for path, text := range map[string]string{s.conf: text, controller: devices} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.startBus()
	s.b = s.connect("test")
	s.role("dispatcher", "d1")
	agent := start(t, s.dir, "outlet", "serve", "--site", faultSiteID, "--config", controller, "--server", s.url, "--json")
	agent.waitLine(`"ready":true`, patience)

	// switched waits until the plug was asked and the answer to the newest command
	// is stored.
	switched := func(request string, off bool, state events.OutletState) {
		t.Helper()
		until(t, patience, "the plug is asked for "+request, func() bool { return asked.Load() == request })
		until(t, patience, "the outlet is known to be "+string(state), func() bool {
			c, o := last[events.CommandOutlet](s, time.Time{}), last[events.OutletStatus](s, time.Time{})
			if c == nil || o == nil || c.Data.Off != off || o.Data.Applied == nil || *o.Data.Applied != c.Data.Key {
				return false
			}
			if c.Data.Outlet != "rack-7-o3" || c.Data.Controller != "pdu-7" || c.Data.Reason != events.OutletOperator || o.Source != "pdu-7" || o.Data.Error != "" {
				t.Errorf("commanded %+v, answered by %s with %+v", c.Data, o.Source, o.Data)
			}
			return o.Data.State == state
		})
	}
	out := mustBallast(t, s.dir, "outlet", "off", "rack-7-o3", "--site", faultSiteID, "--reason", "burnt smell", "--server", s.url, "--json")
	if row := jsonLines(t, out); len(row) != 1 || row[0]["off"] != true || row[0]["stored"] != true {
		t.Errorf("outlet off --json: %s", out)
	}
	switched("POST /relay/off", true, events.OutletOff)
	out = mustBallast(t, s.dir, "outlet", "on", "rack-7-o3", "--site", faultSiteID, "--server", s.url)
	if !strings.Contains(out, "rack-7-o3 of tx1 is to be switched on") {
		t.Errorf("outlet on: %s", out)
	}
	switched("POST /relay/on", false, events.OutletOn)

	for _, args := range [][]string{{"off", "rack-9", "--site", faultSiteID}, {"on", "not a token", "--site", faultSiteID}} {
		if out, code := ballast(t, s.dir, append(append([]string{"outlet"}, args...), "--server", s.url)...); code != exitUsage {
			t.Errorf("outlet %v: exit %d, %s", args, code, out)
		}
	}
	// The end of the process that switches is none of the outlet's business.
	agent.signal(os.Interrupt)
	if code := agent.wait(patience); code != 0 {
		t.Errorf("outlet serve ends with %d:\n%s", code, agent.output())
	}
	if got := asked.Load(); got != "POST /relay/on" {
		t.Errorf("at the end the plug is asked for %q", got)
	}
}
