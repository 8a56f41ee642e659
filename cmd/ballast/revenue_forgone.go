// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
)

// Groups of what was forgone.
const (
	byReason = "reason"
	bySignal = "signal"
)

// forgoneLine is what units could have hashed and did not, for one reason or
// signal. It is part of no revenue.
type forgoneLine struct {
	Site                   string        `json:"site" parquet:"site,dict"`
	SignalID               string        `json:"signal_id,omitempty" parquet:"signal_id,optional"`
	Reason                 events.Reason `json:"reason" parquet:"reason,dict"`
	Basis                  events.Basis  `json:"basis" parquet:"basis,dict"`
	MilliwattHours         int64         `json:"milliwatt_hours" parquet:"milliwatt_hours"`
	ModelledMilliwattHours int64         `json:"modelled_milliwatt_hours" parquet:"modelled_milliwatt_hours"`
	Hashes                 string        `json:"hashes" parquet:"hashes"`
	ForgoneMillisats       int64         `json:"forgone_millisats" parquet:"forgone_millisats"`
	ForgoneMicrousd        int64         `json:"forgone_microusd" parquet:"forgone_microusd"`
	AvoidedCostMicrousd    int64         `json:"avoided_cost_microusd" parquet:"avoided_cost_microusd"`
	NetMicrousd            int64         `json:"net_microusd" parquet:"net_microusd"`
}

// readForgone adds up the intervals that begin in the time asked for.
func readForgone(ctx context.Context, log events.Log, f *revenueFlags) ([]forgoneLine, error) {
	ledgers := map[string]*ledger.Ledger{}
	// An interval is stored after it has ended.
	r := events.ReadRequest{Stream: events.StreamRevenue, Types: []events.Type{events.TypeCurtailmentSettled}, Site: f.site, Since: f.sinceAt}
	for ev, err := range log.Events(ctx, r) {
		var d *events.DecodeError
		if asDecode(err, &d) {
			continue // the inspector keeps it as a dead letter
		}
		if err != nil {
			return nil, fmt.Errorf("revenue: %w", err)
		}
		c, ok := ev.Data.(*events.CurtailmentSettled)
		if !ok || !f.sinceAt.IsZero() && c.IntervalStart.Before(f.sinceAt) || !f.till.IsZero() && !c.IntervalStart.Before(f.till) {
			continue
		}
		if ledgers[ev.Site] == nil {
			ledgers[ev.Site] = new(ledger.Ledger)
		}
		ledgers[ev.Site].Add(ev)
	}
	var out []forgoneLine
	for site, l := range ledgers {
		lines := l.Totals().Forgone.Lines
		if f.by == byReason {
			for i := range lines {
				lines[i].SignalID = ""
			}
			lines = ledger.Sum(lines)
		}
		for _, l := range lines {
			out = append(out, forgoneLine{site, l.SignalID, l.Reason, l.Basis, l.MilliwattHours, l.ModelledMilliwattHours, l.Hashes,
				l.ForgoneMillisats, l.ForgoneMicrousd, l.AvoidedCostMicrousd, l.NetMicrousd})
		}
	}
	slices.SortFunc(out, func(a, b forgoneLine) int {
		return cmp.Or(cmp.Compare(a.Site, b.Site), cmp.Compare(a.SignalID, b.SignalID), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Basis, b.Basis))
	})
	return out, nil
}

// forgoneBy reads, groups and writes.
func (a *app) forgoneBy(ctx context.Context, log events.Log, f *revenueFlags) error {
	lines, err := readForgone(ctx, log, f)
	if err != nil {
		return err
	}
	p := a.printer()
	switch {
	case f.parquet != "":
		return p.parquet(f.parquet, len(lines), writeParquet(f.parquet, lines))
	case f.csv:
		return writeForgoneCSV(p.w, f.by, lines)
	case p.json:
		for i := range lines {
			if err := p.value(&lines[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return p.forgoneTable(f.by, lines)
}

// forgoneTable is for people.
func (p *printer) forgoneTable(by string, lines []forgoneLine) error {
	if len(lines) == 0 {
		p.linef("nothing forgone in this time")
		return nil
	}
	w := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\tbasis\tenergy\tmodelled\tforgone\t\tenergy cost avoided\tnet cost\t\n", by)
	for _, l := range lines {
		name := l.Site
		if by == bySignal {
			name += " " + cmp.Or(l.SignalID, "-")
		}
		usd := ""
		if l.ForgoneMicrousd != 0 {
			usd = dollars(l.ForgoneMicrousd)
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", name, l.Reason, l.Basis, wattHours(l.MilliwattHours), wattHours(l.ModelledMilliwattHours),
			sats(l.ForgoneMillisats), usd, dollars(l.AvoidedCostMicrousd), dollars(l.NetMicrousd))
	}
	return w.Flush()
}

// writeForgoneCSV has one column per field of the JSON; the signal only where
// it is grouped by.
func writeForgoneCSV(out io.Writer, by string, lines []forgoneLine) error {
	w := csv.NewWriter(out)
	head := []string{"site"}
	if by == bySignal {
		head = append(head, "signal_id")
	}
	rows := [][]string{append(head, "reason", "basis", "milliwatt_hours", "modelled_milliwatt_hours", "hashes",
		"forgone_millisats", "forgone_microusd", "avoided_cost_microusd", "net_microusd")}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	for _, l := range lines {
		row := []string{l.Site}
		if by == bySignal {
			row = append(row, l.SignalID)
		}
		rows = append(rows, append(row, string(l.Reason), string(l.Basis), n(l.MilliwattHours), n(l.ModelledMilliwattHours), l.Hashes,
			n(l.ForgoneMillisats), n(l.ForgoneMicrousd), n(l.AvoidedCostMicrousd), n(l.NetMicrousd)))
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}
