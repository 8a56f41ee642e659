// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
)

// revenueBy reads, groups and writes.
func (a *app) revenueBy(ctx context.Context, log events.Log, f *revenueFlags) error {
	if f.by == byReason || f.by == bySignal {
		return a.forgoneBy(ctx, log, f)
	}
	lines, err := readRevenue(ctx, log, f, time.Now())
	if err != nil {
		return err
	}
	p := a.printer()
	switch {
	case f.parquet != "":
		return p.parquet(f.parquet, len(lines), writeParquet(f.parquet, parquetLines(lines)))
	case f.csv:
		return writeCSV(p.w, f.by, lines)
	case p.json:
		for i := range lines {
			if err := p.value(&lines[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return p.revenueTable(f.by, lines)
}

// parquet says what became of a file.
func (p *printer) parquet(file string, rows int, err error) error {
	if err != nil {
		return err
	}
	if p.json {
		return p.value(map[string]any{"file": file, "rows": rows})
	}
	p.linef("%s in %s", figures.Count(int64(rows), "row"), file)
	return nil
}

// revenueTable is for people.
func (p *printer) revenueTable(by string, lines []revenueLine) error {
	if len(lines) == 0 {
		p.linef("nothing booked in this time")
		return nil
	}
	w := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "%s\tbasis\taccepted\trejected\tunknown\tvalue\t\thash rate\tblocks\tluck\t\n", by)
	for _, l := range lines {
		name := l.Site
		switch {
		case l.Hour != nil:
			name += " " + l.Hour.Format("2006-01-02 15:04")
		case by == byWorker:
			name += " " + l.Unit
		}
		usd, luck := "", "-"
		if l.ValueMicrousd != 0 {
			usd = dollars(l.ValueMicrousd)
		}
		if l.LuckMillionths != nil {
			luck = new(big.Rat).SetFrac64(*l.LuckMillionths, 1_000_000).FloatString(2)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%s\t%d\t%s\t\n", name, l.Basis, l.SharesAccepted, l.SharesRejected, l.SharesUnknown,
			sats(l.ValueMillisats), usd, hashes(l.HashrateMHs), l.BlocksFound, luck)
	}
	return w.Flush()
}

// hashes writes a rate given in MH/s.
func hashes(mhs int64) string {
	for _, u := range []struct {
		n    int64
		name string
	}{{1_000_000_000_000, "EH/s"}, {1_000_000_000, "PH/s"}, {1_000_000, "TH/s"}, {1000, "GH/s"}} {
		if mhs >= u.n {
			return new(big.Rat).SetFrac64(mhs, u.n).FloatString(2) + " " + u.name
		}
	}
	return strconv.FormatInt(mhs, 10) + " MH/s"
}

// writeCSV has one column per field of the JSON; hour and unit only where they
// are grouped by.
func writeCSV(out io.Writer, by string, lines []revenueLine) error {
	w := csv.NewWriter(out)
	head := []string{"site"}
	if by != bySite {
		head = append(head, map[string]string{byHour: "hour", byWorker: "unit"}[by])
	}
	rows := [][]string{append(head, "basis", "shares_accepted", "shares_local", "shares_rejected", "shares_unknown", "difficulty_sum",
		"value_millisats", "value_microusd", "hashrate_mhs", "blocks_found", "blocks_expected", "luck_millionths")}
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	for _, l := range lines {
		row := []string{l.Site}
		switch by {
		case byHour:
			row = append(row, l.Hour.Format(time.RFC3339))
		case byWorker:
			row = append(row, l.Unit)
		}
		luck := ""
		if l.LuckMillionths != nil {
			luck = n(*l.LuckMillionths)
		}
		rows = append(rows, append(row, string(l.Basis), n(l.SharesAccepted), n(l.SharesLocal), n(l.SharesRejected), n(l.SharesUnknown), l.DifficultySum,
			n(l.ValueMillisats), n(l.ValueMicrousd), n(l.HashrateMHs), n(l.BlocksFound), l.BlocksExpected, luck))
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("output: %w", err)
	}
	return nil
}

// parquetLine is revenueLine as columns; amounts are 64-bit integers.
type parquetLine struct {
	Site           string `parquet:"site,dict"`
	Hour           *int64 `parquet:"hour,optional,timestamp(microsecond)"`
	Unit           string `parquet:"unit,optional"`
	Basis          string `parquet:"basis,dict"`
	SharesAccepted int64  `parquet:"shares_accepted"`
	SharesLocal    int64  `parquet:"shares_local"`
	SharesRejected int64  `parquet:"shares_rejected"`
	SharesUnknown  int64  `parquet:"shares_unknown"`
	DifficultySum  string `parquet:"difficulty_sum"`
	ValueMillisats int64  `parquet:"value_millisats"`
	ValueMicrousd  int64  `parquet:"value_microusd"`
	HashrateMHs    int64  `parquet:"hashrate_mhs"`
	BlocksFound    int64  `parquet:"blocks_found"`
	BlocksExpected string `parquet:"blocks_expected"`
	LuckMillionths *int64 `parquet:"luck_millionths,optional"`
}

func parquetLines(lines []revenueLine) []parquetLine {
	rows := make([]parquetLine, len(lines))
	for i, l := range lines {
		rows[i] = parquetLine{l.Site, nil, l.Unit, string(l.Basis), l.SharesAccepted, l.SharesLocal, l.SharesRejected, l.SharesUnknown, l.DifficultySum,
			l.ValueMillisats, l.ValueMicrousd, l.HashrateMHs, l.BlocksFound, l.BlocksExpected, l.LuckMillionths}
		if l.Hour != nil {
			us := l.Hour.UnixMicro()
			rows[i].Hour = &us
		}
	}
	return rows
}

// writeParquet writes beside the name and renames at the end: a file of that
// name is whole.
func writeParquet[T any](name string, rows []T) error {
	f, err := os.Create(name + ".part")
	if err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	w := parquet.NewGenericWriter[T](f, parquet.Compression(&parquet.Zstd), parquet.CreatedBy("ballast", version, ""))
	_, err = w.Write(rows)
	err = errors.Join(err, w.Close(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it says nothing whole
		return fmt.Errorf("parquet: nothing is left of %s: %w", name, err)
	}
	return nil
}
