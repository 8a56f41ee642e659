// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/audit"
)

func (a *app) journalCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "journal",
		Short: "List, export, import and replay what was decided on, and prove the decisions",
		Example: `  ballast journal ls --site demo --since 1m
  ballast journal replay --verify --site demo
  ballast journal export day.ndjson.zst --site demo
  ballast journal replay --verify --file day.ndjson.zst`,
	}
	c.AddCommand(a.journalListCommand(), a.journalExportCommand(), a.journalImportCommand(), a.journalForgetCommand(), a.journalReplayCommand())
	return c
}

func (a *app) journalListCommand() *cobra.Command {
	var site string
	var since time.Duration
	var from uint64
	var follow bool
	c := &cobra.Command{Use: "ls [TYPE…]", Short: "The journal in its total order, with sequences and arrival times",
		Example: `  ballast journal ls --site demo --since 1m
  ballast journal ls grid.signal --site demo --from 1
  ballast journal ls --follow --json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.connect(cmd.Context(), "journal-ls")
			if err != nil {
				return err
			}
			defer closeBus(b)
			r := events.ReadRequest{Stream: events.StreamJournal, Site: site, FromSequence: from, Follow: follow}
			for _, s := range args {
				if _, known := events.Info(events.Type(s)); !known {
					return withCode(exitUsage, fmt.Errorf("no event type %q; ballast schema list names them", s))
				}
				r.Types = append(r.Types, events.Type(s))
			}
			if since > 0 {
				r.Since = time.Now().Add(-since)
			}
			p := a.printer()
			for ev, err := range b.Events(cmd.Context(), r) {
				if err == nil && !p.json {
					p.linef("%6d/%-9d %s %-10s %-18s %-14s %s", ev.Epoch, ev.Sequence, p.paint(codeDim, clock(ev.Arrived)), ev.Site, ev.Type, ev.Source, describe(ev))
					continue
				}
				if err := a.printWatched(p, ev, err); err != nil {
					if cmd.Context().Err() != nil {
						return nil
					}
					return err
				}
			}
			return nil
		}}
	c.Flags().StringVar(&site, "site", "", "one `site` only")
	c.Flags().DurationVar(&since, "since", 0, "only what arrived in this time before now")
	c.Flags().Uint64Var(&from, "from", 0, "first journal `sequence`")
	c.Flags().BoolVar(&follow, "follow", false, "go on with what arrives, until Ctrl-C")
	return c
}

func (a *app) journalExportCommand() *cobra.Command {
	var site, from, to string
	c := &cobra.Command{Use: "export FILE --site SITE", Short: "Write journal, commands and revenue of a site into one file", Args: cobra.ExactArgs(1),
		Long: `Writes JOURNAL, COMMANDS and REVENUE of a site into one compressed file that
keeps epochs, sequences and arrival times, so that it can be verified anywhere.
FILE - is standard output.`,
		Example: `  ballast journal export day.ndjson.zst --site demo
  ballast journal export - --site demo | zstdcat | head`,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.connect(cmd.Context(), "journal-export")
			if err != nil {
				return err
			}
			defer closeBus(b)
			if err := knownSite(cmd.Context(), b, site); err != nil {
				return err
			}
			since, err := parseTimeFlag("--from", from)
			if err != nil {
				return err
			}
			until, err := parseTimeFlag("--to", to)
			if err != nil {
				return err
			}
			n, err := a.export(cmd.Context(), b, site, since, until, args[0])
			if err != nil {
				return err
			}
			p := &printer{w: a.err, json: a.json}
			if args[0] != "-" {
				p = a.printer()
			}
			if p.json {
				return p.value(map[string]any{"site": site, "file": args[0], "messages": n})
			}
			p.linef("%d messages of %s in %s", n, site, args[0])
			return nil
		}}
	c.Flags().StringVar(&site, "site", "", "`site` id (required)")
	c.Flags().StringVar(&from, "from", "", "`time` of the first arrival, like 2026-01-31T18:00:00Z")
	c.Flags().StringVar(&to, "to", "", "`time` before which the last arrived")
	_ = c.MarkFlagRequired("site")
	return c
}

// export writes beside the name and renames at the end: a file of that name is
// whole.
func (a *app) export(ctx context.Context, b *bus.Bus, site string, from, to time.Time, name string) (uint64, error) {
	if name == "-" {
		return audit.Export(ctx, b, site, version, from, to, a.out)
	}
	f, err := os.Create(name + ".part")
	if err != nil {
		return 0, fmt.Errorf("export: %w", err)
	}
	bar := a.progress("exporting", -1)
	n, err := audit.Export(ctx, b, site, version, from, to, io.MultiWriter(f, bar))
	_ = bar.Finish()
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return 0, fmt.Errorf("export: nothing is left of %s: %w", name, err)
	}
	return n, nil
}

// progress is a bar on standard error, silent where that is no terminal.
func (a *app) progress(what string, of int64) *progressbar.ProgressBar {
	if a.json || !isatty.IsTerminal(a.err.Fd()) {
		return progressbar.DefaultBytesSilent(of)
	}
	return progressbar.NewOptions64(of, progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription(what),
		progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionEnableColorCodes(false))
}

func parseTimeFlag(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, withCode(exitUsage, fmt.Errorf("%s %q: write it like 2026-01-31T18:00:00Z", name, s))
	}
	return t, nil
}

func (a *app) journalImportCommand() *cobra.Command {
	return &cobra.Command{Use: "import NAME FILE", Short: "Store an export in stream REPLAY, where nothing live listens", Args: cobra.ExactArgs(2),
		Example: `  ballast journal import case-7 day.ndjson.zst
  ballast journal replay --verify --import case-7
  ballast journal forget case-7`,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[1])
			if err != nil {
				return err
			}
			defer f.Close()
			b, err := a.connect(cmd.Context(), "journal-import")
			if err != nil {
				return err
			}
			defer closeBus(b)
			size := int64(-1)
			if info, err := f.Stat(); err == nil {
				size = info.Size()
			}
			bar := a.progress("importing", size)
			n, err := audit.Import(cmd.Context(), b, args[0], io.TeeReader(f, bar))
			_ = bar.Finish()
			switch {
			case errors.Is(err, audit.ErrImported), err != nil && n == 0:
				return err
			case err != nil:
				return fmt.Errorf("%w\n(ballast journal forget %s removes what was stored)", err, args[0])
			}
			p := a.printer()
			if p.json {
				return p.value(map[string]any{"import": args[0], "messages": n})
			}
			p.linef("%d messages imported as %s", n, args[0])
			return nil
		}}
}

func (a *app) journalForgetCommand() *cobra.Command {
	return &cobra.Command{Use: "forget NAME", Short: "Remove an import", Args: cobra.ExactArgs(1),
		Example: "  ballast journal forget case-7",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.connect(cmd.Context(), "journal-forget")
			if err != nil {
				return err
			}
			defer closeBus(b)
			if err := audit.Forget(cmd.Context(), b, args[0]); err != nil {
				return err
			}
			p := a.printer()
			if p.json {
				return p.value(map[string]any{"import": args[0], "forgotten": true})
			}
			p.linef("nothing of import %s is left", args[0])
			return nil
		}}
}
