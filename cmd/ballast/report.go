// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/eventreport"
	"github.com/ballast-energy/ballast/events"
)

// reportFlags say which events are wanted and where files go.
type reportFlags struct {
	site, source, out string
	since, until      string
}

func (a *app) reportCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "report",
		Short: "Reports of grid events: what was asked, what the meters showed",
		Long: `Reports what a site did in answer to the grid. The figures are those of
programme.performed, which the decider compliance books once shortly after an
event and once more, a quarter of an hour after it, for good.`,
		Example: `  ballast report events --since 720h
  ballast report event EEA2-7 --out reports`,
	}
	c.AddCommand(a.reportEventCommand(), a.reportEventsCommand())
	return c
}

func (a *app) reportEventCommand() *cobra.Command {
	var f reportFlags
	c := &cobra.Command{
		Use:   "event ID",
		Short: "One grid event as an HTML file and a CSV for its settlement",
		Long: `Writes two files on the event that the signal ID called: event-ID.html, one
self-contained page with charts and tables, and event-ID.csv (RFC 4180, UTF-8)
with one line per interval and baseline: interval in UTC, metered, baseline and
delivered energy in kWh, quality, and the hash of what the baseline rests on.

Of an id that was used more than once the newest event is reported; --site and
--issuer narrow it down. Exit code 1: no such event, or it is not over yet.`,
		Example: `  ballast report event EEA2-7
  ballast report event EEA2-7 --site tx1 --out reports --json
  ballast report event "$(ballast report events --json | jq -r .signal_id | tail -1)"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.connect(cmd.Context(), "report")
			if err != nil {
				return err
			}
			defer closeBus(b)
			return a.reportEvent(cmd.Context(), b, args[0], &f)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "", "one `site` only")
	fl.StringVar(&f.source, "issuer", "", "events of this `issuer` (source token) only")
	fl.StringVar(&f.out, "out", ".", "`directory` for the files; made where it is missing")
	return c
}

func (a *app) reportEventsCommand() *cobra.Command {
	var f reportFlags
	c := &cobra.Command{
		Use:   "events",
		Short: "The grid events that can be reported",
		Long:  `Lists grid events, the oldest first, with the newest word on each of them.`,
		Example: `  ballast report events
  ballast report events --site tx1 --since 24h --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			q := eventreport.Query{Site: f.site}
			var err error
			if q.Since, err = parseWhen("--since", f.since, time.Now()); err != nil {
				return withCode(exitUsage, err)
			}
			if q.Until, err = parseWhen("--until", f.until, time.Now()); err != nil {
				return withCode(exitUsage, err)
			}
			b, err := a.connect(cmd.Context(), "report")
			if err != nil {
				return err
			}
			defer closeBus(b)
			return a.listEvents(cmd.Context(), b, q)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "", "one `site` only")
	fl.StringVar(&f.since, "since", "", "only what was booked since: a `time` before now (24h) or an instant (2026-01-31T18:00:00Z)")
	fl.StringVar(&f.until, "until", "", "only what was booked before: as --since")
	return c
}

// reportedFiles is what `report event` did, as JSON.
type reportedFiles struct {
	Site      string                       `json:"site"`
	SignalID  string                       `json:"signal_id"`
	Outcome   events.PerformanceOutcome    `json:"outcome"`
	Final     bool                         `json:"final"`
	HTML      string                       `json:"html"`
	CSV       string                       `json:"csv"`
	Performed []*events.ProgrammePerformed `json:"performed"`
}

func (a *app) reportEvent(ctx context.Context, log events.Log, id string, f *reportFlags) error {
	list, err := eventreport.List(ctx, log, eventreport.Query{Site: f.site, SignalID: id})
	if err != nil {
		return err
	}
	var found *eventreport.Entry
	for i := range list {
		if f.source == "" || list[i].Last().SignalSource == f.source {
			found = &list[i]
		}
	}
	if found == nil {
		return a.noSuchEvent(ctx, log, id, f)
	}
	r, err := eventreport.Collect(ctx, log, *found)
	if err != nil {
		return err
	}
	r.Made = time.Now()
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	base := filepath.Join(f.out, "event-"+fileName(id))
	done := reportedFiles{Site: r.Site, SignalID: id, Outcome: r.Last().Outcome, Final: r.Final(), HTML: base + ".html", CSV: base + ".csv"}
	for i := range r.Parts {
		done.Performed = append(done.Performed, r.Parts[i].ProgrammePerformed)
	}
	if err := writeWhole(done.HTML, r.HTML); err != nil {
		return err
	}
	if err := writeWhole(done.CSV, r.CSV); err != nil {
		return err
	}
	p := a.printer()
	if p.json {
		return p.value(done)
	}
	for i := range r.Parts {
		p.linef("%s %s", p.paint(codeTitle, r.Site), describePerformance(r.Parts[i].ProgrammePerformed))
	}
	p.linef("  %s", done.HTML)
	p.linef("  %s", done.CSV)
	return nil
}

