// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// reconcileFlags say what to show and what to state.
type reconcileFlags struct {
	site, pool, since string
	statement         string
	deadline          time.Duration
}

func (a *app) reconcileCommand() *cobra.Command {
	var f reconcileFlags
	c := &cobra.Command{
		Use:   "reconcile --site SITE",
		Short: "A pool's statements beside our own books",
		Long: `Sets what a pool says it counted and credited beside our own books of the same
span: accepted shares, the exact sum of their difficulties, and money where the
pool names it. Differences are theirs minus ours; the exit code is 4 unless all
of them are 0. The books follow the statement: a difference in money is booked
as a variance with its reason, and shares whose verdict was lost become what
the statement says of them.

With --statement the statements of a file are stored first and their answers
awaited; one with a known id is the same statement, and is not counted again.
A statement is answered once its span and the grace of the tariff are over.
Spans of one pool must not overlap, and best begin and end on whole accrual
windows (whole minutes, unless the tariff says otherwise).

A file is JSON, one pool.statement or several (see ballast schema show
pool.statement), or CSV with a header of some of these columns:

  from, until, shares_accepted, difficulty_sum    required
  value_millisats                                 if the pool names money
  pool                                            or --pool
  statement_id                                    default: the span
  basis                                           default: live
  credited, refused                               ids of shares unknown to us,
                                                  with spaces between them`,
		Example: `  ballast revenue reconcile --site demo
  ballast revenue reconcile --site tx1 --pool upstream-1 --since 48h --json
  ballast revenue reconcile --site tx1 --statement day.json
  ballast revenue reconcile --site tx1 --pool upstream-1 --statement march.csv && echo all right`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.reconcile(cmd.Context(), &f) },
	}
	fl := c.Flags()
	fl.StringVar(&f.site, "site", "", "`site` id (required)")
	fl.StringVar(&f.pool, "pool", "", "one `pool` only; with --statement, the pool of statements that name none")
	fl.StringVar(&f.since, "since", "", "only what was reconciled since this `time`, like 48h or 2026-03-01T00:00:00Z")
	fl.StringVar(&f.statement, "statement", "", "store the statements of this `file` (JSON or CSV, - is standard input) and wait for the answers")
	fl.DurationVar(&f.deadline, "deadline", 30*time.Second, "with --statement: give up waiting after this long and exit 1")
	_ = c.MarkFlagRequired("site")
	c.MarkFlagsMutuallyExclusive("since", "statement")
	return c
}

func (a *app) reconcile(ctx context.Context, f *reconcileFlags) error {
	since, err := parseWhen("--since", f.since, time.Now())
	if err != nil {
		return withCode(exitUsage, err)
	}
	var list []*events.PoolStatement
	if f.statement != "" {
		if list, err = readStatements(f.statement, f.pool, time.Now()); err != nil {
			return withCode(exitUsage, err)
		}
	}
	b, err := a.connect(ctx, "revenue-reconcile")
	if err != nil {
		return err
	}
	defer closeBus(b)
	if err := mayState(b.Identity(), f.statement != ""); err != nil {
		return withCode(exitUsage, err)
	}
	if err := knownSite(ctx, b, f.site); err != nil {
		return err
	}
	rows, err := reconciliations(ctx, b, f.site, f.pool, since)
	if err != nil {
		return err
	}
	if f.statement != "" {
		if rows, err = stateAndWait(ctx, b, f, list, rows); err != nil {
			return err
		}
	}
	return printReconciled(a.printer(), rows)
}

// mayState refuses what the bus would: it drops a forbidden message without a
// word to the sender.
func mayState(who bus.Identity, states bool) error {
	switch who.Role {
	case "", bus.RoleInternal, bus.RoleOperator:
		return nil
	case bus.RoleViewer, bus.RoleGateway, bus.RoleDispatcher:
		if !states {
			return nil
		}
	}
	return fmt.Errorf("a token of role %s cannot do this; use one of role operator", who.Role)
}

// reconciledRow is the newest answer to one statement.
type reconciledRow struct {
	ID      string                    `json:"id"`
	Site    string                    `json:"site"`
	Arrived time.Time                 `json:"arrived"`
	Agrees  bool                      `json:"agrees"`
	Data    *events.RevenueReconciled `json:"reconciled"`
}

