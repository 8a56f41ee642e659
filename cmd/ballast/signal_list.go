// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/signals"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// describeSignal says in a few words what a signal asks for.
func describeSignal(s *events.GridSignal) string {
	var b strings.Builder
	b.WriteString(string(s.Kind))
	if s.PowerWatts != nil {
		b.WriteString(" to " + watts(*s.PowerWatts))
	}
	if s.Node != "" {
		b.WriteString(" at " + s.Node)
	}
	if s.Programme != "" {
		b.WriteString(" for programme " + s.Programme)
	}
	if s.PriceMicrousdPerMWh != nil {
		b.WriteString(" " + dollars(*s.PriceMicrousdPerMWh) + "/MWh")
	}
	if s.Cancels != "" {
		b.WriteString(" cancels " + s.Cancels)
	}
	if s.DurationSeconds > 0 {
		b.WriteString(" for " + (time.Duration(s.DurationSeconds) * time.Second).String())
	}
	if s.Test {
		b.WriteString(" (drill)")
	}
	if s.Reason != "" {
		b.WriteString(" because " + s.Reason)
	}
	return b.String()
}

func (a *app) signalListCommand() *cobra.Command {
	var site string
	var all bool
	c := &cobra.Command{Use: "ls", Short: "Signals in force or to come, with their windows", Args: cobra.NoArgs,
		Long: `Signals with their windows and the state that each is in: announced, ramping
(its limit falls), in force, recovering (over, its limit rises), drill; with
--all also what is over, cancelled, restored or superseded.`,
		Example: `  ballast signal ls --site demo
  ballast signal ls --all --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := a.connect(cmd.Context(), "signal-ls")
			if err != nil {
				return err
			}
			defer closeBus(b)
			book, err := readSignals(cmd.Context(), b, site, all)
			if err != nil {
				return err
			}
			p := a.printer()
			rows := book.Rows(time.Now())
			for i := range rows {
				r := &rows[i]
				if p.json {
					if err := p.value(r); err != nil {
						return err
					}
					continue
				}
				p.linef("%-10s %-12s %-10s %-23s %-26s %s", r.Arrived.UTC().Format("15:04:05"), r.Site, r.State, window(r), r.ID, describeSignal(r.Signal))
			}
			if len(rows) == 0 && !p.json {
				p.linef("no signals in force")
			}
			return nil
		}}
	c.Flags().StringVar(&site, "site", "", "one `site` only")
	c.Flags().BoolVar(&all, "all", false, "also what is over")
	return c
}

// window writes from when to when a signal is felt, in UTC.
func window(r *signals.Row) string {
	from, to := r.StartsAt, "open"
	if !r.RampAt.IsZero() {
		from = r.RampAt
	}
	if end := r.EndsAt; !end.IsZero() {
		if !r.RecoveredAt.IsZero() {
			end = r.RecoveredAt
		}
		to = clockAt(end, from)
	}
	return clockAt(from, r.Arrived) + " – " + to
}

// clockAt writes a time of day, with its date where that is another than that of
// the one before.
func clockAt(t, before time.Time) string {
	if t.UTC().Format(time.DateOnly) == before.UTC().Format(time.DateOnly) {
		return t.UTC().Format(time.TimeOnly)
	}
	return t.UTC().Format("01-02 15:04")
}

// readSignals reads what INPUTS holds of signals and programmes.
func readSignals(ctx context.Context, b *bus.Bus, site string, all bool) (*signals.Book, error) {
	book := &signals.Book{KeepOver: all}
	r := events.ReadRequest{Stream: events.StreamInputs, Site: site,
		Types: []events.Type{events.TypeGridSignal, events.TypeSiteConfig, events.TypeJournalOpened}}
	for ev, err := range b.Events(ctx, r) {
		if err != nil {
			var d *events.DecodeError
			if asDecode(err, &d) {
				continue
			}
			return nil, err
		}
		book.Fold(ev)
	}
	return book, nil
}

func (a *app) programmeCommand() *cobra.Command {
	c := &cobra.Command{Use: "programme", Short: "The grid programmes that sites take part in",
		Example: `  ballast programme ls --site demo`}
	var site string
	ls := &cobra.Command{Use: "ls", Short: "Grid programmes, their terms and what of them is in force", Args: cobra.NoArgs,
		Example: `  ballast programme ls --site demo
  ballast programme ls --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := a.connect(cmd.Context(), "programme-ls")
			if err != nil {
				return err
			}
			defer closeBus(b)
			book, err := readSignals(cmd.Context(), b, site, false)
			if err != nil {
				return err
			}
			p := a.printer()
			ps := book.Programmes(time.Now())
			for i := range ps {
				if p.json {
					if err := p.value(&ps[i]); err != nil {
						return err
					}
					continue
				}
				p.linef("%-12s %-16s %-11s %s", ps[i].Site, ps[i].Programme.Programme, cmp.Or(string(ps[i].State), "quiet"), describeProgramme(&ps[i]))
			}
			if len(ps) == 0 && !p.json {
				p.linef("no grid programmes configured: list them under programmes of the site")
			}
			return nil
		}}
	ls.Flags().StringVar(&site, "site", "", "one `site` only")
	c.AddCommand(ls)
	return c
}

// describeProgramme says in a few words what a programme asks for and what of it
// is there.
func describeProgramme(p *signals.Programme) string {
	c := &p.Programme
	var parts []string
	add := func(s string) { parts = append(parts, s) }
	if c.Name != "" {
		add(c.Name)
	}
	if s := strings.TrimSpace(c.Market + " " + c.Product); s != "" {
		add(s)
	}
	what := "mining capped"
	switch {
	case c.Measures == events.MeasuresTotal && c.LimitIs == events.LimitIsShed:
		what = "all load shed by"
	case c.Measures == events.MeasuresTotal:
		what = "all load capped"
	case c.LimitIs == events.LimitIsShed:
		what = "mining shed by"
	}
	add(what + " at " + cmp.Or(c.Node, "the point of connection"))
	for _, t := range []struct {
		name string
		n    int64
	}{{"notice", c.NoticeSeconds}, {"response", c.ResponseSeconds}, {"ramp", c.RampSeconds}, {"at least", c.MinDurationSeconds},
		{"return after", c.ReturnDelaySeconds}, {"recovery", c.RecoverySeconds}} {
		if t.n > 0 {
			add(t.name + " " + short(time.Duration(t.n)*time.Second))
		}
	}
	if c.Tests == events.TestObey {
		add("tests are carried out")
	}
	if s := c.Silence; s != nil {
		then := "what is in force stays"
		if s.OnSilence == events.SilenceLimit {
			then = "then " + watts(s.LimitWatts)
		}
		heard := "heard " + p.HeardAt.UTC().Format(time.TimeOnly)
		switch {
		case p.HeardAt.IsZero():
			heard = "NEVER HEARD"
		case p.Silent:
			heard = "SILENT since " + p.HeardAt.UTC().Format(time.TimeOnly)
		}
		add("silent after " + short(time.Duration(s.AfterSeconds)*time.Second) + " without " + s.Source + ", " + then + "; " + heard)
	}
	if len(p.Signals) > 0 {
		add("signals " + strings.Join(p.Signals, " "))
	}
	return strings.Join(parts, ", ")
}

// short writes a duration without zero minutes and seconds.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
