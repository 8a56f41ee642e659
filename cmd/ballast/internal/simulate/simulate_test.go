// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func TestStoriesHaveEnoughInThem(t *testing.T) {
	kinds := map[FaultKind]int{}
	points := map[Point]int{}
	foretold := 0
	for seed := range uint64(500) {
		s := NewStory(seed)
		for i := range s.Load {
			if s.foretold(i, 20*time.Second, 45*time.Second) {
				foretold++
			}
		}
		if err := s.Check(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		units := 0
		for _, a := range s.Agents {
			units += a.Units
		}
		if s.Length < 10*time.Minute || units < 8 || len(s.Config.Meters) < 6 || len(s.Hosts) < 2 || len(s.Faults) < 5 {
			t.Fatalf("seed %d: %s, %d units, %d meters, %d hosts, %d faults", seed, s.Length, units, len(s.Config.Meters), len(s.Hosts), len(s.Faults))
		}
		for _, f := range s.Faults {
			kinds[f.Kind]++
			if f.Kind == FaultCrash {
				points[f.Point]++
				if f.Every {
					points[f.Point+"/every"]++
				}
			}
		}
	}
	if foretold == 0 {
		t.Error("no step of the load is foretold by an AI job and by nothing else")
	}
	for _, p := range phrases {
		if kinds[p.kind] == 0 {
			t.Errorf("no seed has the fault %s", p.kind)
		}
		if p.point != "" && p.kind == FaultCrash && points[p.point] == 0 || p.every && points[p.point+"/every"] == 0 {
			t.Errorf("no host crashes %s (every time: %t)", p.point, p.every)
		}
	}
}

func TestSeedsHold(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() || racing {
		seeds = 8
	}
	c := Campaign{Seeds: seeds, Done: func(r Result) {
		if r.Violation == nil && r.Faults < leastFaults {
			t.Errorf("seed %d: %d faults", r.Seed, r.Faults)
		}
	}}
	s, err := c.Run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range s.Failed {
		t.Errorf("seed %d: %v", f.Seed, f.Violation)
	}
	if s.Seeds != seeds || s.Idle > seeds/10 || s.Simulated < time.Duration(seeds)*storyLength {
		t.Errorf("%d seeds, %d of them idle, %s simulated: this proves too little", s.Seeds, s.Idle, s.Simulated)
	}
	if seeds < 60 {
		return
	}
	for _, e := range Effects {
		if e == OutletsFailed || e == ControllerPartitioned {
			continue // rarer than that: see TestOutletsInAStory
		}
		if s.Effects[e] == 0 {
			t.Errorf("%s: never in %d seeds", e, seeds)
		}
	}
}

func TestTheSameSeedGivesTheSameRun(t *testing.T) {
	for seed := range uint64(3) {
		var first, second bytes.Buffer
		a, err := Run(NewStory(seed), &first)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Run(NewStory(seed), &second)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) || first.String() != second.String() {
			t.Fatalf("seed %d: two runs differ: %+v, %+v", seed, a, b)
		}
	}
}

