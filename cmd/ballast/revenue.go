// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/events"
)

func (a *app) revenueCommand() *cobra.Command {
	var site string
	var follow bool
	var since time.Duration
	c := &cobra.Command{
		Use:   "revenue",
		Short: "Energy and money: totals, or as they are booked",
		Long: `Sums what settlement booked: satoshi expected from accepted shares, kept apart
by what stands behind them (live, practice, modelled), energy by use, and the
margin of closed intervals. Corrections are counted as they reverse.`,
		Example: `  ballast revenue                      all sites, everything kept
  ballast revenue --site demo --since 1h
  ballast revenue --follow --json      each money event as it is booked`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := a.connect(cmd.Context(), "revenue")
			if err != nil {
				return err
			}
			defer closeBus(b)
			p := a.printer()
			r := events.ReadRequest{Stream: events.StreamRevenue, Site: site, Follow: follow}
			if since > 0 {
				r.Since = time.Now().Add(-since)
			} else if follow {
				r.NewOnly = true
			}
			if follow {
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
	c.Flags().StringVar(&site, "site", "", "one `site` only")
	c.Flags().BoolVar(&follow, "follow", false, "print each event as it is booked, until Ctrl-C")
	c.Flags().DurationVar(&since, "since", 0, "only what was booked in this time before now")
	return c
}

// printTotals reads once and prints the sums.
func (a *app) printTotals(ctx context.Context, p *printer, log events.Log, r events.ReadRequest) error {
	t, err := sumRevenue(ctx, log, r)
	if err != nil {
		return err
	}
	return t.print(p)
}
