// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/explain"
)

func (a *app) explainCommand() *cobra.Command {
	var ref explain.Ref
	var last, replay bool
	c := &cobra.Command{
		Use:   "explain [COMMAND-ID]",
		Short: "Why a command was given: its causes, limits and alternatives, with their places in the journal",
		Long: `Prints the causal chain of a command: the decision it belongs to, the event that
led there, the readings, limits and signals in force, the constraint that won,
the alternatives that were turned down, and what agents and meters made of it.
Every fact is named with its place in the journal.

COMMAND-ID is the id of a command.curtail, command.ramp or dispatch.decided
(<site>/dispatch/<epoch>/<sequence>/<ordinal>), its key
(<epoch>/<sequence>/<ordinal>), or its place (COMMANDS/<sequence>).

--replay folds the journal in memory up to the cause: the state before and after,
and every unit that changed. Nothing is written.`,
		Example: `  ballast explain --last
  ballast explain --unit rig-17 --site tx1
  ballast explain tx1/dispatch/3/81250/0
  ballast explain COMMANDS/5521 --replay
  ballast explain 3/81250/0 --site tx1 --json | jq .decision.data.why.lowered`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := len(args)
			for _, set := range []bool{ref.Unit != "", last} {
				if set {
					given++
				}
			}
			if given != 1 {
				return withCode(exitUsage, errors.New("explain: give one of a COMMAND-ID, --unit or --last"))
			}
			if len(args) == 1 {
				r, err := explain.ParseRef(args[0])
				if err != nil {
					return withCode(exitUsage, fmt.Errorf("explain: %w", err))
				}
				if ref.Site != "" && r.Site != "" && r.Site != ref.Site {
					return withCode(exitUsage, fmt.Errorf("explain: %s is of site %s, --site says %s", args[0], r.Site, ref.Site))
				}
				if r.Site == "" {
					r.Site = ref.Site
				}
				ref = r
			}
			return a.explain(cmd.Context(), ref, replay)
		},
	}
	c.Flags().StringVar(&ref.Site, "site", "", "`site` id (needed where an id does not say it and the bus has several)")
	c.Flags().StringVar(&ref.Unit, "unit", "", "the newest command to this `unit`")
	c.Flags().BoolVar(&last, "last", false, "the newest decision")
	c.Flags().BoolVar(&replay, "replay", false, "fold the journal again for the states before and after, unit by unit")
	return c
}

func (a *app) explain(ctx context.Context, ref explain.Ref, replay bool) error {
	b, err := a.connect(ctx, "explain")
	if err != nil {
		return err
	}
	defer closeBus(b)
	x := explain.New(b)
	chain, err := x.Chain(ctx, ref)
	if err != nil {
		return explained("explain", err)
	}
	// What is on record is shown whether or not it can be folded again.
	var again error
	if replay {
		again = x.Replay(ctx, chain)
	}
	if err := a.printExplained(chain, chain.Tree()); err != nil {
		return err
	}
	return explained("explain --replay", again)
}

// printExplained writes an answer as JSON or as a tree.
func (a *app) printExplained(v any, t *explain.Tree) error {
	p := a.printer()
	if p.json {
		return p.value(v)
	}
	return t.Print(p.w, &explain.Style{
		Title: func(s string) string { return p.paint(codeTitle, s) },
		Place: func(s string) string { return p.paint(codeDim, s) },
	})
}

// explained gives an error the exit code of its kind.
func explained(what string, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", what, err)
	if errors.Is(err, explain.ErrRef) {
		return withCode(exitUsage, err)
	}
	return err
}
