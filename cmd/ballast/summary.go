// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/siteview"
	"github.com/ballast-energy/ballast/events"
)

// summaryLine is the end of a run as JSON.
type summaryLine struct {
	Site               string                 `json:"site"`
	ReductionsDisabled bool                   `json:"reductions_disabled,omitempty"`
	Seconds            float64                `json:"seconds"`
	LimitWatts         int64                  `json:"limit_watts"`
	Energy             siteview.Balance       `json:"energy"`
	SharesFound        map[events.Basis]int64 `json:"shares_found"`
	SharesAccepted     map[events.Basis]int64 `json:"shares_accepted"`
	SharesRejected     map[events.Basis]int64 `json:"shares_rejected"`
	SharesUnknown      map[events.Basis]int64 `json:"shares_unknown"`
	RevenueMillisats   map[events.Basis]int64 `json:"revenue_millisats"`
	RevenueMicrousd    map[events.Basis]int64 `json:"revenue_microusd"`
	// Forgone in the intervals that were settled meanwhile.
	Forgone          map[events.Basis]siteview.Forgone `json:"forgone"`
	OverLimitSeconds float64                           `json:"over_limit_seconds"`
	OverByMining     float64                           `json:"over_limit_by_mining_seconds"`
	OverMaxWatts     int64                             `json:"over_limit_max_watts"`
	HeadroomUsedPM   int64                             `json:"headroom_used_permille"`
	Curtails         int64                             `json:"curtail_commands"`
	Ramps            int64                             `json:"ramp_commands"`
	DecidedMillis    map[string]float64                `json:"decided_ms"`
	AppliedMillis    map[string]float64                `json:"applied_ms"`
}

// summary prints the end of a run, one block per site.
func (a *app) summary(views []*siteview.View, demos []demo, ran time.Duration) error {
	p := a.printer()
	for i, v := range views {
		s := v.Picture()
		limit := demos[i].config.LimitWatts
		if p.json {
			if err := p.value(summaryLine{
				Site: s.Site, ReductionsDisabled: demos[i].unsafe, Seconds: ran.Seconds(), LimitWatts: limit, Energy: s.Energy,
				SharesFound: s.Found, SharesAccepted: s.Accepted, SharesRejected: s.Rejected, SharesUnknown: s.Unknown,
				RevenueMillisats: s.Millisats, RevenueMicrousd: s.Microusd, Forgone: s.Forgone,
				OverLimitSeconds: s.OverLimit.Seconds(), OverByMining: s.OverByMining.Seconds(), OverMaxWatts: s.OverMaxWatts,
				HeadroomUsedPM: s.Mined.PermilleOf(s.Headroom), Curtails: s.Curtails, Ramps: s.Ramps,
				DecidedMillis: percentiles(s.Decision), AppliedMillis: percentiles(s.Applied),
			}); err != nil {
				return err
			}
			continue
		}
		printSummary(p, s, &demos[i], ran)
	}
	return nil
}

func percentiles(l siteview.Latencies) map[string]float64 {
	return map[string]float64{"p50": millis(l.Percentile(50)), "p99": millis(l.Percentile(99)), "max": millis(l.Percentile(100))}
}

func printSummary(p *printer, s siteview.Picture, d *demo, ran time.Duration) {
	title := "Summary of " + s.Site
	if d.unsafe {
		title += " with reductions DISABLED"
	}
	p.linef("\n%s  (%s, limit %s)", p.paint(codeTitle, title), ran.Round(time.Second), watts(d.config.LimitWatts))
	e := s.Energy
	p.linef("  energy      contracted %s + overdrawn %s", wattHours(e.Contracted), wattHours(e.Overdrawn))
	p.linef("              = AI %s + house %s + mining %s + unused %s   (balanced to the milliwatt-hour)", wattHours(e.AI), wattHours(e.House), wattHours(e.Mining), wattHours(e.Unused))
	if e.Modelled > 0 {
		p.linef("              of mining, %s modelled, %s measured", wattHours(e.Modelled), wattHours(e.Mining-e.Modelled))
	}
	pm := s.Mined.PermilleOf(s.Headroom)
	p.linef("  headroom    %d.%d %% of (limit − AI − house) was mined", pm/10, pm%10)
	for _, basis := range []events.Basis{events.BasisLive, events.BasisPractice, events.BasisModelled} {
		if s.Found[basis]+s.Accepted[basis]+s.Millisats[basis] == 0 {
			continue
		}
		note := ""
		if basis != events.BasisLive {
			note = "  (" + string(basis) + ": no money)"
		}
		waiting := ""
		if n := s.Found[basis] - s.Accepted[basis] - s.Rejected[basis] - s.Unknown[basis]; n > 0 {
			waiting = fmt.Sprintf(", %d judged when the pool is back", n)
		}
		p.linef("  %-11s %s found, %d accepted, %d rejected, %d unknown%s", basis, figures.Count(s.Found[basis], "share"), s.Accepted[basis], s.Rejected[basis], s.Unknown[basis], waiting)
		p.linef("              %s accrued%s", valued(s.Millisats[basis], s.Microusd[basis]), note)
	}
	for _, basis := range []events.Basis{events.BasisLive, events.BasisPractice, events.BasisModelled} {
		if f := s.Forgone[basis]; f.MilliwattHours >= 100 { // a core's share of it rounds to nothing
			p.linef("  forgone     %s not used, worth %s, %s net of the energy's cost  (%s, settled intervals)", wattHours(f.MilliwattHours), valued(f.Millisats, f.Microusd), dollars(f.NetMicrousd), basis)
		}
	}
	over := p.paint(codeGood, "0 s")
	if s.OverByMining > 0 {
		over = p.paint(codeBad, fmt.Sprintf("%.1f s, at most %s", s.OverByMining.Seconds(), watts(s.OverMaxWatts)))
	}
	p.linef("  over limit  caused by mining: %s; in all %.1f s", over, s.OverLimit.Seconds())
	p.linef("  commands    %d curtail, %d ramp", s.Curtails, s.Ramps)
	if s.Curtails+s.Ramps == 0 {
		return
	}
	p.linef("              cause → stored p50 %s p99 %s; cause → applied and reported p50 %s p99 %s",
		roundMillis(s.Decision.Percentile(50)), roundMillis(s.Decision.Percentile(99)), roundMillis(s.Applied.Percentile(50)), roundMillis(s.Applied.Percentile(99)))
}
