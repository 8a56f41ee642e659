// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// machineFS serves a file of testdata/topology, which holds what
//
//	cd /sys/devices/system/cpu && grep . cpu*/cpu_capacity cpu*/topology/{core_id,physical_package_id,*_list}
//
// prints on a machine.
func machineFS(t testing.TB, name string) fs.FS {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "topology", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	machine := make(fstest.MapFS)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		path, value, ok := strings.Cut(line, ":")
		if !ok {
			t.Fatalf("%s: %q", name, line)
		}
		machine[path] = &fstest.MapFile{Data: []byte(value)}
	}
	return machine
}

// coresText writes cores for comparison: socket:processors.
func coresText(cores []Core) string {
	texts := make([]string, 0, len(cores))
	for _, c := range cores {
		texts = append(texts, fmt.Sprintf("%d:%s", c.Package, FormatCPUs(c.CPUs)))
	}
	return strings.Join(texts, " ")
}

func TestGroupCores(t *testing.T) {
	for _, c := range []struct{ machine, allowed, want string }{
		{"smt2", "0-7", "0:0,4 0:1,5 0:2,6 0:3,7"},
		{"smt2", "1-2,5", "0:1,5 0:2"},
		{"smt2", "6", "0:6"},
		{"nosmt", "0-3", "0:0 0:1 0:2 0:3"},
		{"nosmt", "0-5", "0:0 0:1 0:2 0:3 0:4 0:5"}, // 4 and 5 came after the files were written
		{"offline", "0-4,6", "0:0,4 0:1 0:2,6 0:3"},
		{"missing", "0-7", "0:0 0:1-2 0:3 0:4 0:5-6 0:7"},
		{"hybrid", "0-7", "0:0-1 0:2-3 0:4 0:5 0:6 0:7"},
		{"hybrid", "1,4-7", "0:1 0:4 0:5 0:6 0:7"},
		{"biglittle", "0-5", "0:4 0:5 0:0 0:1 0:2 0:3"},
		{"sockets2", "0-7", "0:0,4 1:2,6 0:1,5 1:3,7"},
		{"sockets2", "0-1,4-5,7", "0:0,4 1:7 0:1,5"},
	} {
		allowed, err := ParseCPUs(c.allowed)
		if err != nil {
			t.Fatal(err)
		}
		if got := coresText(groupCores(machineFS(t, c.machine), allowed)); got != c.want {
			t.Errorf("%s, allowed %s: %s, want %s", c.machine, c.allowed, got, c.want)
		}
	}
	if got := coresText(groupCores(nil, []int{0, 1})); got != "0:0 0:1" {
		t.Errorf("without a description: %s", got)
	}
	hybrid := groupCores(machineFS(t, "hybrid"), []int{0, 7})
	if hybrid[0].Capacity != 1024 || hybrid[1].Capacity != 640 {
		t.Errorf("capacities of %+v", hybrid)
	}
}

// TestCoresOfThisMachine: every processor that the process may use is on one
// core, and on one only.
func TestCoresOfThisMachine(t *testing.T) {
	seen := make(map[int]bool)
	for _, core := range Cores() {
		if len(core.CPUs) == 0 || !slices.IsSorted(core.CPUs) {
			t.Errorf("core %+v", core)
		}
		for _, cpu := range core.CPUs {
			if seen[cpu] {
				t.Errorf("processor %d is on two cores", cpu)
			}
			seen[cpu] = true
		}
	}
	if len(seen) != runtime.NumCPU() {
		t.Errorf("%d processors, the runtime has %d", len(seen), runtime.NumCPU())
	}
}

func TestParseCPUs(t *testing.T) {
	for text, want := range map[string][]int{
		"0": {0}, "0-3,8,10-11\n": {0, 1, 2, 3, 8, 10, 11}, "7,5-6": {5, 6, 7}, "3,3,2-4": {2, 3, 4},
		" 1 , 2 ": {1, 2}, "65535": {MaxCPU}, "007": {7}, "5-5": {5},
	} {
		if got, err := ParseCPUs(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "missing", "\n": "missing", ",": "missing", "1,": "missing", "1-": "missing", "-1": "missing",
		"1--2": "no number", "3-1": "backwards", "+1": "no number", "1.5": "no number", "a": "no number", "0x1": "no number",
		"1 2": "no number", "65536": "above", "99999999999999999999": "above", "0-3:1/2": "no number", "all": "no number",
	} {
		if got, err := ParseCPUs(text); !errors.Is(err, ErrCPUList) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want one with %q", text, got, err, want)
		}
	}
	if got := FormatCPUs([]int{11, 0, 1, 2, 3, 8, 10, 3}); got != "0-3,8,10-11" {
		t.Errorf("formatted as %s", got)
	}
	if got := FormatCPUs(nil); got != "" {
		t.Errorf("nothing is formatted as %q", got)
	}
}

func FuzzParseCPUs(f *testing.F) {
	for _, text := range []string{"0", "0-3,8,10-11\n", "7,5-6", "65535", "1-", "-1", "0-65535", ",,", "1--2"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cpus, err := ParseCPUs(text)
		if err != nil {
			if !errors.Is(err, ErrCPUList) || cpus != nil {
				t.Errorf("%q: %v with %v", text, cpus, err)
			}
			return
		}
		if len(cpus) == 0 || cpus[0] < 0 || cpus[len(cpus)-1] > MaxCPU {
			t.Fatalf("%q: %v", text, cpus)
		}
		for i := 1; i < len(cpus); i++ {
			if cpus[i] <= cpus[i-1] {
				t.Fatalf("%q: %v does not rise", text, cpus)
			}
		}
		if again, err := ParseCPUs(FormatCPUs(cpus)); err != nil || !slices.Equal(again, cpus) {
			t.Errorf("%q: %v becomes %q and then %v, %v", text, cpus, FormatCPUs(cpus), again, err)
		}
	})
}

// FuzzGroupCores: whatever the files say, each allowed processor is on exactly
// one core.
func FuzzGroupCores(f *testing.F) {
	f.Add("0-1", "0,2", "1", "-1", "7")
	f.Add("", "0-65535", "x", "0", "0")
	f.Fuzz(func(t *testing.T, siblings0, siblings1, siblings2, socket, core string) {
		machine := fstest.MapFS{}
		for i, siblings := range []string{siblings0, siblings1, siblings2} {
			dir := fmt.Sprintf("cpu%d/topology/", i)
			machine[dir+"thread_siblings_list"] = &fstest.MapFile{Data: []byte(siblings)}
			machine[dir+"physical_package_id"] = &fstest.MapFile{Data: []byte(socket)}
			machine[dir+"core_id"] = &fstest.MapFile{Data: []byte(core)}
		}
		allowed := []int{0, 1, 2, 5}
		var got []int
		for _, c := range groupCores(machine, allowed) {
			got = append(got, c.CPUs...)
		}
		slices.Sort(got)
		if !slices.Equal(got, allowed) {
			t.Errorf("cores of %v", got)
		}
	})
}
