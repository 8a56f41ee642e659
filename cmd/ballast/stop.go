// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

func (a *app) stopCommand() *cobra.Command {
	var f signalFlags
	var all bool
	c := &cobra.Command{
		Use:   "stop --all [--site SITE]",
		Short: "All mining to 0 W until a person lifts it",
		Long: `All mining to 0 W at once, at one site or at every site of the bus. Nothing ends
a stop but an operator who cancels it by its id (ballast signal cancel).`,
		Example: `  ballast stop --all --reason "smoke in container 3"
  ballast stop --all --site demo --wait`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !all {
				return withCode(exitUsage, fmt.Errorf("say --all: a stop takes every machine down"))
			}
			b, err := a.connect(cmd.Context(), "stop")
			if err != nil {
				return err
			}
			defer closeBus(b)
			f.issuer = events.OperatorSource
			if who := b.Identity(); who.Role == bus.RoleIssuer {
				return withCode(exitUsage, fmt.Errorf("an issuer's token may not stop a site: use an operator's, or ballast signal emergency"))
			} else if err := f.authorize(who); err != nil {
				return withCode(exitUsage, err)
			}
			sites := []string{f.site}
			if f.site == "" {
				sites = nil
				for ev, err := range events.Read[events.SiteConfig](cmd.Context(), b) {
					if err == nil {
						sites = appendNew(sites, ev.Site)
					}
				}
			} else if err := knownSite(cmd.Context(), b, f.site); err != nil {
				return err
			}
			if len(sites) == 0 {
				return fmt.Errorf("no site on this bus: nothing to stop")
			}
			// Every site's stop goes out before any waiting.
			id := cmp.Or(f.id, nuid.Next())
			p := a.printer()
			var evs []*events.Event
			for _, site := range sites {
				s := &events.GridSignal{SignalID: id, Kind: events.SignalStop, Issuer: events.OperatorSource, Reason: f.reason}
				evs = append(evs, events.New(site, events.OperatorSource, s).WithID("signal/"+site+"/"+events.OperatorSource+"/"+id))
			}
			var waiters []*waiter
			if f.wait {
				for i, site := range sites {
					w, err := newWaiter(cmd.Context(), b, site, evs[i], f.deadline)
					if err != nil {
						return err
					}
					defer w.stop()
					waiters = append(waiters, w)
				}
			}
			sent := time.Now()
			if err := b.Publish(cmd.Context(), evs...); err != nil {
				return fmt.Errorf("stop: %w", err)
			}
			for _, site := range sites {
				if p.json {
					if err := p.value(map[string]any{"signal_id": id, "site": site, "kind": events.SignalStop, "stored": true}); err != nil {
						return err
					}
				} else {
					p.linef("%s stopped; lift it with: ballast signal cancel %s --site %s", site, id, site)
				}
			}
			for _, w := range waiters {
				if err := w.run(cmd.Context(), p, sent); err != nil {
					return err
				}
			}
			return nil
		},
	}
	fl := c.Flags()
	fl.BoolVar(&all, "all", false, "every machine (required)")
	fl.StringVar(&f.site, "site", "", "one `site` only")
	fl.StringVar(&f.reason, "reason", "", "for people and reports")
	fl.StringVar(&f.id, "id", "", "signal id (default: made up)")
	fl.BoolVar(&f.wait, "wait", false, "wait until meters show it")
	fl.DurationVar(&f.deadline, "deadline", 30*time.Second, "with --wait: give up after this long and exit 3")
	return c
}
