// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestExampleShowsEveryKey: a key without documentation does not exist.
func TestExampleShowsEveryKey(t *testing.T) {
	text := string(Example())
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		for i := range typ.NumField() {
			f := typ.Field(i)
			tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if tag == "" || tag == "-" {
				continue
			}
			if !strings.Contains(text, tag+":") {
				t.Errorf("the example lacks %s%s", path, tag)
			}
			ft := f.Type
			if ft.Kind() == reflect.Slice {
				ft = ft.Elem()
			}
			if ft.Kind() == reflect.Struct {
				walk(path+tag+".", ft)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
}

func TestExampleIsValid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ballast.yaml")
	if err := os.WriteFile(path, Example(), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Sites[0].SiteConfig()
	if s.LimitWatts != 10_000_000 || s.Reserve.UnlearnedWatts != 2_500_000 || s.Policy.StrikeAdderMicrousdPerMWh != 5_000_000 || s.Tariff.PoolFeePPM != 10_000 {
		t.Errorf("the example reads as %+v", s)
	}
}

func TestBadFilesAreRefusedWithTheLine(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"unknown key":        {"bus:\n  lisen: 127.0.0.1:1\n", "[2:3]"},
		"unknown site key":   {"sites:\n  - id: a\n    limits: 10MW\n", "[3:5]"},
		"power without unit": {"sites:\n  - id: a\n    limit: 10\n", "has no unit"},
		"not yaml":           {"bus: [\n", "["},
		"bad site":           {"sites:\n  - id: TX1\n    limit: 1MW\n", "sites[0].id"},
		"twice":              {"sites:\n  - {id: a, limit: 1MW, meters: [{id: m, measures: ai}]}\n  - {id: a, limit: 1MW, meters: [{id: m, measures: ai}]}\n", "twice"},
		"unknown worker key": {"worker:\n  thread: 1\n", "[2:3]"},
		"worker threads":     {"worker:\n  threads: -1\n", "threads -1"},
		"worker processors":  {"worker:\n  cpus: 7-2\n", "backwards"},
		"worker nice":        {"worker:\n  nice: 20\n", "nice 20"},
		"worker power":       {"worker:\n  watts_per_thread: 0\n", "watts_per_thread 0"},
		"bad durability":     {"bus:\n  durability: maybe\n", "durability"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.yaml")
			if err := os.WriteFile(path, []byte(tc.yaml), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(path, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	c, err := Load("", []string{"BALLAST_BUS_LISTEN=127.0.0.1:4999", "BALLAST_BUS_RETENTION_JOURNAL_AGE=48h", "BALLAST_JOIN_TOKEN=x", "HOME=/"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Bus.Listen != "127.0.0.1:4999" || c.Bus.Retention.JournalAge.Hours() != 48 {
		t.Errorf("environment was not applied: %+v", c.Bus)
	}
	if _, err := Load("", []string{"BALLAST_BUS_LISEN=x"}); err == nil {
		t.Error("a variable for no key was accepted")
	}
}

func TestWorker(t *testing.T) {
	for text, want := range map[string]Worker{
		"":                     {Kernel: "auto", Nice: 19, WattsPerThread: 10},
		"# nothing":            {Kernel: "auto", Nice: 19, WattsPerThread: 10},
		"worker:\n":            {Kernel: "auto", Nice: 19, WattsPerThread: 10},
		"worker: {}":           {Kernel: "auto", Nice: 19, WattsPerThread: 10},
		"worker: {nice: 0}":    {Kernel: "auto", WattsPerThread: 10},
		"worker: {cpus: 3}":    {Kernel: "auto", Nice: 19, WattsPerThread: 10, CPUs: "3"},
		"worker:\n  cpus: 2,7": {Kernel: "auto", Nice: 19, WattsPerThread: 10, CPUs: "2,7"},
		"worker:\n  kernel: portable\n  threads: 3\n  cpus: 2-4,7\n  pin: true\n  nice: 5\n  watts_per_thread: 25": {
			Kernel: "portable", Threads: 3, CPUs: "2-4,7", Pin: true, Nice: 5, WattsPerThread: 25,
		},
	} {
		c := Default()
		if err := Parse([]byte(text), &c); err != nil || c.Worker != want || c.Validate() != nil {
			t.Errorf("%q: %+v, %v, want %+v", text, c.Worker, err, want)
		}
	}
	c, err := Load("", []string{"BALLAST_WORKER_CPUS=2-3", "BALLAST_WORKER_PIN=true", "BALLAST_WORKER_THREADS=2"})
	if err != nil {
		t.Fatal(err)
	}
	cpus, err := c.Worker.Processors()
	if err != nil || !slices.Equal(cpus, []int{2, 3}) || !c.Worker.Pin || c.Worker.Threads != 2 {
		t.Errorf("environment was not applied: %+v, %v", c.Worker, err)
	}
	if _, err := Load("", []string{"BALLAST_WORKER_THREAD=2"}); err == nil {
		t.Error("a variable for no key of the worker was accepted")
	}
}

func TestPower(t *testing.T) {
	for in, want := range map[string]int64{"0W": 0, "0MW": 0, "12.5 MW": 12_500_000, "0.001kW": 1, "3500W": 3500, "-2kW": -2000} {
		if p, err := ParsePower(in); err != nil || int64(p) != want {
			t.Errorf("%q is %d, %v; want %d", in, p, err, want)
		}
	}
	for _, in := range []string{"", "10", "10mw", "1e3W", "W", "0.5W", "99999999999GW", "1/2MW", "NaNW"} {
		if p, err := ParsePower(in); err == nil {
			t.Errorf("%q was read as %d", in, p)
		}
	}
	for w, want := range map[Power]string{0: "0W", 999: "999W", 3500: "3.5kW", 12_500_000: "12.5MW", -2000: "-2kW"} {
		if got := w.String(); got != want {
			t.Errorf("%d prints as %q, want %q", int64(w), got, want)
		}
	}
}

func FuzzQuantities(f *testing.F) {
	f.Add("12.5MW")
	f.Add("80%")
	f.Add("-42.50")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePower(s); err == nil && int64(p)%1_000_000 == 0 {
			if q, err := ParsePower(p.String()); err != nil || q != p {
				t.Errorf("%q: %d prints as %q and reads back as %d, %v", s, p, p, q, err)
			}
		}
		if x, err := ParseShare(s); err == nil {
			if y, err := ParseShare(x.String()); err != nil || y != x {
				t.Errorf("%q: %d prints as %q and reads back as %d, %v", s, x, x, y, err)
			}
		}
		if m, err := ParseMoney(s); err == nil {
			if n, err := ParseMoney(m.String()); err != nil || n != m {
				t.Errorf("%q: %d prints as %q and reads back as %d, %v", s, m, m, n, err)
			}
		}
	})
}

func TestPowerTree(t *testing.T) {
	c := Default()
	err := Parse([]byte(`sites:
  - id: a
    limit: 10MW
    meters: [{id: m, measures: ai}, {id: p, measures: ai, node: pdu-1, max: 1MW}]
    nodes:
      - {id: pdu-1, parent: ups, limit: 800kW, continuous_factor: 80%, cooling: 500kW, ai_nameplate: 300kW, house: 5kW, reserve: {floor: 10kW, envelope: 10m}, ramp_per_second: 20kW, ramp_burst: 100kW, agents: [rig-1]}
      - {id: ups, limit: 4MW, redundancy: n+1, paths: 4}
`), &c)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	s := c.Sites[0].SiteConfig()
	if s.AINameplateWatts != 0 || s.Meters[1].Node != "pdu-1" {
		t.Errorf("the site reads as %+v", s)
	}
	n := s.Nodes[0]
	if n.Node != "pdu-1" || n.Parent != "ups" || n.LimitWatts != 800_000 || n.ContinuousFactorPPM != 800_000 || n.CoolingLimitWatts != 500_000 ||
		n.AINameplateWatts != 300_000 || n.HouseWatts != 5_000 || n.Reserve.FloorWatts != 10_000 || n.Reserve.EnvelopeSeconds != 600 ||
		n.RampWattsPerSecond != 20_000 || n.RampBurstWatts != 100_000 || !slices.Equal(n.Agents, []string{"rig-1"}) {
		t.Errorf("the PDU reads as %+v", n)
	}
	if u := s.Nodes[1]; u.Redundancy != "n+1" || u.Paths != 4 || u.ContinuousFactorPPM != 1_000_000 {
		t.Errorf("the UPS reads as %+v", u)
	}
	c.Sites[0].Nodes[1].Parent = "pdu-1"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "fed by itself") {
		t.Errorf("a circle: %v", err)
	}
}
