// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

// Two processes of one gateway's id would call each other's shares stale: the
// second says who runs, and ends. When the first has been killed the next one
// serves, without waiting for a lease to run out.
func TestSecondGatewayOfAnIDEnds(t *testing.T) {
	pool := startPool(t, "1")
	s := newFaultSite(t, faultOptions{})
	s.role("market", "market")
	launch := func() *process {
		return start(t, s.dir, "gateway", "--site", faultSiteID, "--id", "gw-1", "--upstream", "stratum+tcp://acct:x@"+pool.address, "--server", s.url, "--json")
	}
	const serves = `"gateway":"gw-1"`
	first := launch()
	first.waitLine(serves, patience)
	second := launch()
	if code := second.wait(patience); code == 0 {
		t.Error("the second ended as if nothing were wrong")
	}
	for _, part := range []string{"gw-1", "runs already", "host ", "process ", "--id"} {
		if !strings.Contains(second.output(), part) {
			t.Errorf("%q is not said:\n%s", part, second.output())
		}
	}
	if strings.Contains(second.output(), serves) {
		t.Errorf("the second said that it serves:\n%s", second.output())
	}
	first.kill()
	third := launch()
	third.waitLine(serves, patience)
	if code := third.end(patience); code != 0 {
		t.Errorf("gateway ended with %d", code)
	}
}
