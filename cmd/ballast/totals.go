// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/ledger"
)

// revenueTotals is what each site came to.
type revenueTotals struct {
	sites   []string
	ledgers map[string]*ledger.Ledger
}

// totalsLine is one site's totals as JSON.
type totalsLine struct {
	Site    string                       `json:"site"`
	Accrued map[events.Basis]accruedLine `json:"accrued"`
	Energy  energyLine                   `json:"energy"`
	Money   moneyLine                    `json:"money"`
	Forgone forgoneTotals                `json:"forgone"`
}

// forgoneTotals are part of no other total.
type forgoneTotals struct {
	Intervals int64                    `json:"intervals"`
	Nameplate int64                    `json:"nameplate_milliwatt_hours"`
	Lines     []events.CurtailmentLine `json:"lines"`
}

type accruedLine struct {
	Events     int64  `json:"events"`
	Shares     int64  `json:"shares_accepted"`
	Difficulty string `json:"difficulty_sum"`
	Millisats  int64  `json:"value_millisats"`
	Microusd   int64  `json:"value_microusd"`
}

type energyLine struct {
	Intervals         int64      `json:"intervals"`
	Corrections       int64      `json:"corrections"`
	From              *time.Time `json:"from,omitempty"`
	Until             *time.Time `json:"until,omitempty"`
	Contracted        int64      `json:"contracted_milliwatt_hours"`
	Overdrawn         int64      `json:"overdrawn_milliwatt_hours"`
	AI                int64      `json:"ai_milliwatt_hours"`
	House             int64      `json:"house_milliwatt_hours"`
	Mining            int64      `json:"mining_milliwatt_hours"`
	Resold            int64      `json:"resold_milliwatt_hours"`
	Unused            int64      `json:"unused_milliwatt_hours"`
	Estimated         int64      `json:"estimated_milliwatt_hours"`
	Modelled          int64      `json:"modelled_milliwatt_hours"`
	Witness           int64      `json:"witness_milliwatt_hours"`
	OverLimit         int64      `json:"over_limit_milliseconds"`
	OverLimitByMining int64      `json:"over_limit_by_mining_milliseconds"`
}

type moneyLine struct {
	Intervals   int64               `json:"intervals"`
	Corrections int64               `json:"corrections"`
	Totals      []events.BasisTotal `json:"totals"`
	EnergyCost  int64               `json:"energy_cost_microusd"`
	Resale      int64               `json:"resale_microusd"`
	Margin      int64               `json:"margin_microusd"`
}

// sumRevenue adds up what a read yields.
func sumRevenue(ctx context.Context, log events.Log, r events.ReadRequest) (*revenueTotals, error) {
	t := &revenueTotals{ledgers: map[string]*ledger.Ledger{}}
	for ev, err := range log.Events(ctx, r) {
		if err != nil {
			var d *events.DecodeError
			if asDecode(err, &d) {
				continue // the inspector keeps it as a dead letter
			}
			return nil, fmt.Errorf("revenue: %w", err)
		}
		l := t.ledgers[ev.Site]
		if l == nil {
			l = new(ledger.Ledger)
			t.ledgers[ev.Site] = l
			t.sites = append(t.sites, ev.Site)
		}
		l.Add(ev)
	}
	slices.Sort(t.sites)
	return t, nil
}

// print writes the totals of every site.
func (t *revenueTotals) print(p *printer) error {
	if len(t.sites) == 0 && !p.json {
		p.linef("nothing booked yet")
	}
	for _, site := range t.sites {
		sum := t.ledgers[site].Totals()
		if p.json {
			if err := p.value(jsonTotals(site, &sum)); err != nil {
				return err
			}
			continue
		}
		p.linef("%s", p.paint(codeTitle, site))
		for _, basis := range []events.Basis{events.BasisLive, events.BasisPractice, events.BasisModelled} {
			a, ok := sum.Accrued[basis]
			if !ok {
				continue
			}
			note := ""
			if basis != events.BasisLive {
				note = "  (" + string(basis) + ": no money)"
			}
			p.linef("  accrued %-9s %s from %s of difficulty %s together%s", basis, p.paint(codeGood, valued(a.Millisats, a.Microusd)), figures.Count(a.Shares, "accepted share"), a.Difficulty, note)
		}
		e := sum.Energy
		if e.Intervals == 0 {
			p.linef("  no interval settled yet")
			continue
		}
		p.linef("  energy  %s … %s UTC, %s, %s", e.From.UTC().Format("2006-01-02 15:04:05"), e.Until.UTC().Format("2006-01-02 15:04:05"), figures.Count(e.Intervals, "interval"), figures.Count(e.Corrections, "correction"))
		p.linef("          contracted %s + overdrawn %s = AI %s + house %s + mining %s + resold %s + unused %s", wattHours(e.Contracted), wattHours(e.Overdrawn),
			wattHours(e.AI), wattHours(e.House), wattHours(e.Mining), wattHours(e.Resold), wattHours(e.Unused))
		p.linef("          estimated %s of all this; of mining modelled %s, proven by shares %s; over the limit %.1f s, by mining %.1f s", wattHours(e.Estimated), wattHours(e.Modelled), wattHours(e.Witness),
			float64(e.OverLimit)/1000, float64(e.OverLimitByMining)/1000)
		m := sum.Money
		p.linef("  money   energy for mining %s, resale %s, margin %s", dollars(-m.EnergyCost), dollars(m.Resale), dollars(m.Margin))
		printForgone(p, &sum.Forgone)
	}
	return nil
}

// printForgone writes one line per basis: what could have been hashed and was
// not.
func printForgone(p *printer, f *ledger.Forgone) {
	lines := slices.Clone(f.Lines)
	for i := range lines {
		lines[i].Reason, lines[i].SignalID = "", ""
	}
	for _, l := range ledger.Sum(lines) {
		p.linef("  forgone %-9s %s not used, worth %s; the energy would have cost %s: net %s", l.Basis, wattHours(l.MilliwattHours),
			valued(l.ForgoneMillisats, l.ForgoneMicrousd), dollars(l.AvoidedCostMicrousd), dollars(l.NetMicrousd))
	}
}

func jsonTotals(site string, t *ledger.Totals) totalsLine {
	l := totalsLine{Site: site, Accrued: map[events.Basis]accruedLine{}}
	for b, a := range t.Accrued {
		l.Accrued[b] = accruedLine{a.Events, a.Shares, a.Difficulty, a.Millisats, a.Microusd}
	}
	e := t.Energy
	l.Energy = energyLine{Intervals: e.Intervals, Corrections: e.Corrections, Contracted: e.Contracted, Overdrawn: e.Overdrawn, AI: e.AI, House: e.House,
		Mining: e.Mining, Resold: e.Resold, Unused: e.Unused, Estimated: e.Estimated, Modelled: e.Modelled, Witness: e.Witness, OverLimit: e.OverLimit, OverLimitByMining: e.OverLimitByMining}
	if e.Intervals > 0 {
		l.Energy.From, l.Energy.Until = &e.From, &e.Until
	}
	m := t.Money
	l.Money = moneyLine{m.Intervals, m.Corrections, m.Bases, m.EnergyCost, m.Resale, m.Margin}
	l.Forgone = forgoneTotals{t.Forgone.Intervals, t.Forgone.Nameplate, t.Forgone.Lines}
	return l
}
