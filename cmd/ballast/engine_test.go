// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
)

func TestEngineList(t *testing.T) {
	out := mustBallast(t, t.TempDir(), "engine", "list", "--json")
	chosen := map[string]int{}
	var names []string
	for _, l := range jsonLines(t, out) {
		name := l["kernel"].(string)
		names = append(names, name)
		if runs, why := l["runs"].(bool), l["why_not"]; runs != (why == nil) {
			t.Errorf("%s: runs %v, why not %v", name, runs, why)
		}
		for _, role := range l["chosen_for"].([]any) {
			chosen[role.(string)]++
		}
		if l["summary"] == "" {
			t.Errorf("%s has no summary", name)
		}
	}
	for _, want := range []string{"stdlib", "portable"} {
		if !slices.Contains(names, want) {
			t.Errorf("no kernel %s among %v", want, names)
		}
	}
	if chosen[roleRolling] != 1 || chosen[roleFixed] != 1 || len(chosen) != 2 {
		t.Errorf("chosen: %v", chosen)
	}
	human := mustBallast(t, t.TempDir(), "engine", "list")
	for _, want := range append(names, "chosen") {
		if !strings.Contains(human, want) {
			t.Errorf("no %q in\n%s", want, human)
		}
	}
}

func TestEngineListMeasured(t *testing.T) {
	measured := 0
	for _, l := range jsonLines(t, mustBallast(t, t.TempDir(), "engine", "list", "--measure", "--json")) {
		if !l["runs"].(bool) {
			continue
		}
		measured++
		for _, field := range []string{"rolling_clean_mhs_per_core", "fixed_clean_mhs_per_core"} {
			if v, _ := l[field].(float64); v <= 0 {
				t.Errorf("%s of %s: %v", field, l["kernel"], l[field])
			}
		}
	}
	if measured < 2 {
		t.Errorf("%d kernels measured", measured)
	}
}

func TestEngineSelfTest(t *testing.T) {
	dir := t.TempDir()
	lines := jsonLines(t, mustBallast(t, dir, "engine", "selftest", "--hits", "60", "--seed", "7", "--json"))
	if len(lines) != len(hashengine.Kernels()) {
		t.Errorf("%d lines for %d kernels", len(lines), len(hashengine.Kernels()))
	}
	for _, l := range lines {
		switch l["result"] {
		case testPassed:
			if planted := l["planted"].(float64); planted < 60 || l["found"] != planted || l["blocks"].(float64) != 3 || l["lanes"] != l["lanes_of"] {
				t.Errorf("passed with %v", l)
			}
		case testCannot:
			if l["error"] == nil {
				t.Errorf("no reason: %v", l)
			}
		default:
			t.Errorf("%v", l)
		}
		if l["seed"].(float64) != 7 {
			t.Errorf("seed %v", l["seed"])
		}
	}
	one := jsonLines(t, mustBallast(t, dir, "engine", "selftest", "--hits", "10", "--kernel", "portable", "--kernel", "portable", "--json"))
	if len(one) != 1 || one[0]["kernel"] != "portable" {
		t.Errorf("asked for portable: %v", one)
	}
	if human := mustBallast(t, dir, "engine", "selftest", "--hits", "10", "--kernel", "portable"); !strings.Contains(human, "passed") || !strings.Contains(human, "seed") {
		t.Errorf("says:\n%s", human)
	}
}

func TestEngineWrongUsage(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"selftest", "--hits", "0"},
		{"selftest", "--hits", "-1"},
		{"selftest", "--kernel", "nonsense"},
		{"selftest", "extra"},
		{"bench", "--seconds", "0.5"},
		{"bench", "--seconds", "NaN"},
		{"bench", "--threads", "-1"},
		{"bench", "--kernel", "nonsense"},
		{"list", "extra"},
	} {
		if out, code := ballast(t, dir, append([]string{"engine"}, args...)...); code != exitUsage {
			t.Errorf("ballast engine %s: exit code %d, want %d\n%s", strings.Join(args, " "), code, exitUsage, out)
		}
	}
}

func TestSelfTestVerdict(t *testing.T) {
	for _, tc := range []struct{ passed, failed, code int }{
		{3, 0, exitOK}, {3, 1, exitDiffers}, {0, 1, exitDiffers}, {0, 0, exitFailed},
	} {
		code := exitOK
		if err := verdict(tc.passed, tc.failed); err != nil {
			code = exitFailed
			var coded *exitError
			if errors.As(err, &coded) {
				code = coded.code
			}
		}
		if code != tc.code {
			t.Errorf("%d passed, %d failed: exit code %d, want %d", tc.passed, tc.failed, code, tc.code)
		}
	}
}

// TestEngineBench runs the shortest measurement: every part is there.
func TestEngineBench(t *testing.T) {
	dir := t.TempDir()
	args := []string{"engine", "bench", "--kernel", "portable", "--seconds", "2", "--threads", "1"}
	cases := map[string][]map[string]any{}
	for _, l := range jsonLines(t, mustBallast(t, dir, append(args, "--json")...)) {
		if l["bench"] != "engine" {
			t.Errorf("a line of another bench: %v", l)
		}
		cases[l["case"].(string)] = append(cases[l["case"].(string)], l)
	}
	if len(cases["kernel"]) != 4 { // portable and its peer, rolling and fixed
		t.Errorf("kernels: %v", cases["kernel"])
	}
	for name, fields := range map[string][]string{
		"machine": {"processors", "threads", "go_version"},
		"kernel":  {"clean_mhs_per_core", "median_mhs_per_core", "mhs_all_cores", "clean_ratio_to_stdlib"},
		"engine":  {"engine_over_bare", "engine_mhs", "jobs", "target", "met"},
		"stop":    {"p50_us", "p99_us", "max_us", "samples"},
		"pauses":  {"world_stopped", "neighbour_late"},
	} {
		if len(cases[name]) == 0 {
			t.Errorf("no line of case %s", name)
		}
		for _, l := range cases[name] {
			for _, field := range fields {
				if l[field] == nil {
					t.Errorf("case %s has no %s: %v", name, field, l)
				}
			}
		}
	}
	human := mustBallast(t, dir, args...)
	for _, want := range []string{"versions roll", "fixed version", "portable", "stdlib", "engine / bare portable", "last thread ended", "hashing"} {
		if !strings.Contains(human, want) {
			t.Errorf("no %q in\n%s", want, human)
		}
	}
}