func rowOf(e *events.Event, d *events.RevenueReconciled) reconciledRow {
	agrees := d.SharesDifference == 0 && d.DifferenceMillisats == 0 && strings.Trim(d.DifficultyDifference, "-0.") == ""
	return reconciledRow{ID: e.ID, Site: e.Site, Arrived: e.Arrived.UTC(), Agrees: agrees, Data: d}
}

// same reports whether two answers are to one statement.
func (r *reconciledRow) same(statement, pool string, basis events.Basis) bool {
	return r.Data.StatementID == statement && r.Data.Pool == pool && r.Data.Basis == basis
}

// reconciliations reads the newest answer to every statement, by span.
func reconciliations(ctx context.Context, log events.Log, site, pool string, since time.Time) ([]reconciledRow, error) {
	var rows []reconciledRow
	r := events.ReadRequest{Stream: events.StreamRevenue, Site: site, Types: []events.Type{events.TypeRevenueReconciled}, Since: since}
	for e, err := range log.Events(ctx, r) {
		var bad *events.DecodeError
		if err != nil {
			if asDecode(err, &bad) {
				continue // the inspector keeps it as a dead letter
			}
			return nil, fmt.Errorf("read reconciliations: %w", err)
		}
		d, ok := e.Data.(*events.RevenueReconciled)
		if !ok || pool != "" && d.Pool != pool {
			continue
		}
		own := *d
		rows = placeRow(rows, rowOf(e, &own))
	}
	slices.SortStableFunc(rows, func(x, y reconciledRow) int {
		return cmp.Or(cmp.Compare(x.Data.Pool, y.Data.Pool), x.Data.From.Compare(y.Data.From))
	})
	return rows, nil
}

// placeRow puts a newer answer in the place of the older one.
func placeRow(rows []reconciledRow, row reconciledRow) []reconciledRow {
	for i := range rows {
		if rows[i].same(row.Data.StatementID, row.Data.Pool, row.Data.Basis) {
			rows[i] = row
			return rows
		}
	}
	return append(rows, row)
}

