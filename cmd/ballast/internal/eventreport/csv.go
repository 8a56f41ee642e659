// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Columns of the CSV, in order: units are in the names, instants in UTC. A line
// is one interval and one baseline; the columns up to quality repeat for each.
var Columns = []string{
	"event_id", "issuer", "site", "node", "programme", "product", "market", "event_part", "record_status", "outcome",
	"interval_start_utc", "interval_end_utc", "interval_seconds", "limit_kw", "measured", "actual_kwh", "actual_mean_kw", "actual_max_kw",
	"total_kwh", "mining_kwh", "quality", "estimated_seconds",
	"baseline_method", "baseline_version", "baseline_parameters", "baseline_is_contract", "baseline_kw", "baseline_kwh", "delivered_kwh", "baseline_input_sha256",
	"record_id",
}

// CSV writes the intervals of all parts with every baseline that has figures.
func (r *Report) CSV(out io.Writer) error {
	w := csv.NewWriter(out)
	w.UseCRLF = true
	if err := w.Write(Columns); err != nil {
		return fmt.Errorf("csv: %w", err)
	}
	for i := range r.Parts {
		p := &r.Parts[i]
		for n := range p.Lines {
			written := false
			for b := range p.Baselines {
				if p.Baselines[b].Unavailable != "" {
					continue
				}
				written = true
				if err := w.Write(r.csvLine(p, n, &p.Baselines[b])); err != nil {
					return fmt.Errorf("csv: %w", err)
				}
			}
			if !written {
				if err := w.Write(r.csvLine(p, n, nil)); err != nil {
					return fmt.Errorf("csv: %w", err)
				}
			}
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("csv: %w", err)
	}
	return nil
}

func (r *Report) csvLine(p *Word, n int, b *events.PerformanceBaseline) []string {
	l := &p.Lines[n]
	status := "preliminary"
	if p.Final {
		status = "final"
	}
	length := l.End.Sub(l.Start)
	actual := energyOf(p.Measures, l)
	mean := ""
	if actual != nil {
		mean = decimal(meanWatts(*actual, length), 3)
	}
	row := []string{
		plain(p.SignalID), p.SignalSource, r.Site, p.Node, plain(p.Programme), plain(p.Product), plain(p.Market), strconv.FormatInt(p.Part, 10), status, string(p.Outcome),
		instant(l.Start), instant(l.End), seconds(length), decimal(l.LimitWatts, 3), string(p.Measures), kwh(actual), mean, decimal(l.MostWatts, 3),
		kwh(l.TotalMilliwattHours), kwh(l.MiningMilliwattHours), Quality(p, l), decimal(l.EstimatedMilliseconds, 3),
	}
	if b == nil {
		return append(row, "", "", "", "", "", "", "", "", plain(p.ID))
	}
	base := baselineEnergy(b, n, length)
	delivered := ""
	if actual != nil {
		delivered = decimal(base-*actual, 6)
	}
	return append(row, string(b.Method), b.Version, b.Parameters, strconv.FormatBool(b.Contract), decimal(b.Watts[n], 3), decimal(base, 6), delivered, b.InputHash, plain(p.ID))
}

// energyOf the load that the event is about.
func energyOf(m events.Measures, l *events.PerformanceLine) *int64 {
	if m == events.MeasuresTotal {
		return l.TotalMilliwattHours
	}
	return l.MiningMilliwattHours
}

// baselineEnergy of one line, mWh, rounded down.
func baselineEnergy(b *events.PerformanceBaseline, n int, length time.Duration) int64 {
	return mulDiv(b.Watts[n], int64(length), wattNanosPerMilliwattHour)
}

// meanWatts of an energy over a time, rounded down.
func meanWatts(mwh int64, length time.Duration) int64 {
	if length <= 0 {
		return 0
	}
	return mulDiv(mwh, wattNanosPerMilliwattHour, int64(length))
}

// Qualities of a line.
const (
	QualityMetered   = "metered"
	QualityModelled  = "modelled"
	QualityPartly    = "partly-estimated"
	QualityEstimated = "estimated"
	QualityMissing   = "missing"
)

// Quality of a line: missing where no meter tells, estimated where no reading
// does for more than nine tenths of it, partly where some of it rests on none,
// modelled where a model made the readings.
func Quality(p *Word, l *events.PerformanceLine) string {
	switch length := l.End.Sub(l.Start).Milliseconds(); {
	case energyOf(p.Measures, l) == nil:
		return QualityMissing
	case l.EstimatedMilliseconds*10 > length*9:
		return QualityEstimated
	case l.EstimatedMilliseconds > 0:
		return QualityPartly
	case p.Modelled:
		return QualityModelled
	}
	return QualityMetered
}

// plain keeps spreadsheets from taking a text for a formula.
func plain(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// instant in UTC with milliseconds where there are any.
func instant(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05Z")
	}
	return t.Format("2006-01-02T15:04:05.000Z")
}

func seconds(d time.Duration) string {
	return strings.TrimSuffix(strings.TrimRight(decimal(d.Milliseconds(), 3), "0"), ".")
}

func kwh(mwh *int64) string {
	if mwh == nil {
		return ""
	}
	return decimal(*mwh, 6)
}