// TestDoctorLooksAtTheEngine with and without a bus.
func TestDoctorLooksAtTheEngine(t *testing.T) {
	dir := t.TempDir()
	out := mustBallast(t, dir, "doctor", "--engine", "--json")
	if lines := jsonLines(t, out); len(lines) != 1 || lines[0]["check"] != "hash engine" || lines[0]["level"] == string(bus.LevelCritical) {
		t.Errorf("doctor --engine says %s", out)
	}
	out, code := ballast(t, dir, "doctor", "--server", "nats://127.0.0.1:1")
	if code != exitUnreachable || !strings.Contains(out, "hash engine") {
		t.Errorf("doctor without a bus: exit code %d, says\n%s", code, out)
	}
}

func TestEngineFindings(t *testing.T) {
	kernel := func(name string) hashengine.Kernel { return hashengine.Kernel{Name: name} }
	choice := func(rolling, fixed string) *hashengine.Choice {
		return &hashengine.Choice{Rolling: hashengine.Rated{Kernel: kernel(rolling)}, Fixed: hashengine.Rated{Kernel: kernel(fixed)}}
	}
	test := func(name, result string) testedKernel {
		k := testedKernel{Result: result}
		if k.Kernel = name; result != testPassed {
			k.Error = "kernel " + name + ": why"
		}
		return k
	}
	plain := []testedKernel{test("stdlib", testPassed), test("portable", testPassed)}
	for _, tc := range []struct {
		name    string
		choice  *hashengine.Choice
		refused error
		tests   []testedKernel
		want    map[string]bus.Level
		says    string
	}{
		{"all well", choice("wide", "narrow"), nil, append([]testedKernel{test("wide", testPassed), test("narrow", testPassed)}, plain...),
			map[string]bus.Level{"hash engine": bus.LevelOK}, "wide where versions roll, narrow where the version is fixed; 4 of 4 kernels pass"},
		{"one for all", choice("wide", "wide"), nil, append([]testedKernel{test("wide", testPassed), test("narrow", testCannot)}, plain...),
			map[string]bus.Level{"hash engine": bus.LevelOK}, "wide for all work; 3 of 4 kernels pass their self-test, this processor cannot run narrow"},
		{"a kernel computes wrongly", choice("wide", "wide"), nil, append([]testedKernel{test("wide", testPassed), test("narrow", testFailed)}, plain...),
			map[string]bus.Level{"kernel narrow": bus.LevelCritical, "hash engine": bus.LevelOK}, "selftest --kernel narrow"},
		{"only plain kernels run", choice("stdlib", "stdlib"), nil, append([]testedKernel{test("wide", testCannot)}, plain...),
			map[string]bus.Level{"hash engine": bus.LevelWarning}, "virtual machine"},
		{"the build has none but plain ones", choice("stdlib", "stdlib"), nil, plain,
			map[string]bus.Level{"hash engine": bus.LevelOK}, "stdlib for all work"},
		{"nothing computes", &hashengine.Choice{}, errors.New("no kernel runs on this machine"), []testedKernel{test("portable", testFailed)},
			map[string]bus.Level{"kernel portable": bus.LevelCritical, "hash engine": bus.LevelCritical}, "run workers elsewhere"},
	} {
		got, text := map[string]bus.Level{}, ""
		for _, f := range engineFindings(tc.choice, tc.refused, tc.tests) {
			got[f.Check] = f.Level
			text += f.Message + " " + f.Remedy + "\n"
			if (f.Level == bus.LevelOK) != (f.Remedy == "") {
				t.Errorf("%s: %s has remedy %q", tc.name, f.Level, f.Remedy)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(tc.want) || !strings.Contains(text, tc.says) {
			t.Errorf("%s: found %v, want %v with %q:\n%s", tc.name, got, tc.want, tc.says, text)
		}
	}
}

// TestKernelsPrinted as a person sees what cannot run and what fails.
func TestKernelsPrinted(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	p := &printer{w: file}
	err = errors.Join(
		p.kernels([]listedKernel{{Kernel: "wide", WhyNot: "kernel wide: no such instructions"}, {Kernel: "a", Runs: true, ChosenFor: []string{roleRolling}},
			{Kernel: "b", Runs: true, ChosenFor: []string{roleFixed}}, {Kernel: "c", Runs: true, ChosenFor: []string{roleRolling, roleFixed}}}),
		p.tested(testedKernel{SelfTestReport: hashengine.SelfTestReport{Kernel: "wide"}, Result: testCannot, Error: "kernel wide: why not"}, 4),
		p.tested(testedKernel{SelfTestReport: hashengine.SelfTestReport{Kernel: "wide"}, Result: testFailed, Error: "kernel wide: lane 3"}, 4),
	)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  wide no such instructions", "* a    chosen where versions roll", "* b    chosen where the version is fixed", "* c    chosen for all work", "wide cannot run here: why not", "wide FAILED: lane 3"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
