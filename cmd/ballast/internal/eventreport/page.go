// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

//go:embed event.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("event").Parse(pageText))

// Widths of the two drawings of every chart.
const (
	wideChart   = 1000
	narrowChart = 420
)

// page is what the template shows: texts, all of them ready.
type page struct {
	Title, Kind, Site, Node, Programme, Contract, Reason, Issuer string
	Outcome, OutcomeText, OutcomeClass                           string
	Notes                                                        []string
	Window, WindowDay                                            string
	Facts                                                        []fact
	Charts                                                       []drawn
	Chronology                                                   []happening
	Methods                                                      []methodRow
	MethodUnit, PowerUnit                                        string
	Intervals                                                    *table
	LikeDays                                                     *table
	Quality                                                      []pair
	Provenance                                                   []pair
	Command                                                      string
	Made                                                         string
}

type fact struct{ Name, Value, Detail string }

type pair struct {
	Name, Value string
	Code        bool
}

type drawn struct {
	Title, Text  string
	Wide, Narrow *chart
	Table        string // id of the table with the same figures
}

type happening struct{ At, Offset, What, Source string }

type methodRow struct {
	Name, Text, Parameters                        string
	Contract                                      bool
	Baseline, Delivered, Mean, Share, Price, Days string
	Factor, Hash, ShortHash, Unavailable          string
	Class                                         string
}

type table struct {
	Head []string
	Rows []row
}

type row struct {
	Name  string
	Note  string
	Cells []cellText
}

type cellText struct{ Main, Sub string }