// noSuchEvent says whether the signal is unknown or only not over.
func (a *app) noSuchEvent(ctx context.Context, log events.Log, id string, f *reportFlags) error {
	r := events.ReadRequest{Stream: events.StreamInputs, Types: []events.Type{events.TypeGridSignal}, Site: f.site, Source: f.source}
	for ev, err := range log.Events(ctx, r) {
		if err != nil {
			var bad *events.DecodeError
			if asDecode(err, &bad) {
				continue
			}
			return fmt.Errorf("report: %w", err)
		}
		s, ok := ev.Data.(*events.GridSignal)
		if !ok || s.SignalID != id && ev.ID != id {
			continue
		}
		switch s.Kind {
		case events.SignalRestore, events.SignalPrice, events.SignalStop:
			return fmt.Errorf("report event: %s at %s is a %s, which calls no event; see ballast report events", id, ev.Site, s.Kind)
		}
		return fmt.Errorf("report event: %s at %s is known (%s), but nothing is booked of it yet: an event is reported when its window is over; is a dispatcher running? See ballast decider ls --site %s", id, ev.Site, describeSignal(s), ev.Site)
	}
	return fmt.Errorf("report event: no signal %q; ballast report events lists those that can be reported", id)
}

// fileName makes a file name of an id: what could mean something to a file
// system is replaced, and a digest keeps the names apart.
func fileName(id string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '-'
	}, id)
	if clean == id && len(id) <= 100 {
		return clean
	}
	sum := sha256.Sum256([]byte(id))
	return clean[:min(len(clean), 80)] + "-" + hex.EncodeToString(sum[:4])
}

// writeWhole writes beside the name and renames at the end: a file of that name
// is whole.
func writeWhole(name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	err := os.WriteFile(name+".part", b.Bytes(), 0o644)
	if err == nil {
		err = os.Rename(name+".part", name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("report: nothing is left of %s: %w", name, err), ignoreMissing(os.Remove(name+".part")))
	}
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// eventRow is one event of the list as JSON.
type eventRow struct {
	Site                    string                    `json:"site"`
	SignalID                string                    `json:"signal_id"`
	Issuer                  string                    `json:"issuer"`
	Programme               string                    `json:"programme,omitempty"`
	Kind                    events.SignalKind         `json:"kind"`
	Test                    bool                      `json:"test"`
	WindowStart             time.Time                 `json:"window_start"`
	WindowEnd               time.Time                 `json:"window_end"`
	Outcome                 events.PerformanceOutcome `json:"outcome"`
	Final                   bool                      `json:"final"`
	Parts                   int                       `json:"parts"`
	RequestedReductionWatts *int64                    `json:"requested_reduction_watts,omitempty"`
	AchievedReductionWatts  *int64                    `json:"achieved_reduction_watts,omitempty"`
	ResponseMilliseconds    *int64                    `json:"response_milliseconds,omitempty"`
	ShortfallMilliwattHours int64                     `json:"shortfall_milliwatt_hours"`
}

func (a *app) listEvents(ctx context.Context, log events.Log, q eventreport.Query) error {
	list, err := eventreport.List(ctx, log, q)
	if err != nil {
		return err
	}
	p := a.printer()
	if len(list) == 0 && !p.json {
		p.linef("no grid event reported in this time")
		return nil
	}
	w := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	if !p.json {
		fmt.Fprintln(w, "site\twindow, UTC\tfor\tsignal\tprogramme\toutcome\tasked\tachieved\tresponse\t")
	}
	for i := range list {
		first, last := &list[i].Parts[0], list[i].Last()
		r := eventRow{Site: list[i].Site, SignalID: last.SignalID, Issuer: last.SignalSource, Programme: last.Programme, Kind: last.Kind, Test: last.Test,
			WindowStart: first.WindowStart, WindowEnd: last.WindowEnd, Outcome: last.Outcome, Final: list[i].Final(), Parts: len(list[i].Parts),
			RequestedReductionWatts: first.RequestedReductionWatts, AchievedReductionWatts: last.AchievedReductionWatts, ResponseMilliseconds: first.ResponseMilliseconds}
		for n := range list[i].Parts {
			r.ShortfallMilliwattHours += list[i].Parts[n].ShortfallMilliwattHours
		}
		if p.json {
			if err := p.value(r); err != nil {
				return err
			}
			continue
		}
		outcome := string(r.Outcome)
		if !r.Final {
			outcome += " (preliminary)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Site, r.WindowStart.UTC().Format("2006-01-02 15:04:05"),
			r.WindowEnd.Sub(r.WindowStart).Round(time.Second), r.SignalID, cmp.Or(r.Programme, "-"), outcome,
			wattsOrDash(r.RequestedReductionWatts), wattsOrDash(r.AchievedReductionWatts), millisOrDash(r.ResponseMilliseconds))
	}
	if p.json {
		return nil
	}
	return w.Flush()
}

func wattsOrDash(w *int64) string {
	if w == nil {
		return "-"
	}
	return watts(*w)
}

func millisOrDash(ms *int64) string {
	if ms == nil {
		return "-"
	}
	return (time.Duration(*ms) * time.Millisecond).String()
}
