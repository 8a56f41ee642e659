// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// replayFlags say what to replay.
type replayFlags struct {
	site, file, imported   string
	verify, unsafe, locate bool
	only, from, record     string
}

func (a *app) journalReplayCommand() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{Use: "replay", Short: "Fold the journal again: show what follows from it, or prove what was stored", Args: cobra.NoArgs,
		Long: `Folds a journal again with this binary's deciders. With --verify every stored
command and booking is compared byte for byte with what the fold says. At the
first difference it prints the cause, both outputs and how they differ, and the
decider's state as recorded (from the hosts' snapshots) and as replayed, as a
list of the values that differ. Memory is bounded, whatever the journal.

A replay begins at the beginning, or at any snapshot: --from-snapshot takes
"newest", a journal sequence (the newest snapshot up to it) or a file. Known are
the snapshots of the bus or the export, and those of the directory --record,
into which a replay puts its own as it goes. --locate finds with a binary search
over that directory between which two of them the recorded states left those of
the replay that wrote it, and folds only what lies between.

Exit codes: 0 all of it is identical; 4 something differs; 6 the export or the
snapshot is unreadable; 7 nothing differs, but not all could be compared (spans
of another version, causes lost in a power failure): they are listed.
Without --verify it prints what the deciders would say, event by event.`,
		Example: `  ballast journal replay --verify                       every site of the bus
  ballast journal replay --verify --file day.ndjson.zst    no bus needed
  ballast journal replay --verify --site demo --from-snapshot newest
  ballast journal replay --verify --file day.ndjson.zst --record audit/
  ballast journal replay --site demo --json | jq .type | sort | uniq -c`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.replay(cmd.Context(), &f) }}
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "", "one `site` only (default: every site of the bus)")
	fl.StringVar(&f.file, "file", "", "an export `file` instead of a bus")
	fl.StringVar(&f.imported, "import", "", "an import by its `name` instead of the live streams")
	fl.BoolVar(&f.verify, "verify", false, "compare with what was stored")
	fl.StringVar(&f.only, "decider", "", "one `decider` only: dispatch, settlement or compliance")
	fl.StringVar(&f.from, "from-snapshot", "", "with --verify: `newest`, a journal sequence, or a snapshot's file")
	fl.StringVar(&f.record, "record", "", "with --verify: `directory` of the auditor's own snapshots, to add to and to begin from")
	fl.BoolVar(&f.locate, "locate", false, "with --verify and --record: fold only where the recorded states left those of the directory")
	fl.BoolVar(&f.unsafe, "unsafe-no-reductions", false, "fold with the dispatch of ballast up --unsafe-no-reductions")
	c.MarkFlagsMutuallyExclusive("file", "import", "site")
	c.MarkFlagsMutuallyExclusive("locate", "from-snapshot")
	return c
}

// check refuses flags that would do nothing.
func (f *replayFlags) check() error {
	switch {
	case !f.verify && (f.from != "" || f.record != "" || f.locate):
		return withCode(exitUsage, errors.New("--from-snapshot, --record and --locate belong to --verify"))
	case f.locate && f.record == "":
		return withCode(exitUsage, errors.New("--locate searches the directory of --record: name it"))
	}
	return nil
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
	if err := f.check(); err != nil {
		return err
	}
	sources, done, err := a.replaySources(ctx, f)
	if done != nil {
		defer done()
	}
	if err != nil {
		return unreadable(err)
	}
	factories, err := replayDeciders(f)
	if err != nil {
		return err
	}
	p := a.printer()
	var bad error
	incomplete := 0
	for _, src := range sources {
		if !f.verify {
			for _, factory := range factories {
				d, err := factory()
				if err == nil {
					err = a.printReplay(ctx, p, src, d)
				}
				if err != nil {
					return unreadable(err)
				}
			}
			continue
		}
		reports, err := a.verify(ctx, p, src, f, factories)
		if err != nil {
			return unreadable(err)
		}
		for _, r := range reports {
			bad = errors.Join(bad, r.Err())
			if !r.Complete() {
				incomplete++
			}
			if err := printReport(p, r); err != nil {
				return err
			}
		}
	}
	if bad == nil && incomplete > 0 {
		return withCode(exitIncomplete, fmt.Errorf("nothing differs, but of %s not everything could be compared: see what is listed", figures.Count(int64(incomplete), "decider")))
	}
	return withCode(exitDiffers, bad)
}

// unreadable gives what cannot be read an exit code of its own.
func unreadable(err error) error {
	if errors.Is(err, audit.ErrFile) || errors.Is(err, decider.ErrSnapshot) {
		return withCode(exitUnreadable, err)
	}
	if errors.Is(err, audit.ErrNoSnapshot) {
		return withCode(exitUsage, err)
	}
	return err
}

