// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/ballast-energy/ballast/events"
)

func ersSignal() *events.GridSignal {
	limit := int64(5_000_000)
	return &events.GridSignal{SignalID: "EEA2-2026-07-10", Kind: events.SignalCurtail, Programme: "ers-10", Reason: "EEA2: reserves below 1,750 MW", PowerWatts: &limit, DurationSeconds: 3600}
}

// TestReportOfAnEvent goes from readings to the files: what the page and the
// CSV say is what the decider booked.
func TestReportOfAnEvent(t *testing.T) {
	s := season(t, ersSignal(), "ercot")
	r, page, table := s.report(t, "ers")
	w := r.Last()
	if !r.Final() || w.Outcome != events.PerformanceMet || len(w.Baselines) != 8 || len(w.LikeDays) < 10 {
		t.Fatalf("final %v, %s, %d baselines, %d like days", r.Final(), w.Outcome, len(w.Baselines), len(w.LikeDays))
	}
	for i := range w.Baselines {
		if w.Baselines[i].Unavailable != "" {
			t.Errorf("%s: %s", w.Baselines[i].Method, w.Baselines[i].Unavailable)
		}
	}
	if r.FirstCommand.IsZero() || r.FirstUnit.IsZero() || len(r.Trace) < 3600 {
		t.Errorf("first command %s, first unit %s, %d samples", r.FirstCommand, r.FirstUnit, len(r.Trace))
	}
	for _, want := range []string{"EEA2-2026-07-10", "ERCOT ERS-10", "Middle 8 of 10", w.Baselines[0].InputHash, "ballast journal replay --verify --site tx1 --decider compliance", `class="badge met"`} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
	rows, err := csv.NewReader(bytes.NewReader(table)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 1+len(w.Lines)*8 || len(rows[0]) != len(Columns) {
		t.Fatalf("%d rows of %d columns", len(rows), len(rows[0]))
	}
	at := map[string]int{}
	for i, c := range rows[0] {
		at[c] = i
	}
	// Every line must balance, and all together be what was booked.
	delivered := map[string]int64{}
	for _, row := range rows[1:] {
		actual, base, gave := micro(t, row[at["actual_kwh"]]), micro(t, row[at["baseline_kwh"]]), micro(t, row[at["delivered_kwh"]])
		if base-actual != gave {
			t.Errorf("%v: %d − %d is not %d", row, base, actual, gave)
		}
		if row[at["quality"]] != QualityMetered {
			t.Errorf("quality %s", row[at["quality"]])
		}
		delivered[row[at["baseline_method"]]+row[at["baseline_parameters"]]] += gave
	}
	for i := range w.Baselines {
		b := &w.Baselines[i]
		got := delivered[string(b.Method)+b.Parameters]
		// Each line is rounded down by itself: at most 1 mWh apart per line.
		if diff := b.DeliveredMilliwattHours - got; diff < 0 || diff > int64(len(w.Lines)) {
			t.Errorf("%s: the lines add up to %d, booked %d", b.Method, got, b.DeliveredMilliwattHours)
		}
	}
	if !bytes.Contains(table, []byte("\r\n")) {
		t.Error("lines do not end as RFC 4180 says")
	}
}

// A report that is made while the load still returns draws nothing behind the
// last reading; and no figure of an axis leaves the drawing.
func TestCurvesEndWithTheReadings(t *testing.T) {
	r, _, _ := season(t, ersSignal(), "ercot").report(t, "ers")
	end := r.Last().WindowEnd
	r.Trace = slices.DeleteFunc(r.Trace, func(s Sample) bool { return s.At.After(end) })
	for _, width := range []float64{1032, 360} {
		p := r.timeline()
		c := p.draw(width, "")
		last := p.xScale(c)(unix(r.Trace[len(r.Trace)-1].At))
		if len(c.Lines) != 4 || last > c.Right-10 {
			t.Fatalf("%d curves up to %.1f of %.1f", len(c.Lines), last, c.Right)
		}
		for _, l := range c.Lines[:3] {
			if !strings.HasSuffix(l.Path, fmt.Sprintf("H%.1f", last)) {
				t.Errorf("%s does not end at %.1f: …%s", l.Class, last, l.Path[max(0, len(l.Path)-30):])
			}
		}
		for _, k := range c.XTicks {
			if half := float64(len(k.Text)) * fontWidth / 2; k.At+half > width {
				t.Errorf("%q at %.1f leaves the drawing of %.0f", k.Text, k.At, width)
			}
		}
	}
}

// micro reads a decimal with six places.
func micro(t *testing.T, s string) int64 {
	t.Helper()
	whole, frac, ok := strings.Cut(s, ".")
	if !ok || len(frac) != 6 {
		t.Fatalf("%q has not six decimals", s)
	}
	v, err := strconv.ParseInt(whole+frac, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestPageIsSelfContained: nothing is loaded, nothing runs, and what an issuer
// writes stays text.
func TestPageIsSelfContained(t *testing.T) {
	sig := ersSignal()
	sig.SignalID = `x"><script>alert(1)</script><img src=x onerror=alert(2)>`
	sig.SignalID = strings.Map(func(r rune) rune { return r }, "a:b._-1") // ids of signals are names
	sig.Reason = `</style></svg><script src="https://evil.example/x.js"></script>" onload="alert(1)`
	sig.Programme = `"><iframe src=//evil.example>`
	s := season(t, sig, "ercot")
	list, err := List(t.Context(), s, Query{})
	if err != nil {
		t.Fatal(err)
	}
	// The id of an event without a signal id is that of its message: anything.
	hostile := *list[len(list)-1].Last().ProgrammePerformed
	hostile.SignalID, hostile.EndedBy, hostile.Ending = `<script>alert(3)</script>=1+1`, `'"><svg onload=alert(4)>`, events.EndingCancelled
	s.put(events.StreamRevenue, "site", `tx1/<b>"id"</b>`, &hostile)
	_, page, table := s.report(t, "hostile")

	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			break
		}
		if kind != html.StartTagToken && kind != html.SelfClosingTagToken {
			continue
		}
		tok := z.Token()
		switch tok.Data {
		case "script", "iframe", "img", "link", "object", "embed", "base", "form", "audio", "video", "image", "use", "foreignobject":
			t.Errorf("the page holds a <%s>", tok.Data)
		}
		for _, a := range tok.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "src" || a.Key == "style" || a.Key == "href" && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("<%s %s=%q>", tok.Data, a.Key, a.Val)
			}
		}
	}
	if m := regexp.MustCompile(`(?i)(url\(|@import|https?://|//evil)`).FindAll(style(page), -1); m != nil {
		t.Errorf("the style refers to %q", m)
	}
	for _, cell := range strings.FieldsFunc(string(table), func(r rune) bool { return r == ',' || r == '\n' }) {
		if strings.HasPrefix(cell, "=") || strings.HasPrefix(cell, "+") || strings.HasPrefix(cell, "@") {
			t.Errorf("a spreadsheet would work out %q", cell)
		}
	}
}

