// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/events"
)

// revenueFlags say what to sum and how to write it.
type revenueFlags struct {
	site, by      string
	since, until  string
	follow, csv   bool
	parquet       string
	sinceAt, till time.Time
}

func (a *app) revenueCommand() *cobra.Command {
	var f revenueFlags
	c := &cobra.Command{
		Use:   "revenue",
		Short: "Energy and money: totals, or as they are booked",
		Long: `Sums what settlement booked: satoshi expected from accepted shares, kept apart
by what stands behind them (live, practice, modelled), energy by use, and the
margin of closed intervals. Corrections are counted as they reverse.

--by hour, worker or site groups money and shares, read from the bus as it is:

  site, hour   what was accrued; an accrual counts in the hour (UTC) in which its
               span begins, at the rate quoted when it was booked
  worker       the value of the shares of each unit, exact and rounded down once
               at the end; what is booked otherwise (blocks, statements, a pool's
               remainder) has no worker, so the sum may differ from the site's

--by reason and --by signal show what was forgone instead: what units could have
hashed and did not, by the reason that they gave (emergency, grid-curtail,
headroom, economics, lease …) or by the grid signal behind it; what that was
worth, what its energy would have cost, and the difference. An interval counts
if it begins in the time asked for. None of it is part of any margin.

Shares count once, by the first verdict. Hash rate is what accepted shares prove
over the time asked for. Luck is blocks found over blocks expected of that work,
where one was found. Amounts are integers: millisatoshi, millionths of a dollar,
luck in millionths; difficulties and expected blocks are decimal text.`,
		Example: `  ballast revenue                      all sites, everything kept
  ballast revenue --site demo --since 1h
  ballast revenue --follow --json      each money event as it is booked
  ballast revenue --by hour --since 24h
  ballast revenue --by worker --since 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z --csv > march.csv
  ballast revenue --by signal --since 24h            what each curtailment cost
  ballast revenue --by site --parquet revenue.parquet`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(time.Now()); err != nil {
				return withCode(exitUsage, err)
			}
			b, err := a.connect(cmd.Context(), "revenue")
			if err != nil {
				return err
			}
			defer closeBus(b)
			if f.by != "" {
				return a.revenueBy(cmd.Context(), b, &f)
			}
			p := a.printer()
			r := events.ReadRequest{Stream: events.StreamRevenue, Site: f.site, Since: f.sinceAt, Until: f.till, Follow: f.follow}
			if f.follow {
				r.NewOnly = f.sinceAt.IsZero()
				for ev, err := range b.Events(cmd.Context(), r) {
					if err := a.printWatched(p, ev, err); err != nil {
						if cmd.Context().Err() != nil {
							return nil
						}
						return err
					}
				}
				return nil
			}
			return a.printTotals(cmd.Context(), p, b, r)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "", "one `site` only")
	fl.BoolVar(&f.follow, "follow", false, "print each event as it is booked, until Ctrl-C")
	fl.StringVar(&f.since, "since", "", "only what was booked since: a `time` before now (24h) or an instant (2026-01-31T18:00:00Z)")
	fl.StringVar(&f.until, "until", "", "only what was booked before: as --since")
	fl.StringVar(&f.by, "by", "", "`group`: hour, worker or site; of what was forgone: reason or signal")
	fl.BoolVar(&f.csv, "csv", false, "write comma-separated values with a header (alone: by site)")
	fl.StringVar(&f.parquet, "parquet", "", "write a Parquet `file` (alone: by site)")
	c.AddCommand(a.reconcileCommand())
	return c
}

// check completes the flags, or says what does not go together.
func (f *revenueFlags) check(now time.Time) error {
	var err error
	if f.sinceAt, err = parseWhen("--since", f.since, now); err != nil {
		return err
	}
	if f.till, err = parseWhen("--until", f.until, now); err != nil {
		return err
	}
	if !f.sinceAt.IsZero() && !f.till.IsZero() && !f.sinceAt.Before(f.till) {
		return errors.New("--since must be before --until")
	}
	if f.csv && f.parquet != "" {
		return errors.New("--csv or --parquet, not both")
	}
	if f.by == "" && (f.csv || f.parquet != "") {
		f.by = bySite
	}
	switch f.by {
	case "", byHour, byWorker, bySite, byReason, bySignal:
	default:
		return fmt.Errorf("--by %q: use %s", f.by, strings.Join([]string{byHour, byWorker, bySite, byReason, bySignal}, ", "))
	}
	if f.follow && (f.by != "" || f.until != "") {
		return errors.New("--follow prints events as they come: it takes no --by, --until, --csv or --parquet")
	}
	return nil
}

// parseWhen reads a time before now or an instant; empty is the zero time.
func parseWhen(name, s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		if d < 0 {
			return time.Time{}, fmt.Errorf("%s %s: it is a time before now, without a sign", name, s)
		}
		if d == 0 && name == "--since" {
			return time.Time{}, nil // as ever: everything kept
		}
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%s %q: write it like 24h or 2026-01-31T18:00:00Z", name, s)
	}
	return t, nil
}

// printTotals reads once and prints the sums.
func (a *app) printTotals(ctx context.Context, p *printer, log events.Log, r events.ReadRequest) error {
	t, err := sumRevenue(ctx, log, r)
	if err != nil {
		return err
	}
	return t.print(p)
}