func printReport(p *printer, r *audit.Report) error {
	if p.json {
		return p.value(struct {
			Verified bool `json:"verified"`
			Complete bool `json:"complete"`
			*audit.Report
		}{r.Clean(), r.Complete(), r})
	}
	mark := p.paint(codeGood, "verified")
	switch {
	case !r.Clean():
		mark = p.paint(codeBad, "NOT verified")
	case !r.Complete():
		mark = p.paint(codeWarn, "verified in part:")
	}
	p.linef("%s %s", mark, r)
	return nil
}

// verify one source.
func (a *app) verify(ctx context.Context, p *printer, src audit.Source, f *replayFlags, factories []audit.Factory) ([]*audit.Report, error) {
	o, err := f.options()
	if err != nil {
		return nil, err
	}
	if f.locate {
		if factories, err = locate(ctx, p, src, &o, factories); err != nil || len(factories) == 0 {
			return nil, err
		}
	}
	newest, err := src.Newest(ctx)
	if err != nil {
		return nil, err
	}
	bar := a.steps("replaying "+src.Site(), int64(newest))
	o.Progress = func(sequence uint64) { _ = bar.Set64(int64(min(sequence, newest))) }
	reports, err := audit.Verify(ctx, src, o, factories...)
	_ = bar.Clear()
	return reports, err
}

// options of the audit that the flags ask for.
func (f *replayFlags) options() (audit.Options, error) {
	var o audit.Options
	if f.record != "" {
		d := audit.Directory(f.record)
		known, err := d.Snapshots()
		if err != nil {
			return o, err
		}
		o.Known, o.Record = known, d.Keep
	}
	switch n, err := strconv.ParseUint(f.from, 10, 64); {
	case f.from == "":
	case f.from == "newest":
		o.From = math.MaxUint64
	case err == nil && n > 0:
		o.From = n
	default:
		data, err := os.ReadFile(f.from)
		if err != nil {
			return o, withCode(exitUsage, fmt.Errorf("--from-snapshot: newest, a journal sequence, or a file: %w", err))
		}
		h, _, err := decider.ReadHeader(data)
		if err != nil {
			return o, fmt.Errorf("--from-snapshot %s: %w", f.from, err)
		}
		if f.only != h.Decider {
			return o, withCode(exitUsage, fmt.Errorf("--from-snapshot %s is of decider %s: use --decider %s with it", f.from, h.Decider, h.Decider))
		}
		o.Begin = map[string][]byte{h.Decider: data}
	}
	return o, nil
}

// locate narrows the range down, and leaves out the deciders whose states never
// left the record.
func locate(ctx context.Context, p *printer, src audit.Source, o *audit.Options, factories []audit.Factory) ([]audit.Factory, error) {
	var out []audit.Factory
	for _, f := range factories {
		d, err := f()
		if err != nil {
			return nil, err
		}
		good, bad, err := audit.Locate(ctx, src, o.Known, d.Identity())
		if err != nil {
			return nil, err
		}
		if p.json {
			if err := p.value(map[string]any{"site": src.Site(), "decider": d.Identity().Name, "agrees_at": good, "differs_at": bad}); err != nil {
				return nil, err
			}
		}
		switch {
		case good == 0 && bad == 0:
			return nil, withCode(exitUsage, fmt.Errorf("%w: the record holds none of %s of %s: replay with --record first", audit.ErrNoSnapshot, d.Identity().Name, src.Site()))
		case bad == 0:
			if !p.json {
				p.linef("%s of %s: the recorded states are those of the record up to %d, the newest there", d.Identity().Name, src.Site(), good)
			}
			continue
		}
		if !p.json {
			p.linef("%s of %s: the recorded states leave those of the record between %d and %d", d.Identity().Name, src.Site(), good, bad)
		}
		if o.To == 0 || good < o.From {
			o.From = good
		}
		o.To = max(o.To, bad)
		out = append(out, f)
	}
	// What was found is known by now; the fold is to show it.
	o.Record = nil
	return out, nil
}

// replayDeciders are fresh deciders of this binary.
func replayDeciders(f *replayFlags) ([]audit.Factory, error) {
	var out []audit.Factory
	names := ""
	for _, factory := range roles.Deciders(f.unsafe) {
		d, err := factory()
		if err != nil {
			return nil, err
		}
		names += " " + d.Identity().Name
		if f.only == "" || f.only == d.Identity().Name {
			out = append(out, factory)
		}
	}
	if len(out) == 0 {
		return nil, withCode(exitUsage, fmt.Errorf("--decider %q: one of%s", f.only, names))
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
	for raw, err := range src.Read(ctx, events.StreamJournal, 0) {
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
