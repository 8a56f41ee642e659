// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/host"
)

func (a *app) doctorCommand() *cobra.Command {
	var engineOnly bool
	c := &cobra.Command{
		Use:   "doctor",
		Short: "What is wrong with the bus, its sites and this machine's hash engine, and how to fix it",
		Long: `Looks at this machine's hash engine first, which needs no bus: every kernel has
to pass a short self-test, and one made for this processor should be there.
Then at the connection, the streams, the clocks, the disk, retention that will
drop something soon, dead letters, and at each site whether ticks, meters,
gateways with their pools and deciders are alive. Exits 4 when something is critical, 5 when there is no bus;
what was found about the engine is printed in any case.`,
		Example: `  ballast doctor
  ballast doctor --engine                   this machine only, no bus
  ballast doctor --server nats://bus:4222 --json | jq 'select(.level != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h := bus.Health{}
			var err error
			if h.Findings, err = checkEngine(cmd.Context()); err != nil {
				return err
			}
			p := a.printer()
			if err := p.findings(h.Findings); err != nil {
				return err
			}
			if !engineOnly {
				found, err := a.checkBus(cmd.Context())
				if err != nil {
					return err
				}
				if err := p.findings(found); err != nil {
					return err
				}
				h.Findings = append(h.Findings, found...)
			}
			if h.Worst() == bus.LevelCritical {
				return withCode(exitDiffers, fmt.Errorf("something is critical"))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&engineOnly, "engine", false, "look at this machine's hash engine only: needs no bus")
	return c
}

// checkBus looks at the bus and its sites.
func (a *app) checkBus(ctx context.Context) ([]bus.Finding, error) {
	b, err := a.connect(ctx, "doctor")
	if err != nil {
		return nil, err
	}
	defer closeBus(b)
	found := b.Health(ctx).Findings
	sites, err := b.Sites(ctx)
	if err != nil {
		return nil, err
	}
	for _, site := range sites {
		found = append(found, checkSite(ctx, b, site, time.Now())...)
	}
	if len(sites) == 0 {
		found = append(found, bus.Finding{Check: "sites", Level: bus.LevelWarning, Message: "no site is configured", Remedy: "start ballast up, or ballast serve --role bus with a configuration that names sites"})
	}
	return found, nil
}

// findings prints what was found, in columns.
func (p *printer) findings(found []bus.Finding) error {
	width := 0
	for _, f := range found {
		width = max(width, len(f.Check))
	}
	for _, f := range found {
		if p.json {
			if err := p.value(f); err != nil {
				return err
			}
			continue
		}
		code := map[bus.Level]string{bus.LevelOK: codeGood, bus.LevelWarning: codeWarn, bus.LevelCritical: codeBad}[f.Level]
		p.linef("%s %-*s %s", p.paint(code, fmt.Sprintf("%-8s", f.Level)), width, f.Check, f.Message)
		if f.Remedy != "" {
			p.linef("%-*s → %s", 8+width, "", f.Remedy)
		}
	}
	return nil
}

// checkSite looks at the newest minute of one site's journal.
func checkSite(ctx context.Context, b *bus.Bus, site string, now time.Time) []bus.Finding {
	var out []bus.Finding
	add := func(check string, level bus.Level, message, remedy string) {
		out = append(out, bus.Finding{Check: site + " " + check, Level: level, Message: message, Remedy: remedy})
	}
	var conf *events.SiteConfig
	for c, err := range events.Read[events.SiteConfig](ctx, b, events.AtSite(site)) {
		if err == nil {
			conf = &c.Data
		}
	}
	var tick time.Time
	meters, units := map[string]time.Time{}, map[string]events.UnitStatus{}
	r := events.ReadRequest{Stream: events.StreamJournal, Site: site, Since: now.Add(-time.Minute), Types: []events.Type{events.TypeClockTick, events.TypeMeterReading, events.TypeWorkerStatus}}
	for ev, err := range b.Events(ctx, r) {
		var d *events.DecodeError
		if err != nil && !asDecode(err, &d) {
			add("journal", bus.LevelCritical, err.Error(), "look at the findings about streams above")
			return out
		}
		if err != nil {
			continue
		}
		switch d := ev.Data.(type) {
		case *events.ClockTick:
			tick = ev.Arrived
		case *events.MeterReading:
			meters[ev.Source] = ev.Arrived
		case *events.WorkerStatus:
			for _, u := range d.Units {
				if units[u.Unit] = u; d.Leaving {
					delete(units, u.Unit)
				}
			}
		}
	}
	if tick.IsZero() || now.Sub(tick) > 5*time.Second {
		add("dispatcher", bus.LevelCritical, "no tick for more than 5 s: nobody decides and every lease runs out", "start a dispatcher: ballast serve --role dispatcher --site "+site)
	} else {
		add("dispatcher", bus.LevelOK, fmt.Sprintf("newest tick %s old", now.Sub(tick).Round(100*time.Millisecond)), "")
	}
	if conf == nil {
		add("configuration", bus.LevelCritical, "no site.config: nothing may draw power", "publish one: ballast serve --role bus --config FILE")
		return out
	}
	for _, m := range conf.Meters {
		at, seen := meters[m.Meter]
		stale := time.Duration(m.StaleMilliseconds) * time.Millisecond
		switch age := now.Sub(at); {
		case !seen:
			add("meter "+m.Meter, bus.LevelCritical, "silent for more than a minute: counted as full load", "check the meter, its source and the source's credentials")
		case age > stale:
			add("meter "+m.Meter, bus.LevelWarning, fmt.Sprintf("newest reading %s old, stale after %s", age.Round(100*time.Millisecond), stale), "check the meter and its source")
		default:
			add("meter "+m.Meter, bus.LevelOK, fmt.Sprintf("newest reading %s old", age.Round(100*time.Millisecond)), "")
		}
	}
	failsafe := 0
	for _, u := range units {
		if u.State == events.PermitFailsafe {
			failsafe++
		}
	}
	switch {
	case len(units) == 0:
		add("workers", bus.LevelWarning, "none reported within a minute", "start one: ballast worker --site "+site+" --id rig-1")
	case failsafe > 0:
		add("workers", bus.LevelWarning, fmt.Sprintf("%d of %d units are in failsafe", failsafe, len(units)), "they come back with the next ramp; if not, look at ballast watch dispatch.decided")
	default:
		add("workers", bus.LevelOK, figures.Count(int64(len(units)), "unit")+" known by their reports", "")
	}
	checkGateways(ctx, b, site, add)
	for _, f := range roles.Deciders(false) {
		d, err := f()
		if err != nil {
			continue
		}
		id := d.Identity()
		have, _, err := host.Active(ctx, b, site, id.Name)
		switch {
		case err != nil:
			add("decider "+id.Name, bus.LevelCritical, err.Error(), "activate a version: ballast decider activate "+id.Name+" --site "+site)
		case have == nil:
			add("decider "+id.Name, bus.LevelWarning, "no version was ever activated", "a dispatcher activates itself, or: ballast decider activate "+id.Name+" --site "+site)
		case have.Version != id.Version || have.ConfigHash != id.ConfigHash:
			add("decider "+id.Name, bus.LevelWarning, fmt.Sprintf("version %s config %s speaks; this binary is version %s config %s", have.Version, have.ConfigHash, id.Version, id.ConfigHash), "fine during a rollout; else ballast decider activate "+id.Name+" --site "+site)
		default:
			add("decider "+id.Name, bus.LevelOK, "version "+id.Version+" speaks", "")
		}
	}
	return out
}

// checkGateways looks at those of a site that spoke in the last minutes. A site
// without one may mine for practice; one that is out of order is serious when
// no other serves.
func checkGateways(ctx context.Context, b *bus.Bus, site string, add func(check string, level bus.Level, message, remedy string)) {
	lines, err := gatewayLines(ctx, b, site)
	if err != nil {
		add("gateways", bus.LevelCritical, err.Error(), "look at the findings about streams above")
		return
	}
	level := bus.LevelCritical
	if slices.ContainsFunc(lines, func(l gatewayLine) bool { return l.Serving }) {
		level = bus.LevelWarning
	}
	for _, l := range lines {
		state, _ := l.words()
		switch {
		case l.Serving:
			add("gateway "+l.Gateway, bus.LevelOK, state+", "+l.Status.Pool+" at "+l.Status.Upstream, "")
		case l.Ended || l.Status.State == events.UpstreamDraining:
		default:
			add("gateway "+l.Gateway, level, state, l.remedy())
		}
	}
}
