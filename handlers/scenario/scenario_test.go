// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// echo answers every signal with a broadcast and every tick with an alert, so
// that the words of the language can be tried without a real decider.
type echo struct{ seen []events.Event }

func (*echo) Identity() decider.Identity { return decider.Identity{Name: "echo"} }
func (*echo) StateHash() uint64          { return 0 }
func (*echo) Snapshot() ([]byte, error)  { return nil, nil }
func (*echo) Restore([]byte) error       { return nil }
func (d *echo) Fold(e *events.Event, out *decider.Outbox) {
	d.seen = append(d.seen, *e)
	switch p := e.Data.(type) {
	case *events.GridSignal:
		w := int64(0)
		if p.PowerWatts != nil {
			w = *p.PowerWatts
		}
		out.Put(events.BroadcastSource, &events.CommandCurtail{Key: out.Key(), AllUnitsWatts: &w, Reason: events.ReasonGridCurtail, SignalID: p.SignalID})
	case *events.WorkerStatus:
		if p.Announce {
			r := &events.CommandRamp{Key: out.Key(), Agent: e.Source, BootID: p.BootID, Counter: p.Counter, LeaseMilliseconds: 5_000, Reason: events.ReasonAvailable}
			for _, u := range p.Units {
				r.Units = append(r.Units, events.UnitSetpoint{Unit: u.Unit, SetpointWatts: u.Capabilities.NameplateWatts})
			}
			out.Put(e.Source, r)
		}
	}
}

func play(t *testing.T, text string) (*echo, error) {
	t.Helper()
	s, err := Parse("story", []byte(text))
	if err != nil {
		return nil, err
	}
	d := new(echo)
	return d, s.Play(func([]string) (decider.Decider, error) { return d, nil })
}

func TestBadLinesAreNamed(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"hello", `story:2: a line begins with site, decider`},
		{"at 5 meter ai reads 1 W", `story:2: "5" is no duration`},
		{"at 5s meter ai reads 1", `story:2: expected a unit after 1`},
		{"at 5s meter ai reads 1 kg", `story:2: "kg" is no unit of power`},
		{"at 5s meter ai reads 1.0005 kW", `no whole number of the smallest unit`},
		{"at 5s meter ai sings", `story:2: expected "reads", found "sings"`},
		{"at 5s meter ai reads 1 W loudly", `a reading has quality, sampled and counter, not "loudly"`},
		{"at 5s worker a dances", `not "dances"`},
		{"at 5s signal curtail at 5 W", `a signal has to, for`},
		{"at 5s signal curtail because \"EEA", `quoted text without an end`},
		{"at 5s expect miracles", `found "miracles"`},
		{"at 5s expect ramp a to", `expected a value for units.*.setpoint_watts`},
		{"at 5s expect output no.such.type", `is no event type`},
		{"at 5s within 2s tick", `within belongs to expect`},
		{"from 5s to 2s expect nothing", `ends before it begins`},
		{"from 0s every 1ns tick", `every needs at least 1ms`},
		{"config limit 5 MW color red", `"color" is no key of the configuration`},
		{"config meter ai measures noise", `not "noise"`},
		{"config economics maybe", `expected on or off`},
		{"config programme ers mining", `a programme caps or sheds, found "mining"`},
		{"config programme ers caps everything", `about mining or total, found "everything"`},
		{"config programme ers caps mining ramp 1.5s", `use whole seconds`},
		{"config programme ers caps mining silent after 4m of broker shouts", `silence holds or has a limit, found "shouts"`},
		{"at 5s signal curtail issued 5s ahead", `"ago"`},
		{"at 5s signal setpoint to 1 W rising 5 kW an hour", `"a"`},
		{"at 1s event grid.signal from x {\"kind\": 5}", `grid.signal: `},
		{"at 1s event grid.signal from x {\"wrong\": 5}", `unknown field`},
		{"site Über", `site`},
		{"start yesterday", `is no time`},
		{"from 0s every 1ms until 700h tick", `more than two million events`},
	} {
		_, err := play(t, "# first line\n"+tt.line+"\n")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q gives %v, want %q", tt.line, err, tt.want)
		}
	}
	_, err := Parse("story", []byte("site a\nnonsense\nat 1s tick\nmore nonsense\n"))
	if err == nil || !strings.Contains(err.Error(), "story:2:") || !strings.Contains(err.Error(), "story:4:") {
		t.Errorf("not every bad line is named: %v", err)
	}
}