// style is what stands between the tags of the style sheet.
func style(page []byte) []byte {
	_, rest, _ := bytes.Cut(page, []byte("<style>"))
	s, _, _ := bytes.Cut(rest, []byte("</style>"))
	return s
}

// TestReportWithoutJournal: when the journal does not hold the readings any
// more, the booked intervals are shown.
func TestReportWithoutJournal(t *testing.T) {
	s := season(t, ersSignal(), "ercot")
	s.streams[events.StreamJournal], s.streams[events.StreamCommands] = nil, nil
	r, page, _ := s.report(t, "purged")
	if len(r.Trace) != 0 || !r.FirstCommand.IsZero() {
		t.Error("something was found in an empty journal")
	}
	if !bytes.Contains(page, []byte("the journal does not hold the readings any more")) || !bytes.Contains(page, []byte(`class="total"`)) {
		t.Error("the page does not fall back to the intervals")
	}
}

// TestNewestWordCounts: the last word replaces the preliminary one, and what
// was taken back is gone.
func TestNewestWordCounts(t *testing.T) {
	s := season(t, ersSignal(), "ercot")
	all := s.streams[events.StreamRevenue]
	if len(all) != 2 {
		t.Fatalf("%d words", len(all))
	}
	list, err := List(t.Context(), s, Query{SignalID: "EEA2-2026-07-10"})
	if err != nil || len(list) != 1 || len(list[0].Parts) != 1 || list[0].Last().ID != all[1].ID {
		t.Fatalf("%+v, %v", list, err)
	}
	void := *all[1].Data.(*events.ProgrammePerformed)
	void.Outcome, void.Reverses, void.Lines, void.Baselines, void.LikeDays = events.PerformanceVoid, all[1].ID, nil, nil, nil
	s.put(events.StreamRevenue, "site", "tx1/compliance/lost/1", &void)
	if list, err = List(t.Context(), s, Query{}); err != nil || len(list) != 0 {
		t.Errorf("%d events after it was taken back, %v", len(list), err)
	}
	if list, _ := List(t.Context(), s, Query{Since: time.Now()}); len(list) != 0 {
		t.Errorf("%d events of the future", len(list))
	}
}

func FuzzNumbers(f *testing.F) {
	f.Add(int64(0), 3)
	f.Add(int64(-1_234_567), 6)
	f.Fuzz(func(t *testing.T, v int64, places int) {
		if places < 1 || places > 9 || v == -1<<63 {
			return
		}
		s := decimal(v, places)
		back, err := strconv.ParseInt(strings.Replace(s, ".", "", 1), 10, 64)
		if err != nil || back != v {
			t.Errorf("%d with %d places is %q, read back as %d (%v)", v, places, s, back, err)
		}
	})
}
