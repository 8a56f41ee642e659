// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// A gateway dies and starts anew. The agents, whose work has died with the
// session, have work of the new one though none of them speaks again: at the
// difficulty that they had, which follows from what they announced and not from
// the status after it. One that has left gets none.
func TestAStartGivesWorkToAgentsThatDoNotSpeak(t *testing.T) {
	b := openBus(t)
	start := func(w *events.WorkAssigned) string {
		of, _, _ := strings.Cut(w.JobID, "-")
		return of
	}
	stop := serving(t, b, "gw-1", newPool("0.000002"))
	rigs := []*rig{newRig(t, b, "rig-1"), newRig(t, b, "rig-2")}
	gone := newRig(t, b, "rig-0") // before the others, in the order of work
	first := gone.any()
	for _, r := range rigs {
		if w := r.any(); start(w) != start(first) {
			t.Fatalf("%s has work of %s, %s of %s", r.id, start(w), gone.id, start(first))
		}
		publish(t, b, r.status(false))
	}
	leaving := gone.status(false)
	leaving.Data.(*events.WorkerStatus).Leaving = true
	publish(t, b, leaving)
	stop()
	serving(t, b, "gw-1", newPool("0.000002"))
	deadline := time.After(patience)
	for _, r := range rigs {
		for had := ""; ; {
			r.mu.Lock()
			w := r.work[len(r.work)-1]
			for _, x := range r.work {
				if start(x) == start(first) {
					had = x.ShareDifficulty
				}
			}
			r.mu.Unlock()
			if start(w) != start(first) {
				if w.ShareDifficulty != had {
					t.Errorf("%s has work of difficulty %s, and had %s", r.id, w.ShareDifficulty, had)
				}
				break
			}
			select {
			case <-r.news:
			case <-deadline:
				t.Fatalf("%s has no work of the new start, as it did not speak", r.id)
			}
		}
	}
	gone.mu.Lock()
	defer gone.mu.Unlock()
	if w := gone.work[len(gone.work)-1]; start(w) != start(first) {
		t.Errorf("%s has left and got job %s", gone.id, w.JobID)
	}
}
