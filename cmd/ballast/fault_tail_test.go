// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// A power failure takes the end of the journal, which is not synced, but not
// the facts and commands that are: a new epoch begins, what was relayed and is
// lost comes again, no new command is taken for an old one although its
// sequence was used before, and verification lists what was lost.
func TestFaultJournalTailCut(t *testing.T) {
	s := newFaultSite(t, faultOptions{})
	hosts := []*process{s.role("dispatcher", "a"), s.role("dispatcher", "b")}
	m, _ := s.machines("fleet-1", 100)
	stop := s.running(s.feed)
	s.decided("the machines get power")

	// A new configuration and a signal, and some decisions after them.
	mark := time.Now()
	config := last[events.SiteConfig](s, time.Time{}).Data
	config.Reserve.MarginWatts = 20_000
	s.reconfigure("margin: 10kW", "margin: 20kW")
	s.publish(t.Context(), events.New(faultSiteID, events.OperatorSource, &config).WithID("tx1/config/2"))
	to := int64(250_000)
	s.publish(t.Context(), events.New(faultSiteID, "ercot", &events.GridSignal{SignalID: "kept", Kind: events.SignalCurtail, PowerWatts: &to, DurationSeconds: 600}).WithID("tx1/kept"))
	next(s, "the signal binds", func(e events.Of[events.DispatchDecided]) bool {
		return e.Data.CeilingWatts != nil && *e.Data.CeilingWatts == to
	})
	for range 5 {
		next(s, "the clock goes on", func(events.Of[events.ClockTick]) bool { return true })
	}
	stop()
	lostConfig, lostSignal := s.copies(mark, events.TypeSiteConfig), s.copies(mark, events.TypeGridSignal)
	if len(lostConfig) != 1 || len(lostSignal) != 1 {
		t.Fatalf("the journal has %d copies of the new configuration and %d of the signal; want one each", len(lostConfig), len(lostSignal))
	}
	end, before := s.journalState()

	for _, h := range hosts {
		h.kill()
	}
	s.server.kill()
	s.cutJournal(events.JournalSubject(s.b.Prefix(), faultSiteID, events.TypeSiteConfig, events.OperatorSource), 1)
	s.startBus()
	until(t, patience, "the test is connected again", s.b.Conn().IsConnected)
	opened, err := s.b.CurrentEpoch(t.Context(), faultSiteID)
	if err != nil {
		t.Fatal(err)
	}
	cut, after := opened.LastSequence, opened.Epoch
	if cut >= lostConfig[0] || after <= before {
		t.Fatalf("the journal ends at %d in epoch %d; before the cut it ended at %d in epoch %d and held the configuration at %d", cut, after, end, before, lostConfig[0])
	}
	t.Logf("the journal was cut from %d to %d; epoch %d", end, cut, after)

	stop = s.running(s.calm(feedLow))
	s.role("dispatcher", "a")
	s.role("dispatcher", "b")
	// The same facts come again, and the signal binds whatever is decided now.
	until(t, patience, "the lost facts are in the journal again", func() bool {
		return len(s.copies(mark, events.TypeSiteConfig)) > 0 && len(s.copies(mark, events.TypeGridSignal)) > 0
	})
	restore := events.New(faultSiteID, "ercot", &events.GridSignal{SignalID: "freed", Kind: events.SignalRestore, Cancels: "kept"}).WithID("tx1/freed")
	known := max(slices.Max(s.copies(mark, events.TypeSiteConfig)), slices.Max(s.copies(mark, events.TypeGridSignal)))
	d := first(s, mark, "a decision in the new epoch", func(e events.Of[events.DispatchDecided]) bool {
		return e.Data.Key.Epoch == after && e.Data.Key.Sequence >= known
	})
	if d.Data.CeilingWatts == nil || *d.Data.CeilingWatts != to || d.Data.ReserveWatts < 20_000 {
		t.Errorf("the first decision after the cut knows neither the configuration nor the signal that came before it: %+v", d.Data)
	}
	s.publish(t.Context(), restore)
	until(t, patience, "the machines get the power that the signal kept from them", func() bool { return m.permitted() > to })
	stop()
	// The load climbs while the journal passes where it ended before the cut.
	s.running(s.feed)
	until(t, patience, "the journal is longer than before the cut", func() bool {
		last, _ := s.journalState()
		return last > end
	})
	next(s, "decisions with sequences that were not used before the cut", func(e events.Of[events.DispatchDecided]) bool {
		return e.Data.Key.Epoch == after && e.Data.Key.Sequence > end
	})
	s.quiet(3 * time.Second)

	for _, typ := range []events.Type{events.TypeSiteConfig, events.TypeGridSignal} {
		at := s.copies(mark, typ)
		if want := map[events.Type]int{events.TypeSiteConfig: 1, events.TypeGridSignal: 2}[typ]; len(at) != want {
			t.Errorf("%d copies of %s in the journal, want %d: %v", len(at), typ, want, at)
		}
	}
	reused := 0
	for at := range s.whole() {
		if at[0] == after && at[1] <= end {
			reused++
		}
	}
	if reused == 0 {
		t.Errorf("no decision of epoch %d has a sequence up to %d: nothing shows that they are not swallowed", after, end)
	}
	t.Logf("%d decisions of epoch %d have sequences that were used before", reused, after)
	for name, r := range s.verify(2 * time.Second) {
		if !r.Clean() {
			t.Errorf("verification fails instead of listing what was lost:\n%s", r)
		}
		if name == "dispatch" {
			if len(r.Lost) == 0 {
				t.Errorf("verification does not list the causes that were lost:\n%s", r)
			}
			for _, l := range r.Lost {
				if !l.KnownCut || l.From <= cut || l.Epoch != before {
					t.Errorf("lost: %+v; the cut is behind %d in epoch %d", *l, cut, before)
				}
			}
			t.Logf("%s", r)
		}
	}
}

