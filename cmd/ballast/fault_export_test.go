// SPDX-License-Identifier: Apache-2.0

package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// A journal that went through a crash of the bus is exported, and verified on
// another data directory, by another server, with nothing of the first left.
func TestFaultExportVerifiedElsewhere(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	d := s.role("dispatcher", "d")
	s.machines("fleet-1", 50)
	stop := s.running(s.feed, s.signals)
	s.decided("the machines get power")
	s.server.kill()
	s.startBus()
	_, epoch := s.journalStateAgain()
	next(s, "a decision after the crash", func(e events.Of[events.DispatchDecided]) bool { return e.Data.Key.Epoch == epoch })
	for range 20 {
		s.decided("decisions go on")
	}
	stop()
	s.quiet(3 * time.Second)
	s.verify(2 * time.Second) // waits until what was decided is stored
	file := filepath.Join(t.TempDir(), "case.ndjson.zst")
	mustBallast(t, s.dir, "journal", "export", file, "--site", faultSiteID, "--server", s.url)
	verified(t, s.dir, "--file", file)
	d.kill()
	s.server.kill()

	other := newFaultSite(t, faultOptions{})
	mustBallast(t, other.dir, "journal", "import", "case-7", file, "--server", other.url)
	verified(t, other.dir, "--import", "case-7", "--server", other.url)
	// What was imported is not live there: nobody decided anything.
	if last, _ := other.journalState(); last != 0 {
		t.Errorf("the import put %d messages into the live journal", last)
	}
	if all := other.whole(); len(all) != 0 {
		t.Errorf("the import put %d decisions into COMMANDS", len(all))
	}
}

// verified replays with the command line and wants every decider equal. The end of
// the journal that the killed server took with it, if it did, is named as lost.
func verified(t *testing.T, dir string, args ...string) {
	t.Helper()
	out, code := ballast(t, dir, append([]string{"journal", "replay", "--verify", "--json"}, args...)...)
	want := 0
	for _, r := range jsonLines(t, out) {
		id := r["identity"].(map[string]any)
		if r["verified"] != true {
			t.Errorf("not verified:\n%v", r)
		}
		t.Logf("%v: %v messages, %v outputs compared, %v equal, lost %v", id, r["messages"], r["compared"], r["equal"], r["lost"])
		if r["compared"].(float64) == 0 && id["decider"] == "dispatch" {
			t.Errorf("nothing was compared:\n%v", r)
		}
		lost, _ := r["lost"].([]any)
		if r["complete"] != (len(lost) == 0) {
			t.Errorf("not complete although nothing was lost, or the reverse:\n%v", r)
		}
		for _, l := range lost {
			want = exitIncomplete
			if l.(map[string]any)["known_cut"] != true {
				t.Errorf("lost without a cut:\n%v", r)
			}
		}
	}
	if code != want {
		t.Errorf("ballast %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, want, out)
	}
}