func TestUnmetExpectations(t *testing.T) {
	const begin = "at 1s signal curtail to 2 kW id x\nat 3s signal curtail to 1 kW id y\n"
	for _, tt := range []struct{ line, want string }{
		{"at 1s expect broadcast to 2 kW signal x", ""},
		{"at 1s expect 1 broadcast because grid-curtail", ""},
		{"from 0s to 5s expect 2 broadcast", ""},
		{"at 0s within 3s expect broadcast signal y", ""},
		{"at 2s expect nothing", ""},
		{"at 2s expect no broadcast", ""},
		{"at 1s expect output command.curtail all_units_watts 2000", ""},
		{"at 1s expect broadcast to 3 kW", "not found; in that time there was \n\t1s command.curtail broadcast"},
		{"at 2s expect broadcast", "in that time there was nothing"},
		{"from 0s to 5s expect 3 broadcast", "expected 3, found 2"},
		{"from 0s to 5s expect no broadcast", "expected none, but at 1s"},
		{"at 3s expect nothing", "expected none, but at 3s"},
		{"at 1s expect power rig 1 W", "no worker rig"},
	} {
		_, err := play(t, begin+tt.line)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%q: %v", tt.line, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "story:3:")):
			t.Errorf("%q gives %v, want %q", tt.line, err, tt.want)
		}
	}
}

// TestFollowers lets a worker live through a lease: up with the ramp, down when
// nobody renews, silent after it has left.
func TestFollowers(t *testing.T) {
	_, err := play(t, `
config house 1 kW
at 1s worker farm announces 3 units of 2 kW falls 2s, follows
at 1s expect power farm 0 W
at 1.5s expect power farm 6 kW
at 1.5s expect draw at most 7 kW
from 2s to 3s expect draw at most 7 kW
# The lease is five seconds from the announcement, then it falls for two.
at 7s expect power farm 6 kW
at 8.5s expect power farm 0 W
at 8.5s expect power farm unit farm-2 0 W
at 9s worker farm restarts
at 9.5s expect power farm 6 kW
at 10s signal curtail to 0 W
at 13s expect power farm 0 W
at 14s worker farm leaves
run until 20s
`)
	if err != nil {
		t.Error(err)
	}
}

func TestTimeline(t *testing.T) {
	d, err := play(t, "start 2026-01-01T00:00:00Z\nrun until 5s\nat 2.5s clock jumps forward 1h\nat 4.5s clock jumps back 30m\nat 4.9s epoch 3\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range d.seen {
		got = append(got, e.Arrived.Format("15:04:05"))
		if e.Sequence != uint64(len(got)) {
			t.Errorf("event %d has sequence %d", len(got), e.Sequence)
		}
	}
	if want := "00:00:00 00:00:01 00:00:02 01:00:03 01:00:04 00:30:05"; strings.Join(got, " ") != want {
		t.Errorf("ticks arrive at %v, want %s", got, want)
	}
	if last := d.seen[len(d.seen)-1]; last.Epoch != 3 || last.Data.(*events.ClockTick).Second != last.Arrived.Unix() {
		t.Errorf("last tick: %+v", last)
	}
}

// TestSignals reads every word of a signal line.
func TestSignals(t *testing.T) {
	d, err := play(t, `ticks off
at 1s signal setpoint to 1.5 MW for 10m starting in 90s from ercot id a.1 programme ers precedence grid-emergency priority 3 supersedes b cancels c because "EEA2, level 2" test
at 2s signal price to -12.5 $/MWh`)
	if err != nil {
		t.Fatal(err)
	}
	g := d.seen[0].Data.(*events.GridSignal)
	if d.seen[0].Source != "ercot" || g.Kind != events.SignalSetpoint || *g.PowerWatts != 1_500_000 || g.DurationSeconds != 600 ||
		g.StartsAt.Sub(d.seen[0].Arrived).Round(time.Second) != 90*time.Second || g.SignalID != "a.1" || g.Programme != "ers" ||
		g.Precedence != events.PrecedenceGridEmergency || g.Priority != 3 || g.Supersedes != "b" || g.Cancels != "c" ||
		g.Reason != "EEA2, level 2" || !g.Test {
		t.Errorf("%+v", g)
	}
	if p := d.seen[1].Data.(*events.GridSignal); *p.PriceMicrousdPerMWh != -12_500_000 {
		t.Errorf("%+v", p)
	}
}

// FuzzStory parses anything and plays what is short enough.
func FuzzStory(f *testing.F) {
	f.Add("site demo\nconfig limit 10 MW, reserve 500 kW\nconfig meter ai measures ai, every 1s, stale 5s, range 0 W to 12 MW\nfrom 0s every 1s until 9s meter ai reads 4 MW\n")
	f.Add("at 1s worker rig-1 announces 2 units of 3.5 kW at 21 J/TH levels 1 kW 3.5 kW, follows\nat 2s expect ramp rig-1 to 3.5 kW because available\n")
	f.Add("at 1s signal curtail to 0 W for 10m because \"EEA2\"\nat 1s expect broadcast to 0 W\nfrom 2s to 5s expect nothing\n")
	f.Add("at 1s event clock.tick from site {\"second\": 5}\nat 2s quote btc 60000 $ nbits 17034219\nat 3s clock jumps back 5s\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("story", []byte(text))
		if err != nil || s.end > 30*time.Second || len(text) > 2_000 || strings.Contains(text, "ms") {
			return
		}
		_ = s.Play(func([]string) (decider.Decider, error) { return new(echo), nil })
	})
}
