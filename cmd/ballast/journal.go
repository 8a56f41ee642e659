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

	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/decider"
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

// replayFlags say what to replay.
type replayFlags struct {
	site, file, imported string
	verify, unsafe       bool
	only                 string
}

func (a *app) journalReplayCommand() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{Use: "replay", Short: "Fold the journal again: show what follows from it, or prove what was stored", Args: cobra.NoArgs,
		Long: `Folds a journal again with this binary's deciders. With --verify every stored
command and booking is compared byte for byte with what the fold says; the exit
code is 4 when they differ, and the first difference is printed with both sides.
Spans decided by another version, and causes lost in a power failure, are listed.
Without --verify it prints what the deciders would say, event by event.`,
		Example: `  ballast journal replay --verify                       every site of the bus
  ballast journal replay --verify --file day.ndjson.zst    no bus needed
  ballast journal replay --site demo --json | jq .type | sort | uniq -c`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.replay(cmd.Context(), &f) }}
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "", "one `site` only (default: every site of the bus)")
	fl.StringVar(&f.file, "file", "", "an export `file` instead of a bus")
	fl.StringVar(&f.imported, "import", "", "an import by its `name` instead of the live streams")
	fl.BoolVar(&f.verify, "verify", false, "compare with what was stored")
	fl.StringVar(&f.only, "decider", "", "one `decider` only: dispatch or settlement")
	fl.BoolVar(&f.unsafe, "unsafe-no-reductions", false, "fold with the dispatch of ballast up --unsafe-no-reductions")
	c.MarkFlagsMutuallyExclusive("file", "import", "site")
	return c
}

// sources of a replay, and what closes them.
func (a *app) replaySources(ctx context.Context, f *replayFlags) ([]audit.Source, func(), error) {
	if f.file != "" {
		s, err := audit.File(f.file)
		return []audit.Source{s}, func() {}, err
	}
	b, err := a.connect(ctx, "journal-replay")
	if err != nil {
		return nil, nil, err
	}
	done := func() { closeBus(b) }
	if f.imported != "" {
		s, err := audit.Imported(ctx, b, f.imported)
		return []audit.Source{s}, done, err
	}
	sites := []string{f.site}
	if f.site == "" {
		if sites, err = b.Sites(ctx); err != nil {
			return nil, done, err
		}
	} else if err := knownSite(ctx, b, f.site); err != nil {
		return nil, done, err
	}
	var out []audit.Source
	for _, s := range sites {
		out = append(out, audit.Live(b, s))
	}
	return out, done, nil
}

func (a *app) replay(ctx context.Context, f *replayFlags) error {
	sources, done, err := a.replaySources(ctx, f)
	if done != nil {
		defer done()
	}
	if err != nil {
		return err
	}
	p := a.printer()
	var bad error
	for _, src := range sources {
		ds, err := replayDeciders(f)
		if err != nil {
			return err
		}
		if !f.verify {
			for _, d := range ds {
				if err := a.printReplay(ctx, p, src, d); err != nil {
					return err
				}
			}
			continue
		}
		reports, err := audit.Verify(ctx, src, audit.Options{}, ds...)
		if err != nil {
			return err
		}
		for _, r := range reports {
			bad = errors.Join(bad, r.Err())
			if p.json {
				if err := p.value(struct {
					Verified bool `json:"verified"`
					*audit.Report
				}{r.Clean(), r}); err != nil {
					return err
				}
				continue
			}
			mark := p.paint(codeGood, "verified")
			if !r.Clean() {
				mark = p.paint(codeBad, "NOT verified")
			}
			p.linef("%s %s", mark, r)
		}
	}
	return withCode(exitDiffers, bad)
}

// replayDeciders are fresh deciders of this binary.
func replayDeciders(f *replayFlags) ([]decider.Decider, error) {
	var out []decider.Decider
	for _, factory := range roles.Deciders(f.unsafe) {
		d, err := factory()
		if err != nil {
			return nil, err
		}
		if f.only == "" || f.only == d.Identity().Name {
			out = append(out, d)
		}
	}
	if len(out) == 0 {
		return nil, withCode(exitUsage, fmt.Errorf("--decider %q: dispatch or settlement", f.only))
	}
	return out, nil
}

// printReplay folds a journal and prints the outputs, stored or not.
func (a *app) printReplay(ctx context.Context, p *printer, src audit.Source, d decider.Decider) error {
	r, err := decider.NewRunner(src.Prefix(), src.Site(), d)
	if err != nil {
		return err
	}
	openings, err := audit.Openings(ctx, src)
	if err != nil {
		return err
	}
	for _, o := range openings {
		r.Opened(o)
	}
	for raw, err := range src.Read(ctx, events.StreamJournal) {
		if err != nil {
			return err
		}
		step, err := r.Feed(raw)
		if err != nil {
			return err
		}
		for _, o := range step.Outputs {
			ev := &events.Event{Meta: events.Meta{Type: o.Data.EventType(), Site: src.Site(), Source: o.Source, Causation: step.Event.ID, Arrived: step.Event.Arrived, Epoch: step.Event.Epoch}, Data: o.Data}
			if o.Stored {
				ev.ID = decider.MessageID(src.Site(), d.Identity().Name, events.OrderKey{Epoch: step.Event.Epoch, Sequence: step.Event.Sequence, Ordinal: o.Ordinal})
			}
			if err := a.printWatched(p, ev, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
