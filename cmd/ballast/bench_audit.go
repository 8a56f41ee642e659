// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/handlers/auditbench"
)

// auditTarget events per second of an audit, decoding, folding and comparing.
const auditTarget = 500_000

// benchAudit makes a journal and verifies it.
func (a *app) benchAudit(ctx context.Context, f *benchFlags, p *printer) error {
	if f.events < 100 {
		return withCode(exitUsage, fmt.Errorf("--events %d: use at least 100", f.events))
	}
	path := f.journal
	if path == "" {
		dir, err := os.MkdirTemp("", "ballast-bench-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		path = filepath.Join(dir, "journal.ndjson.zst")
	}
	p.title(fmt.Sprintf("audit: every output of a journal of %d events, %d workers, from a file, byte for byte", f.events, f.workers))
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := a.makeJournal(ctx, f, path); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	bar := a.steps("verifying", int64(f.events))
	all, err := auditbench.Measure(ctx, path, roles.Deciders(false), func(n uint64) { _ = bar.Set64(int64(min(n, uint64(f.events)))) })
	_ = bar.Clear()
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := r.Report.Err(); err != nil {
			return err
		}
		if p.json {
			if err := p.value(map[string]any{"bench": "audit", "case": r.Decider, "events": r.Report.Messages, "compared": r.Report.Compared, "checkpoints": r.Report.Checkpoints,
				"events_per_second": int64(r.Rate), "events_per_cpu_second": int64(r.PerCore), "peak_heap_bytes": r.PeakHeap, "target": auditTarget, "met": r.PerCore >= auditTarget}); err != nil {
				return err
			}
			continue
		}
		p.linef("  %-12s %9.0f events/s/core, %.2f × the target of %d; %d events and %d outputs in %s, all equal; at most %d MiB of objects%s",
			r.Decider, r.PerCore, r.PerCore/auditTarget, auditTarget, r.Report.Messages, r.Report.Compared, r.Took.Round(time.Millisecond), r.PeakHeap>>20, missed(r.PerCore >= auditTarget))
	}
	return nil
}

// makeJournal writes the made-up export; nothing is left of a half one.
func (a *app) makeJournal(ctx context.Context, f *benchFlags, path string) error {
	out, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	bar := a.steps("making the journal", int64(f.events))
	_, err = auditbench.Write(ctx, io.Writer(out), auditbench.Config{Events: uint64(f.events), Workers: f.workers, Deciders: roles.Deciders(false)},
		func(n uint64) { _ = bar.Set64(int64(n)) })
	_ = bar.Clear()
	if err = errors.Join(err, out.Close()); err == nil {
		err = os.Rename(out.Name(), path)
	}
	if err != nil {
		_ = os.Remove(out.Name())
		return fmt.Errorf("nothing is left of %s: %w", path, err)
	}
	return nil
}