// reconfigure changes the file that the bus process reads at its start.
func (s *faultSite) reconfigure(from, to string) {
	s.t.Helper()
	text, err := os.ReadFile(s.conf)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(s.conf, bytes.Replace(text, []byte(from), []byte(to), 1), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// copies lists where JOURNAL has relayed facts of a type that reached their
// first stream after t, in the order of their origins.
func (s *faultSite) copies(after time.Time, typ events.Type) []uint64 {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	var out []uint64
	for e, err := range s.b.Events(ctx, events.ReadRequest{Stream: events.StreamJournal, Site: faultSiteID, Types: []events.Type{typ}}) {
		if err != nil {
			s.t.Fatal(err)
		}
		if e.OriginArrived.After(after) {
			out = append(out, e.Sequence)
		}
	}
	return out
}

// cutJournal truncates the newest file of JOURNAL in the middle of the message
// with this subject that has nth-1 of them behind it, as a power failure does.
func (s *faultSite) cutJournal(subject string, nth int) {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "data", "*", "*", "*", "streams", events.StreamJournal, "msgs", "*.blk"))
	if err == nil && len(files) == 0 {
		err = filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, _ os.DirEntry, err error) error {
			if err == nil && filepath.Ext(path) == ".blk" && filepath.Base(filepath.Dir(filepath.Dir(path))) == events.StreamJournal {
				files = append(files, path)
			}
			return err
		})
	}
	if err != nil || len(files) == 0 {
		s.t.Fatalf("no file of %s under %s: %v", events.StreamJournal, s.dir, err)
	}
	newest, most := "", int64(-1)
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			s.t.Fatal(err)
		}
		if at := info.ModTime().UnixNano(); at > most {
			newest, most = f, at
		}
	}
	data, err := os.ReadFile(newest)
	if err != nil {
		s.t.Fatal(err)
	}
	at := len(data)
	for range nth {
		if at = bytes.LastIndex(data[:at], []byte(subject)); at < 0 {
			s.t.Fatalf("%s does not hold %s %d times", newest, subject, nth)
		}
	}
	if err := os.Truncate(newest, int64(at+len(subject)/2)); err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("%s cut from %d to %d bytes", filepath.Base(newest), len(data), at+len(subject)/2)
}
