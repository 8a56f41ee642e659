// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/handlers/books"
)

// ledgerFile is the default, in the folder of the bus's data.
const ledgerFile = "ledger.sqlite"

const ledgerUsage = "`database` to write: a file for SQLite, or postgres://user@host/name (default: BALLAST_LEDGER, else " + ledgerFile + " in the data folder)"

func (a *app) ledgerCommand() *cobra.Command {
	var address string
	c := &cobra.Command{
		Use:   "ledger",
		Short: "Energy, revenue and shares in an SQL database: how far it is, and writing it anew",
		Long: `The ledger holds what was settled (energy, revenue, accruals, reconciliations,
pool statements, blocks and the verdict on every share) in SQLite or PostgreSQL,
for whoever asks in SQL. ballast serve --role ledger keeps it up to date; each
event has its row once, whatever is killed when. Corrections are rows of their
own, and the views net them:

  energy_balance   energy_by_hour   margin_by_hour   shares_by_hour
  revenue_by_hour  revenue_by_unit  revenue_by_site
  standing_energy  standing_settlements  standing_shares  standing_blocks

In PostgreSQL the tables are in schema "ballast". A password is best left to
PGPASSFILE or BALLAST_LEDGER: other users of the machine can read a command line.`,
		Example: `  ballast serve --role ledger --ledger postgres://ballast@db/energy
  ballast ledger status
  ballast ledger rebuild --ledger books.sqlite
  sqlite3 books.sqlite 'SELECT * FROM revenue_by_unit'
  psql -c 'SET search_path = ballast' -c 'SELECT * FROM revenue_by_hour'`,
	}
	c.PersistentFlags().StringVar(&address, "ledger", "", ledgerUsage)
	c.AddCommand(a.ledgerStatusCommand(&address), a.ledgerRebuildCommand(&address))
	return c
}

// ledgerAddress is what is named, or the file beside the bus's data.
func (a *app) ledgerAddress(flag string, conf *config.Config) string {
	return cmp.Or(flag, a.env("BALLAST_LEDGER"), filepath.Join(conf.Bus.DataDir, ledgerFile))
}

// makeLedgerFolder makes the folder of the default file; one that was named
// must be there.
func (a *app) makeLedgerFolder(flag string, conf *config.Config) error {
	if flag != "" || a.env("BALLAST_LEDGER") != "" {
		return nil
	}
	return os.MkdirAll(conf.Bus.DataDir, 0o750)
}

func (a *app) ledgerStatusCommand(address *string) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "How far each stream is written, and the rows of each table", Args: cobra.NoArgs,
		Example: `  ballast ledger status
  ballast ledger status --ledger postgres://ballast@db/energy --json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := a.loadConfig()
			if err != nil {
				return err
			}
			store, err := books.OpenExisting(cmd.Context(), a.ledgerAddress(*address, conf))
			switch {
			case errors.Is(err, books.ErrAddress), errors.Is(err, fs.ErrNotExist):
				return withCode(exitUsage, err)
			case err != nil:
				return err
			}
			defer func() { _ = store.Close() }() // it was only read
			b, err := a.connect(cmd.Context(), "ledger-status")
			if err != nil {
				return err
			}
			defer closeBus(b)
			st, err := store.Status(cmd.Context(), b)
			if err != nil {
				return err
			}
			return a.printer().ledgerStatus(st)
		},
	}
}

func (a *app) ledgerRebuildCommand(address *string) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use: "rebuild", Short: "Write the ledger anew from the streams that are never trimmed", Args: cobra.NoArgs,
		Long: `Reads SHARES, REVENUE and INPUTS from their beginning to their present end and
writes the ledger anew. The rows are made apart and take the place of the old
ones in one transaction: until then, and after any failure, the ledger is as it
was, and a ledger role may go on writing. A ledger that holds rows is replaced
only with --force.`,
		Example: `  ballast ledger rebuild
  ballast ledger rebuild --ledger postgres://ballast@db/energy --force`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := a.loadConfig()
			if err != nil {
				return err
			}
			if err := a.makeLedgerFolder(*address, conf); err != nil {
				return err
			}
			b, err := a.connect(cmd.Context(), "ledger-rebuild")
			if err != nil {
				return err
			}
			defer closeBus(b)
			o := books.RebuildOptions{Force: force, Logger: a.logger()}
			if !a.json && isatty.IsTerminal(a.err.Fd()) {
				bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(a.err), progressbar.OptionSetDescription("writing"), progressbar.OptionShowCount(),
					progressbar.OptionShowIts(), progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
				defer func() { _ = bar.Finish() }() // it only draws
				o.Progress = func(done, of uint64) {
					bar.ChangeMax64(int64(max(of, 1)))
					_ = bar.Set64(int64(done)) // it only draws
				}
			}
			st, err := books.Rebuild(cmd.Context(), b, a.ledgerAddress(*address, conf), o)
			switch {
			case errors.Is(err, books.ErrAddress), errors.Is(err, books.ErrNotEmpty), errors.Is(err, books.ErrTrimmed):
				return withCode(exitUsage, err)
			case err != nil:
				return err
			}
			return a.printer().ledgerStatus(st)
		},
	}
	c.Flags().BoolVar(&force, "force", false, "replace rows that are there; take streams that have lost their beginning")
	return c
}

// ledgerStatus writes it for a person or as JSON.
func (p *printer) ledgerStatus(st *books.Status) error {
	if p.json {
		return p.value(st)
	}
	p.linef("%s", p.paint(codeTitle, st.Ledger))
	for _, s := range st.Streams {
		at := "nothing yet"
		if s.Sequence > 0 {
			at = "newest of " + s.Arrived.UTC().Format("2006-01-02 15:04:05") + " UTC"
		}
		state := p.paint(codeGood, "all of it")
		switch {
		case s.Other:
			state = p.paint(codeBad, "another stream than the rows came from: ballast ledger rebuild --force")
		case s.Lag > 0:
			state = p.paint(codeWarn, fmt.Sprintf("%s behind", figures.Count(int64(s.Lag), "message")))
		}
		p.linef("  %-8s written up to %d of %d, %s, %s", s.Stream, s.Sequence, s.Last, at, state)
	}
	for _, t := range st.Tables {
		p.linef("  %-16s %s", t.Table, figures.Count(t.Rows, "row"))
	}
	return nil
}