func TestAScenarioRunsAsItsSeed(t *testing.T) {
	for seed := range uint64(200) {
		want := NewStory(seed)
		var b strings.Builder
		if err := want.Write(&b, "a comment"); err != nil {
			t.Fatal(err)
		}
		got, err := Read(strings.NewReader(b.String()), "x")
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: read back\n%+v\nwritten\n%+v\n%s", seed, got, want, b.String())
		}
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"seed x":                                         `x:1: "x" is no seed`,
		"seed 1\nfly away":                               "x:2: a line begins with",
		"seed 1 2":                                       `x:1: do not understand "2" here`,
		"config limit 3 apples":                          "x:1: ",
		"config colour 3":                                `"colour" is no key`,
		"config meter m measure ai":                      "say what meter m measures",
		"config meter m measures ai, often":              "not \"often\"",
		"worker w owns":                                  "say what worker w has",
		"worker w has many":                              "expected a number of units",
		"worker w has 1 units of 1 kW, blue":             "not \"blue\"",
		"at noon":                                        "is no duration",
		"at 1s rain":                                     "not \"rain\"",
		"at 1s house load 1 kW":                          "say it at 0s",
		"at 1s signal curtail loudly":                    "not \"loudly\"",
		"at 1s job j running loudly":                     "not \"loudly\"",
		"from 1s host-a is down":                         "a beginning and an end",
		"from 1s to 2s host-a sulks":                     `"sulks" is nothing that happens`,
		"from 1s to 2s host-a loses all of its messages": "is no share",
		"run until 1m":                                   "no host: nobody decides",
	} {
		_, err := Read(strings.NewReader(text), "x")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for seed := range uint64(3) {
		var b strings.Builder
		if err := NewStory(seed).Write(&b, ""); err != nil {
			f.Fatal(err)
		}
		f.Add(b.String())
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Read(strings.NewReader(text), "x")
		if err != nil {
			return
		}
		var b strings.Builder
		if err := s.Write(&b, ""); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(strings.NewReader(b.String()), "x"); err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, b.String())
		}
	})
}

// TestRegressions plays the scenarios of failures that are mended: they must
// hold from now on.
func TestRegressions(t *testing.T) {
	for path, s := range scenarios(t, "testdata/*.scenario") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			r, err := Run(s, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Violation != nil {
				t.Error(r.Violation)
			}
		})
	}
}

func scenarios(t *testing.T, pattern string) map[string]*Story {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]*Story)
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Read(f, path)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		out[path] = s
	}
	return out
}

// TestOpenFindings plays the scenarios of failures that nobody has mended yet.
func TestOpenFindings(t *testing.T) {
	for path, s := range scenarios(t, "testdata/open/*.scenario") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			r, err := Run(s, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Violation == nil {
				t.Errorf("it holds now: move %s to testdata, so that it goes on holding", path)
			}
		})
	}
}

// TestShrink makes a failure small: of a story of ten minutes what matters is
// left, and a scenario file of it fails alike.
func TestShrink(t *testing.T) {
	broken := configured(func(c *events.SiteConfig) { c.Policy.MinOffMilliseconds = 0 })
	var st *Story
	for seed := uint64(0); st == nil; seed++ {
		s := NewStory(seed)
		if r, err := play(s, broken, nil); err != nil {
			t.Fatal(err)
		} else if r.Violation != nil && r.Violation.Rule == RuleUp {
			st = s
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	small := shrink(ctx, st, broken)
	if len(small.Faults) > 1 || len(small.Agents) > 2 || len(small.Hosts) > 1 || small.Length >= st.Length {
		t.Errorf("still %d faults, %d agents, %d hosts, %s", len(small.Faults), len(small.Agents), len(small.Hosts), small.Length)
	}
	var b strings.Builder
	if err := small.Write(&b, "found by a test"); err != nil {
		t.Fatal(err)
	}
	again, err := Read(strings.NewReader(b.String()), "small")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := play(again, broken, nil); err != nil || r.Violation == nil || r.Violation.Rule != RuleUp {
		t.Errorf("the scenario does not fail any more: %+v, %v\n%s", r.Violation, err, b.String())
	}
	if testing.Verbose() {
		t.Log("\n" + b.String())
	}
}

// TestSeedsLeftOut: they are not played and do not count.
func TestSeedsLeftOut(t *testing.T) {
	var played []uint64
	c := Campaign{First: 3, Seeds: 3, Parallel: 1, Except: []uint64{4}, Done: func(r Result) { played = append(played, r.Seed) }}
	s, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := []uint64{3, 5}; !slices.Equal(played, want) || s.Seeds != 2 {
		t.Fatalf("played %v, %d seeds, want %v", played, s.Seeds, want)
	}
}