// stateAndWait stores statements that have not been answered yet and returns
// the answers to all of them.
func stateAndWait(ctx context.Context, b *bus.Bus, f *reconcileFlags, list []*events.PoolStatement, known []reconciledRow) ([]reconciledRow, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	heard := follow(ctx, b,
		events.ReadRequest{Stream: events.StreamRevenue, Site: f.site, Types: []events.Type{events.TypeRevenueReconciled}, Since: time.Now().Add(-time.Second)},
		events.ReadRequest{Stream: events.StreamCommands, Site: f.site, Types: []events.Type{events.TypeAlertRaised}, Since: time.Now().Add(-time.Second)})
	var rows []reconciledRow
	var waiting []*events.PoolStatement
	for _, s := range list {
		i := slices.IndexFunc(known, func(r reconciledRow) bool { return r.same(s.StatementID, s.Pool, s.Basis) })
		if i >= 0 {
			rows = append(rows, known[i])
			continue
		}
		// The id of the event is fresh: a statement that was refused may be
		// given again, and the books tell statements apart by their own ids.
		ev := events.New(f.site, s.Pool, s).WithID("statement/" + f.site + "/" + nuid.Next())
		pctx, done := context.WithTimeout(ctx, 10*time.Second)
		err := b.Publish(pctx, ev)
		done()
		if err != nil {
			return nil, fmt.Errorf("statement %s was not stored, nor was what follows it: %w", s.StatementID, err)
		}
		waiting = append(waiting, s)
	}
	timer := time.NewTimer(f.deadline)
	defer timer.Stop()
	for len(waiting) > 0 {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
			if why := refusal(ctx, b, f.site, waiting); why != nil {
				return nil, why
			}
			return nil, fmt.Errorf("no answer to statement %s within %v; it is stored, and answered once its span and the grace of the tariff are over: ballast revenue reconcile --site %s shows it then (ballast doctor, if it should be over)",
				waiting[0].StatementID, f.deadline, f.site)
		case h := <-heard:
			if h.err != nil {
				return nil, fmt.Errorf("lost sight of the statements (they are stored): %w", h.err)
			}
			var err error
			if waiting, rows, err = answered(h.event, waiting, rows); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// answered takes an event that may answer one of the statements waited for.
func answered(e *events.Event, waiting []*events.PoolStatement, rows []reconciledRow) ([]*events.PoolStatement, []reconciledRow, error) {
	switch d := e.Data.(type) {
	case *events.AlertRaised:
		if refuses(d, waiting) {
			return nil, nil, fmt.Errorf("%s; %s", d.Message, d.Remedy)
		}
	case *events.RevenueReconciled:
		row := rowOf(e, d)
		rest := slices.DeleteFunc(waiting, func(s *events.PoolStatement) bool { return row.same(s.StatementID, s.Pool, s.Basis) })
		if len(rest) < len(waiting) {
			return rest, placeRow(rows, row), nil
		}
	}
	return waiting, rows, nil
}

// refuses reports whether an alert says that one of the statements is not
// answered.
func refuses(d *events.AlertRaised, waiting []*events.PoolStatement) bool {
	return slices.ContainsFunc(waiting, func(s *events.PoolStatement) bool {
		return strings.HasPrefix(d.Message, "statement "+s.StatementID+" of pool "+s.Pool+" is not answered")
	})
}

// refusal is the newest alert about one of the statements: one that stands is
// not raised again when the statement is given again. nil when there is none.
func refusal(ctx context.Context, log events.Log, site string, waiting []*events.PoolStatement) error {
	var why error
	for e, err := range log.Events(ctx, events.ReadRequest{Stream: events.StreamCommands, Site: site, Types: []events.Type{events.TypeAlertRaised}}) {
		if err != nil {
			continue // it only explains
		}
		if d, ok := e.Data.(*events.AlertRaised); ok && refuses(d, waiting) {
			why = fmt.Errorf("%s; %s", d.Message, d.Remedy)
		}
	}
	return why
}

// heard is one event of a read that goes on, or why it ended.
type heard struct {
	event *events.Event
	err   error
}

// follow reads streams side by side until ctx ends.
func follow(ctx context.Context, log events.Log, requests ...events.ReadRequest) <-chan heard {
	out := make(chan heard)
	for _, r := range requests {
		r.Follow = true
		go func() {
			for e, err := range log.Events(ctx, r) {
				var bad *events.DecodeError
				if err != nil && asDecode(err, &bad) {
					continue
				}
				select {
				case out <- heard{e, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}()
	}
	return out
}

// errDiffers makes the exit code 4.
var errDiffers = errors.New("the books and the pool's statements differ")

// printReconciled prints answers; what differs is an error of exit code 4.
func printReconciled(p *printer, rows []reconciledRow) error {
	differ := 0
	for i := range rows {
		r := &rows[i]
		if !r.Agrees {
			differ++
		}
		if p.json {
			if err := p.value(r); err != nil {
				return err
			}
			continue
		}
		r.print(p)
	}
	switch {
	case differ > 0:
		return withCode(exitDiffers, fmt.Errorf("%w: %d of %s", errDiffers, differ, figures.Count(int64(len(rows)), "statement")))
	case len(rows) == 0 && !p.json:
		p.linef("no statement of a pool was reconciled")
	}
	return nil
}

func (r *reconciledRow) print(p *printer) {
	d := r.Data
	mark := p.paint(codeGood, "agrees")
	if !r.Agrees {
		mark = p.paint(codeBad, "differs")
	}
	note := ""
	if d.Basis != events.BasisLive {
		note = "  (" + string(d.Basis) + ": no money)"
	}
	p.linef("%s %s  %s … %s UTC  %s%s", p.paint(codeTitle, d.Pool), d.StatementID,
		d.From.UTC().Format(time.DateTime), d.Until.UTC().Format(time.DateTime), mark, note)
	p.linef("  shares      ours %s, theirs %s, difference %+d", figures.Int(d.SharesAccepted), figures.Int(d.SharesStated), d.SharesDifference)
	p.linef("  difficulty  ours %s, theirs %s, difference %s", d.DifficultySum, d.DifficultyStated, d.DifficultyDifference)
	if d.MoneyStated {
		p.linef("  money       ours %s, theirs %s, difference %s", sats(d.ValueMillisats), sats(d.StatedMillisats), sats(d.DifferenceMillisats))
	} else {
		p.linef("  money       ours %s, the statement names none", sats(d.ValueMillisats))
	}
	p.linef("  unknown     %d accepted and %d rejected by the statement, %d left", d.UnknownAccepted, d.UnknownRejected, d.UnknownLeft)
}