// HTML writes the report as one file.
func (r *Report) HTML(out io.Writer) error {
	if err := pageTemplate.Execute(out, r.page()); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

func (r *Report) page() *page {
	w, last := &r.Parts[0], r.Last()
	outcome := worst(r.Parts)
	p := &page{
		Title: w.SignalID, Kind: kindText(w.Kind), Site: r.Site, Node: nodeText(w.Node), Programme: w.Programme, Reason: w.Reason, Issuer: w.SignalSource,
		Contract: strings.TrimSpace(strings.Join([]string{w.Market, w.Product}, " ")),
		Outcome:  string(outcome), OutcomeText: outcomeText(outcome), OutcomeClass: string(outcome),
		Window: w.WindowStart.UTC().Format("15:04:05") + " – " + last.WindowEnd.UTC().Format("15:04:05") + " UTC", WindowDay: w.WindowStart.UTC().Format("2 January 2006"),
		Facts: r.facts(), Chronology: r.chronology(), Quality: r.quality(), Provenance: r.provenance(),
		Command: "ballast journal replay --verify --site " + r.Site + " --decider compliance",
		Made:    r.Made.UTC().Format("2006-01-02 15:04:05") + " UTC",
	}
	if last.WindowEnd.UTC().Format("2006-01-02") != w.WindowStart.UTC().Format("2006-01-02") {
		p.WindowDay += " to " + last.WindowEnd.UTC().Format("2 January 2006")
	}
	if w.Test {
		p.Notes = append(p.Notes, map[bool]string{true: "A drill that was carried out.", false: "A drill: no power was moved for it."}[w.Obeyed])
	}
	if !r.Final() {
		p.Notes = append(p.Notes, "Preliminary: the last word comes when the load has had time to return and counters have proven what was estimated.")
	}
	if last.Ending == events.EndingRunning {
		p.Notes = append(p.Notes, "The event goes on; this is what is over of it.")
	}
	if w.Modelled {
		p.Notes = append(p.Notes, "Some of the readings come from a plant model, not from a meter: not for settlement.")
	}
	if w.Overlapped {
		p.Notes = append(p.Notes, "Another event was in force there during the window: the load answers to both.")
	}
	r.charts(p)
	r.tables(p)
	return p
}

// facts are the figures that matter most.
func (r *Report) facts() []fact {
	w, last := &r.Parts[0], r.Last()
	var shortfall, over, hold, held int64
	for i := range r.Parts {
		q := &r.Parts[i]
		shortfall, over = shortfall+q.ShortfallMilliwattHours, over+q.OverDeliveryMilliwattHours
		hold, held = hold+q.HoldMilliseconds, held+q.HeldMilliseconds
	}
	out := []fact{{"Limit on " + measureText(w.Measures), power(w.LimitWatts), "tolerance " + power(w.ToleranceWatts)}}
	if v := w.RequestedReductionWatts; v != nil {
		out = append(out, fact{"Reduction asked for", power(*v), "from " + power(*w.BeforeWatts) + " before"})
	}
	if v := last.AchievedReductionWatts; v != nil {
		f := fact{"Reduction achieved", power(*v), "mean from the deadline to the end"}
		if q := w.RequestedReductionWatts; q != nil && *q > 0 {
			f.Detail = share(*v, *q) + " of what was asked, mean"
		}
		out = append(out, f)
	}
	f := fact{"Response", "not reached", "from the instruction to the level"}
	if v := w.ResponseMilliseconds; v != nil {
		f.Value = duration(time.Duration(*v) * time.Millisecond)
		f.Detail = "from the instruction; due within " + duration(w.DeadlineAt.Sub(w.IssuedAt))
	}
	out = append(out, f)
	out = append(out, fact{"Held", share(held, hold), "of " + duration(time.Duration(hold)*time.Millisecond) + " after the deadline"})
	out = append(out, fact{"Shortfall", amount(shortfall), "above the limit after the deadline"})
	out = append(out, fact{"Over-delivery", amount(over), "below the limit after the deadline"})
	if b, delivered := r.contract(); b != nil {
		out = append(out, fact{"Delivered", amount(delivered), "against " + methodName(b) + ", as contracted"})
	}
	return out
}

// contract is the baseline that the programme settles by, and what was
// delivered against it over all parts.
func (r *Report) contract() (b *events.PerformanceBaseline, delivered int64) {
	for i := range r.Parts {
		for n := range r.Parts[i].Baselines {
			if q := &r.Parts[i].Baselines[n]; q.Contract && q.Unavailable == "" {
				if b == nil || b.Parameters == q.Parameters {
					b, delivered = q, delivered+q.DeliveredMilliwattHours
				}
			}
		}
	}
	return b, delivered
}

func (r *Report) charts(p *page) {
	add := func(pl *plot, text, table string) {
		if pl == nil || len(pl.curves) == 0 {
			return
		}
		p.Charts = append(p.Charts, drawn{pl.title, text, pl.draw(wideChart, "-wide"), pl.draw(narrowChart, "-narrow"), table})
	}
	source := "By the readings in the journal."
	if len(r.Trace) == 0 {
		source = "By interval: the journal does not hold the readings any more."
	}
	add(r.timeline(), source, "intervals")
	add(r.response(), "The load that the limit is about, at its meter's own readings.", "chronology")
	add(r.baselines(), "What each method says the load would have been; the area is what was metered.", "intervals")
}

// chronology of the event.
func (r *Report) chronology() []happening {
	type at struct {
		t            time.Time
		what, source string
	}
	w, last := &r.Parts[0], r.Last()
	list := []at{
		{w.IssuedAt, "Instruction given", "clock of the issuer"},
		{w.ArrivedAt, "Signal stored", fmt.Sprintf("journal, sequence %d", w.SignalSequence)},
	}
	put := func(t *time.Time, what, source string) {
		if t != nil && !t.IsZero() {
			list = append(list, at{*t, what, source})
		}
	}
	if w.BeganAt.Sub(w.ArrivedAt) > 0 {
		put(&w.BeganAt, "Reduction to begin", "signal and programme")
	}
	put(&r.FirstCommand, "First command stored", "commands")
	put(&r.FirstUnit, "First unit reports the command", "worker status")
	put(&w.WindowStart, "Window opens", "signal")
	put(w.FellAt, "Load begins to fall", "meter")
	put(w.ReachedAt, "Load at the level", "meter")
	put(&w.DeadlineAt, "Full reduction due", "signal and programme")
	for i := range r.Parts {
		for _, c := range r.Parts[i].Changes {
			put(&c.At, "Limit becomes "+power(c.LimitWatts)+", due "+c.DeadlineAt.UTC().Format("15:04:05"), "signal")
		}
	}
	if last.Ending != events.EndingRunning {
		what := "Window ends: " + endingText(last.Ending)
		if last.EndedBy != "" {
			what += " by " + last.EndedBy
		}
		put(&last.WindowEnd, what, "signal")
	}
	put(last.RestoredAt, "Load back at nine tenths of before", "meter")
	slices.SortStableFunc(list, func(a, b at) int { return a.t.Compare(b.t) })
	out := make([]happening, len(list))
	for i, e := range list {
		out[i] = happening{e.t.UTC().Format("2006-01-02 15:04:05.000"), duration(e.t.Sub(w.IssuedAt).Truncate(time.Millisecond)), e.what, e.source}
	}
	return out
}

// quality of what was measured.
func (r *Report) quality() []pair {
	w := &r.Parts[0]
	counts := map[string]int{}
	var lines int
	var estimated, window time.Duration
	for i := range r.Parts {
		q := &r.Parts[i]
		estimated += time.Duration(q.EstimatedMilliseconds) * time.Millisecond
		window += q.WindowEnd.Sub(q.WindowStart)
		for n := range q.Lines {
			lines++
			counts[Quality(q, &q.Lines[n])]++
		}
	}
	var parts []string
	for _, q := range []string{QualityMetered, QualityModelled, QualityPartly, QualityEstimated, QualityMissing} {
		if n := counts[q]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d of %d %s", n, lines, qualityText(q)))
		}
	}
	return []pair{
		{"Measured", fmt.Sprintf("%s at the %s, in intervals of %s", measureText(w.Measures), nodeText(w.Node), duration(time.Duration(w.IntervalSeconds)*time.Second)), false},
		{"Intervals", strings.Join(parts, ", "), false},
		{"Without a reading", share(int64(estimated), int64(window)) + " of the window, " + duration(estimated), false},
		{"Days of baselines", "local days at UTC" + offset(w.UTCOffsetSeconds) + "; days with an event, and days on which the same hours were not measured, are left out", false},
	}
}

