// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"reflect"
	"runtime"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/hashengine"
)

// TestHashFlags: flags that were given go before the configuration, and only
// those.
func TestHashFlags(t *testing.T) {
	plain := config.Default().Worker
	conf := config.Worker{Kernel: "portable", Threads: 3, Nice: 5, WattsPerThread: 25}
	for _, c := range []struct {
		args []string
		conf config.Worker
		want roles.WorkerOptions
	}{
		{nil, plain, roles.WorkerOptions{Kernel: "auto", Nice: 19, WattsPerThread: 10}},
		{nil, conf, roles.WorkerOptions{Kernel: "portable", Threads: 3, Nice: 5, WattsPerThread: 25}},
		{[]string{"--threads", "0", "--nice", "0"}, conf, roles.WorkerOptions{Kernel: "portable", NormalPriority: true, WattsPerThread: 25}},
		{[]string{"--kernel", "stdlib", "--pin", "--nice", "7"}, conf, roles.WorkerOptions{Kernel: "stdlib", Threads: 3, Pin: true, Nice: 7, WattsPerThread: 25}},
	} {
		var h hashFlags
		cmd := &cobra.Command{}
		h.add(cmd, 0, "is one per physical core")
		if err := cmd.ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		var got roles.WorkerOptions
		if err := hashingOf(h.over(c.conf), &got); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v over %+v: %+v, %v, want %+v", c.args, c.conf, got, err, c.want)
		}
	}

	// The demo hashes on one thread, unless somebody says otherwise.
	for _, c := range []struct {
		args []string
		conf config.Worker
		want int
	}{{nil, plain, 1}, {nil, conf, 3}, {[]string{"--threads", "2"}, conf, 2}, {[]string{"--threads", "0"}, conf, 0}} {
		var f demoFlags
		cmd := &cobra.Command{}
		f.add(cmd)
		if err := cmd.ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		if err := f.hashing(c.conf); err != nil || f.worker.Threads != c.want {
			t.Errorf("up %v: %d threads, %v, want %d", c.args, f.worker.Threads, err, c.want)
		}
	}
}

// TestHashingIsRefusedAtOnce: what cannot work is wrong usage, said before
// anything is connected.
func TestHashingIsRefusedAtOnce(t *testing.T) {
	for _, args := range [][]string{
		{"--kernel", "quantum"}, {"--cpus", "7-2"}, {"--cpus", "all"}, {"--nice", "20"}, {"--nice", "-1"},
		{"--threads", "-1"}, {"--watts-per-thread", "0"}, {"--cpus", "65535"},
	} {
		if out, code := ballast(t, t.TempDir(), append([]string{"worker", "--site", "demo", "--id", "rig-1"}, args...)...); code != exitUsage {
			t.Errorf("worker %v ended with %d:\n%s", args, code, out)
		}
	}
}

// TestWorkerHashesWhereToldTo runs a worker with every option of hashing.
func TestWorkerHashesWhereToldTo(t *testing.T) {
	s := startDemo(t, "--ai-peak", "400kW", "--no-fleet", "--threads", "0")
	args := []string{"worker", "--site", "demo", "--id", "rig-17", "--kernel", "portable", "--threads", "1", "--nice", "10", "--server", s.url, "--json"}
	if runtime.GOOS == "linux" {
		args = append(args, "--pin", "--cpus", hashengine.FormatCPUs(hashengine.Cores()[0].CPUs))
	}
	w := start(t, s.dir, args...)
	var ready struct {
		Kernel  string
		Threads int
	}
	if err := json.Unmarshal([]byte(w.waitLine(`"ready"`, patience)), &ready); err != nil {
		t.Fatal(err)
	}
	if ready.Kernel != "portable" || ready.Threads != 1 {
		t.Errorf("it says %+v", ready)
	}
	if code := w.end(patience); code != exitOK {
		t.Errorf("worker ended with %d", code)
	}
	if code := s.main.end(patience); code != exitOK {
		t.Errorf("up ended with %d", code)
	}
}
