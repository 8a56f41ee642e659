// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/pflag"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/plantbench"
)

// siteFlags of the benchmarks of a whole site.
type siteFlags struct {
	hours, seeds, outages int
	data                  string
}

func (f *siteFlags) add(fl *pflag.FlagSet) {
	fl.IntVar(&f.hours, "hours", 168, "site: hours of virtual time per control")
	fl.IntVar(&f.seeds, "seeds", 1, "site: seeds, all of which must hold")
	fl.IntVar(&f.outages, "outages", 400, "outage: bus outages per lease")
	fl.StringVar(&f.data, "data", "../shared/data/ai-load", "site, outage: `directory` of the recorded AI loads")
}

func (f *siteFlags) load() (*plantbench.Traces, error) {
	t, err := plantbench.Load(f.data)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withCode(exitUsage, fmt.Errorf("no recorded AI load in %q: name with --data the directory that holds mlperf_training_v4.0 and mlperf_inference_v2.0: %w", f.data, err))
	}
	return t, err
}

// targetUse of free power by the job reserve, with 0 s over the limit.
const targetUse = 0.78

// benchSite plays days of a 50 MW site under every control.
func (a *app) benchSite(ctx context.Context, f *benchFlags, p *printer) error {
	t, err := f.site.load()
	if err != nil {
		return err
	}
	p.title(fmt.Sprintf("site: 50 MW, recorded AI load, 30 MW of machines that fall in 5 s, meters and commands 1 s late; %d h, learned from an empty journal", f.site.hours))
	if !p.json {
		p.linef("  %-44s %5s %8s %8s %8s %8s %6s", "control", "seed", "s/day", ">105 %", "longest", "max over", "use")
	}
	bar := a.steps("controls", int64(f.site.seeds*len(plantbench.Controls())))
	defer func() { _ = bar.Finish() }()
	for _, c := range plantbench.Controls() {
		for seed := range max(f.site.seeds, 1) {
			r, err := plantbench.Run(ctx, t, plantbench.Config{Hours: max(f.site.hours, 1), Seed: uint64(seed + 1), Control: c})
			_ = bar.Add(1)
			if err != nil {
				return err
			}
			targeted := c.Name == plantbench.JobReserve
			met := r.OverSeconds == 0 && r.Use() >= targetUse
			if p.json {
				line := map[string]any{"bench": "site", "seed": seed + 1, "use": r.Use(), "result": r}
				if targeted {
					line["target_use"], line["met"] = targetUse, met
				}
				if err := p.value(line); err != nil {
					return err
				}
				continue
			}
			days := float64(r.Hours) / 24
			p.linef("  %-44s %5d %8.1f %8.1f %6d s %5.1f MW %6.3f%s", r.Control, seed+1, float64(r.OverSeconds)/days, float64(r.FarSeconds)/days,
				r.Longest, float64(r.MostWatts)/1e6, r.Use(), missed(met || !targeted))
		}
	}
	return nil
}

// benchOutage cuts the bus of that site off at random moments.
func (a *app) benchOutage(ctx context.Context, f *benchFlags, p *printer) error {
	t, err := f.site.load()
	if err != nil {
		return err
	}
	count := max(f.site.outages, 1)
	p.title(fmt.Sprintf("outage: %d outages of the bus of 15 min at random moments on that site; leases above 15 s are modelled: workers honour none", count))
	if !p.json {
		p.linef("  %-44s %6s %6s %12s %8s %6s", "control", "lease", "hurt", "worst extra", "max over", "use")
	}
	const seed = 1
	rows := map[string][]int64{plantbench.Envelope: plantbench.Leases, plantbench.JobReserve: {0, 15, 10}}
	bar := a.steps("leases", int64(len(plantbench.Leases)+3))
	defer func() { _ = bar.Finish() }()
	for _, c := range plantbench.Controls() {
		if rows[c.Name] == nil {
			continue
		}
		base, err := plantbench.OutageBase(ctx, t, c, count, seed)
		if err != nil {
			return err
		}
		for _, lease := range rows[c.Name] {
			r, err := plantbench.Outages(ctx, t, c, lease, count, seed, base)
			_ = bar.Add(1)
			if err != nil {
				return err
			}
			if p.json {
				if err := p.value(map[string]any{"bench": "outage", "result": r}); err != nil {
					return err
				}
				continue
			}
			span := "none"
			if lease > 0 {
				span = fmt.Sprintf("%d s", lease)
			}
			p.linef("  %-44s %6s %6d %10d s %5.1f MW %6.3f%s", r.Control, span, r.Hurt, r.WorstExtra, float64(r.MostWatts)/1e6, r.Use, missed(r.Met))
		}
	}
	return nil
}
