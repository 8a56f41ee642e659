// SPDX-License-Identifier: Apache-2.0

package explain_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/explain"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/dispatch"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What differs from run to run: instants, durations, ages, sequences (they depend
// on how many ticks came between), hashes, and what is left of a budget.
var varying = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}`), "TIME"},
	{regexp.MustCompile(`the tick of \d\d:\d\d:\d\d`), "the tick of TIME"},
	{regexp.MustCompile(`, \S+ old`), ", AGE old"},
	{regexp.MustCompile(`(the last|all of it) \S+ after`), "$1 DURATION after"},
	{regexp.MustCompile(`(config|state) [0-9a-f]{16}`), "$1 HASH"},
	{regexp.MustCompile(`, [0-9a-f]{16} after`), ", HASH after"},
	{regexp.MustCompile(`\S+ left in the ramp budget`), "SOME left in the ramp budget"},
}

var (
	sequence     = regexp.MustCompile(`(COMMANDS |JOURNAL \d+/|/dispatch/\d+/)(\d+)`)
	laterOrdinal = regexp.MustCompile(`(/dispatch/\d+/[A-Z])/[1-9]\d*`)
)

// golden compares a tree with a file, sequences numbered as they come.
func golden(t *testing.T, name string, tree *explain.Tree) {
	t.Helper()
	var b strings.Builder
	if err := tree.Print(&b, nil); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, v := range varying {
		got = v.re.ReplaceAllString(got, v.to)
	}
	names := map[string]string{}
	got = sequence.ReplaceAllStringFunc(got, func(s string) string {
		m := sequence.FindStringSubmatch(s)
		key := m[2]
		if m[1] == "COMMANDS " {
			key = "c" + key
		}
		if names[key] == "" {
			names[key] = string(rune('A' + len(names)))
		}
		return m[1] + names[key]
	})
	got = laterOrdinal.ReplaceAllString(got, "$1/n") // alerts and headroom come in between
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test -update writes it anew)", file, got, want)
	}
}

// TestRackLimit explains a curtailment because of a rack's limit.
func TestRackLimit(t *testing.T) {
	s := newSite(t, newBus(t), "tx1", nil)
	s.reading("rack-ai", 6_000)
	id := s.lowered(events.ReasonHeadroom)
	c := s.chain(id)
	golden(t, "rack-limit", c.Tree())
	if err := s.x.Replay(testContext(t), c); err != nil {
		t.Fatal(err)
	}
	golden(t, "rack-limit-replayed", c.Tree())
	if r := c.Replayed; !r.Same || len(r.Units) != int(c.Decision.Data.(*events.DispatchDecided).UnitsLowered) {
		t.Errorf("replayed: same %v, %d units", r.Same, len(r.Units))
	}

	// What was tampered with is not the same.
	forged := s.chain(id)
	forged.Asked.Data.(*events.CommandCurtail).Units[0].SetpointWatts++
	if err := s.x.Replay(testContext(t), forged); err != nil || forged.Replayed.Same {
		t.Errorf("a forged command is said to follow from the journal: %v", err)
	}

	// The same by every name that it has, and in JSON.
	asked := c.Asked
	for _, ref := range []string{" " + id + "\n", id[len("tx1/dispatch/"):], fmt.Sprint("COMMANDS/", asked.Sequence), fmt.Sprint(asked.Sequence)} {
		if again := s.chain(ref); again.ID != id || again.Asked.Sequence != asked.Sequence {
			t.Errorf("%q is %s", ref, again.ID)
		}
	}
	for what, ref := range map[string]explain.Ref{"the newest": {}, "the newest to old-2": {Site: "tx1", Unit: "old-2"}} {
		again, err := s.x.Chain(testContext(t), ref)
		if err != nil || again.Decision.ID != c.Decision.ID {
			t.Errorf("%s: %+v, %v", what, again, err)
		}
	}
	if ramp, err := s.x.Chain(testContext(t), explain.Ref{Unit: "new-1"}); err != nil || ramp.Asked.Type != events.TypeCommandRamp {
		t.Errorf("the newest to new-1: %+v, %v", ramp, err)
	}
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Decision struct{ Data events.DispatchDecided }
		Followed struct{ Units, Applied int }
		Replayed struct{ Same bool }
	}
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if l := back.Decision.Data.Why.Lowered; len(l) != 1 || l[0].Node != "rack-7" || l[0].OverWatts == 0 || back.Followed.Applied != back.Followed.Units || !back.Replayed.Same {
		t.Errorf("JSON: %s", b)
	}
}

// TestEmergency explains a curtailment because of a grid emergency.
func TestEmergency(t *testing.T) {
	s := newSite(t, newBus(t), "tx1", nil)
	w := int64(7_000)
	s.publish("utility", &events.GridSignal{SignalID: "dr-1", Kind: events.SignalCurtail, PowerWatts: &w, DurationSeconds: 600})
	s.lowered(events.ReasonGridCurtail)
	s.publish("ercot", &events.GridSignal{SignalID: "eea-3", Kind: events.SignalEmergency, DurationSeconds: 600, Reason: "EEA3"})
	golden(t, "emergency", s.chain(s.lowered(events.ReasonEmergency)).Tree())

	now, err := s.x.Now(testContext(t), explain.Asked{Node: "rack-7", Units: true})
	if err != nil {
		t.Fatal(err)
	}
	balances(t, now.Why)
	if got := explain.Sentence(now.Why); !strings.Contains(got, "a grid emergency is in force") || len(now.Units) != len(machines) {
		t.Errorf("%d units: %s", len(now.Units), got)
	}
}

// TestStaleMeter explains a curtailment because of a meter that fell silent.
func TestStaleMeter(t *testing.T) {
	s := newSite(t, newBus(t), "tx1", func(c *events.SiteConfig) {
		c.Meters[1].PeriodMilliseconds, c.Meters[1].StaleMilliseconds = 1_000, 3_000
	})
	golden(t, "stale-meter", s.chain(s.lowered(events.ReasonNoMeter)).Tree())

	now, err := s.x.Now(testContext(t), explain.Asked{Site: "tx1"})
	if err != nil {
		t.Fatal(err)
	}
	balances(t, now.Why)
	if got := explain.Sentence(now.Why); !strings.Contains(got, "a meter is not believed at rack-7") {
		t.Error(got)
	}
	one, err := s.x.Now(testContext(t), explain.Asked{Unit: "old-2"})
	if err != nil || len(one.Units) != 1 || one.Why.Node != "rack-7" || one.Units[0].SetpointWatts != 0 {
		t.Errorf("%+v, %v", one, err)
	}
}

// balances checks the sums of an answer to the watt.
func balances(t *testing.T, w *dispatch.Why) {
	t.Helper()
	left := w.NameplateWatts
	for _, h := range w.Held {
		left -= h.Watts
	}
	if left != w.PermittedWatts || left-w.NotDrawnWatts+w.OverdrawnWatts+w.UnreportedWatts != w.MiningWatts {
		t.Errorf("does not balance: %+v", w)
	}
}

// TestWhatIsNotThere: every way to ask for nothing gets an answer that says what
// to do.
func TestWhatIsNotThere(t *testing.T) {
	b := newBus(t)
	s := newSite(t, b, "tx1", nil)
	ctx := testContext(t)
	id := s.chain(newestID(t, s)).ID
	newSite(t, b, "tx2", nil)
	lead := id[:strings.LastIndexByte(id, '/')+1]
	for ref, want := range map[string]struct {
		err  error
		says string
	}{
		lead + "99":                       {explain.ErrUnknown, "has the outputs 0, 1"},
		"tx1/dispatch/1/1/0":              {explain.ErrUnknown, "moved no power"},
		"tx1/dispatch/1/99999999/0":       {explain.ErrUnknown, "a cut took the cause away"},
		"tx9/dispatch/1/5/0":              {explain.ErrUnknown, `site "tx9"; the bus knows tx1, tx2`},
		"tx2" + id[len("tx1"):]:           {explain.ErrUnknown, "site tx1 in its place"},
		"COMMANDS/99999999":               {explain.ErrUnknown, "the stream keeps 1 to"},
		id[len("tx1/dispatch/"):]:         {explain.ErrRef, "name one with --site"},
		"18446744073709551615":            {explain.ErrUnknown, "the stream keeps"},
		"18446744073709551615/99999999/0": {explain.ErrRef, "name one with --site"},
		"tx1/dispatch/18446744073709551615/18446744073709551615/4294967295": {explain.ErrUnknown, "a cut took"},
	} {
		r, err := explain.ParseRef(ref)
		if err == nil {
			_, err = s.x.Chain(ctx, r)
		}
		if !errors.Is(err, want.err) || !strings.Contains(err.Error(), want.says) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for what, q := range map[string]explain.Asked{
		"which site": {}, "no site": {Site: "tx9"}, "no node": {Site: "tx1", Node: "rack-9"}, "no unit": {Site: "tx1", Unit: "rig-9"}, "no node, unit": {Site: "tx1", Node: "rack-9", Unit: "old-1"},
	} {
		if _, err := s.x.Now(ctx, q); !errors.Is(err, explain.ErrUnknown) && !errors.Is(err, explain.ErrRef) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.x.Chain(ctx, explain.Ref{Site: "tx1", Unit: "rig-9"}); !errors.Is(err, explain.ErrUnknown) || !strings.Contains(err.Error(), "ballast why tx1 --unit rig-9") {
		t.Errorf("a unit without commands: %v", err)
	}

	// The journal forgets: the record still explains, a replay cannot.
	st, err := b.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.PurgeJournal(ctx, st.CachedInfo().State.LastSeq); err != nil {
		t.Fatal(err)
	}
	c := s.chain(id)
	if c.Cause != nil || !strings.Contains(c.NoCause, "the cause is older") || c.Decision == nil {
		t.Errorf("after the purge: %+v", c)
	}
	var text strings.Builder
	if err := c.Tree().Print(&text, nil); err != nil || !strings.Contains(text.String(), "the cause is older") {
		t.Errorf("%v:\n%s", err, text.String())
	}
	if err := s.x.Replay(ctx, c); !errors.Is(err, explain.ErrReplay) {
		t.Errorf("a replay without its cause: %v", err)
	}
	if _, err := s.x.Now(ctx, explain.Asked{Site: "tx1"}); !errors.Is(err, explain.ErrReplay) {
		t.Errorf("why without a journal: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.x.Chain(ended, explain.Ref{Site: "tx1"}); err == nil {
		t.Error("a context that is over did not end the search")
	}
}

// newestID of a command at the site.
func newestID(t *testing.T, s *site) string {
	t.Helper()
	c, err := s.x.Chain(testContext(t), explain.Ref{Site: s.id})
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

// TestOfAnOlderVersion: a decision without reasons, and of another version, is
// explained as far as it goes.
func TestOfAnOlderVersion(t *testing.T) {
	s := newSite(t, newBus(t), "tx1", nil)
	c := s.chain(newestID(t, s))
	w := c.Decision.Data.(*events.DispatchDecided)
	w.Version, w.Why = "2", nil
	var b strings.Builder
	if err := c.Tree().Print(&b, nil); err != nil || !strings.Contains(b.String(), "version 2 did not record its reasons") {
		t.Errorf("%v:\n%s", err, b.String())
	}
	if err := s.x.Replay(testContext(t), c); !errors.Is(err, explain.ErrReplay) || !strings.Contains(err.Error(), "use the release that decided") {
		t.Error(err)
	}
}

func TestParseRef(t *testing.T) {
	for s, want := range map[string]explain.Ref{
		"tx1/dispatch/3/81250/0": {Site: "tx1", HasKey: true, Key: events.OrderKey{Epoch: 3, Sequence: 81250}},
		"3/81250/7":              {HasKey: true, Key: events.OrderKey{Epoch: 3, Sequence: 81250, Ordinal: 7}},
		"COMMANDS/5521":          {Sequence: 5521},
		" 5521 ":                 {Sequence: 5521},
	} {
		if got, err := explain.ParseRef(s); err != nil || got != want {
			t.Errorf("%q: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", " ", "0", "-1", "x", "COMMANDS/", "COMMANDS/0", "COMMANDS/x", "REVENUE/7", "1/2", "1/2/3/4", "01/2/3", "1/2/4294967296",
		"tx1/settlement/3/81250/0", "TX 1/dispatch/3/81250/0", "tx1/dispatch/3/81250/-1", "../dispatch/1/2/3", "tx1//1/2/3", "\x00", strings.Repeat("9", 100), strings.Repeat("a/", 10_000)} {
		if got, err := explain.ParseRef(s); !errors.Is(err, explain.ErrRef) {
			t.Errorf("%.40q: %+v, %v", s, got, err)
		} else if len(err.Error()) > 1_000 {
			t.Errorf("%.40q: an error of %d characters", s, len(err.Error()))
		}
	}
}

func FuzzParseRef(f *testing.F) {
	for _, s := range []string{"tx1/dispatch/3/81250/0", "3/81250/7", "COMMANDS/5521", "5521", "tx1/settlement/1/2/3", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := explain.ParseRef(s)
		if err != nil {
			if !errors.Is(err, explain.ErrRef) {
				t.Error(err)
			}
			return
		}
		if r.HasKey == (r.Sequence > 0) || r.Unit != "" {
			t.Errorf("%q: %+v", s, r)
		}
	})
}

// TestReplayFromSnapshot folds from a stored snapshot what the journal does not
// keep from its beginning.
func TestReplayFromSnapshot(t *testing.T) {
	b := newBus(t)
	s := newSite(t, b, "tx1", nil)
	ctx := testContext(t)
	at := s.snapshot()
	if err := b.PurgeJournal(ctx, at); err != nil {
		t.Fatal(err)
	}
	s.reading("rack-ai", 6_000)
	c := s.chain(s.lowered(events.ReasonHeadroom))
	if err := s.x.Replay(ctx, c); err != nil {
		t.Fatal(err)
	}
	if c.Replayed.From != at || !c.Replayed.Same {
		t.Errorf("folded from %d, the snapshot is of %d; same %v", c.Replayed.From, at, c.Replayed.Same)
	}
	now, err := s.x.Now(ctx, explain.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	balances(t, now.Why)
	if time.Since(now.Why.At) > deadline {
		t.Errorf("as of %s", now.Why.At)
	}
}

// TestBroadcastToAUnit: a broadcast is the newest command to units that were
// there, and to no others.
func TestBroadcastToAUnit(t *testing.T) {
	s := newSite(t, newBus(t), "tx1", nil)
	s.publish("ercot", &events.GridSignal{SignalID: "eea-3", Kind: events.SignalEmergency, DurationSeconds: 600})
	id := s.lowered(events.ReasonEmergency)
	c, err := s.x.Chain(testContext(t), explain.Ref{Unit: "old-1"})
	if err != nil || c.ID != id || c.Asked.Source != events.BroadcastSource {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := s.x.Chain(testContext(t), explain.Ref{Unit: "rig-9"}); !errors.Is(err, explain.ErrUnknown) {
		t.Errorf("a unit that nobody knows: %v", err)
	}
}