func offset(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	sign := "+"
	if seconds < 0 {
		sign, seconds = "−", -seconds
	}
	return fmt.Sprintf("%s%02d:%02d", sign, seconds/3600, seconds%3600/60)
}

// provenance names what the report rests on.
func (r *Report) provenance() []pair {
	w := &r.Parts[0]
	out := []pair{
		{"Signal", fmt.Sprintf("%s of %s, journal sequence %d", w.SignalID, w.SignalSource, w.SignalSequence), true},
		{"Decider", fmt.Sprintf("compliance version %s, configuration %s", w.Version, w.ConfigHash), true},
		{"Site configuration", w.SiteHash, true},
	}
	for i := range r.Parts {
		q := &r.Parts[i]
		text := fmt.Sprintf("%s (REVENUE sequence %d; journal epoch %d, sequence %d)", q.ID, q.Sequence, q.Key.Epoch, q.Key.Sequence)
		if q.Reverses != "" {
			text += ", takes the place of " + q.Reverses
		}
		out = append(out, pair{fmt.Sprintf("Record, part %d", q.Part), text, true})
	}
	for i := range w.Baselines {
		b := &w.Baselines[i]
		out = append(out, pair{methodName(b) + ", inputs", "version " + b.Version + ", " + b.Parameters + ", SHA-256 " + b.InputHash, true})
	}
	return out
}
