// SPDX-License-Identifier: Apache-2.0

package dispatch_test

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/handlers/scenario"
)

// recorded is the AC power of 64 nodes training a large language model.
const recorded = "../../../shared/data/ai-load/mlperf_training_v4.0/ac_64xSMC-H100-SXM-80GB_gpt3_2s.csv.gz"

// aiTrace returns the first run of the recording, W every two seconds.
func aiTrace(t *testing.T) []int64 {
	f, err := os.Open(recorded)
	if os.IsNotExist(err) {
		t.Skipf("no recorded AI load at %s: this test needs it", recorded)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var w []int64
	for _, r := range rows[1:] {
		if r[0] != rows[1][0] || r[2] != "64" {
			continue
		}
		v, err := strconv.ParseFloat(r[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		w = append(w, int64(v))
	}
	return w
}

// story lets fifty machines mine beside the recorded load.
func story(options string, trace []int64, expect string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `decider dispatch %s
config limit 600 kW, ai nameplate 480 kW, reserve 160 kW, min off 10s, ramp 50 kW/s, burst 200 kW, hysteresis 5 kW
config meter ai measures ai, every 1s, stale 5s, range 0 W to 700 kW
config meter mine measures mining, every 1s, stale 5s, range 0 W to 300 kW
at 0.5s worker farm announces 50 units of 3.5 kW at 20 J/TH, follows
from 0.3s every 1s meter mine reads workers
`, options)
	// The job starts within two minutes, before which the site was idle.
	start := make([]int64, 0, 120+len(trace))
	for i := range int64(120) {
		start = append(start, max(trace[0]*(i-60)/60, 20_000))
	}
	trace = append(start, trace...)
	for i, w := range trace {
		fmt.Fprintf(&b, "at %ds meter ai reads %d W\nat %ds meter ai reads %d W\n", 2*i, w, 2*i+1, w)
	}
	fmt.Fprintf(&b, "from 0s to %ds expect draw at most %s\nfrom 10s to %ds expect ramp farm\n", 2*len(trace), expect, 2*len(trace))
	return b.String()
}

// TestRecordedLoad holds the site under its limit through an hour of recorded
// training, and shows that without reductions mining would have broken it.
func TestRecordedLoad(t *testing.T) {
	trace := aiTrace(t)
	run := func(options, most string) error {
		s, err := scenario.Parse("recorded load "+options, []byte(story(options, trace, most)))
		if err != nil {
			t.Fatal(err)
		}
		return s.Play(build)
	}
	if err := run("", "600 kW"); err != nil {
		t.Errorf("the limit is broken: %v", err)
	}
	if err := run("no-reductions", "600 kW"); err == nil {
		t.Error("without reductions the limit holds too: the test proves nothing")
	}
}
