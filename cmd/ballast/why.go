// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/explain"
)

func (a *app) whyCommand() *cobra.Command {
	var q explain.Asked
	c := &cobra.Command{
		Use:   "why [SITE]",
		Short: "Why mining is at the power it is at now",
		Long: `Says in one sentence what keeps mining at a site where it is, and then exactly:
from the nameplate of all units, what each limit, reserve, signal, price and delay
holds down, to the watt, to what is permitted, drawn and metered.

The answer comes from folding the journal in memory, from the newest snapshot on,
as a dispatcher does. Nothing is written. SITE may be left out where the bus has
one site only.`,
		Example: `  ballast why
  ballast why tx1 --node rack-7
  ballast why tx1 --unit rig-17
  ballast why tx1 --json | jq '.why.held[] | {by, node, watts}'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				q.Site = args[0]
			}
			b, err := a.connect(cmd.Context(), "why")
			if err != nil {
				return err
			}
			defer closeBus(b)
			now, err := explain.New(b).Now(cmd.Context(), q)
			if err != nil {
				return explained("why", err)
			}
			return a.printExplained(now, now.Tree())
		},
	}
	c.Flags().StringVar(&q.Node, "node", "", "a `node` of the power tree and what hangs beneath it")
	c.Flags().StringVar(&q.Unit, "unit", "", "one `unit`")
	c.Flags().BoolVar(&q.Units, "units", false, "every unit, best first")
	return c
}
