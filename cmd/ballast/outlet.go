// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/nats-io/nuid"
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

func (a *app) outletCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "outlet",
		Short: "Switch outlets: by hand, or as dispatch commands",
		Long: `Outlets are the last thing that dispatch can do against a machine that draws on
although it was told to stop, before it calls people. Which outlet feeds which
unit is in the configuration of the site, under outlets. An outlet that was cut
stays off until a person switches it on again here.`,
		Example: `  ballast outlet on rack-7-o3 --site tx1 --reason "control board replaced"
  ballast outlet serve --site tx1 --id pdu-7 --config pdu-7.yaml`,
	}
	c.AddCommand(a.outletSwitchCommand("on", false), a.outletSwitchCommand("off", true), a.outletServeCommand())
	return c
}

func (a *app) outletSwitchCommand(word string, off bool) *cobra.Command {
	var site, reason string
	long := `Switches an outlet on again that was cut. Nothing else does. Its unit may then
earn a permit as any other.`
	if off {
		long = "Cuts an outlet. Its unit gets no permit until the outlet is switched on again."
	}
	c := &cobra.Command{
		Use: word + " OUTLET", Short: "Switch an outlet " + word, Long: long,
		Example: "  ballast outlet " + word + ` rack-7-o3 --site tx1 --reason "control board replaced"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := events.CheckToken("outlet", args[0]); err != nil {
				return withCode(exitUsage, err)
			}
			b, err := a.connect(cmd.Context(), "outlet")
			if err != nil {
				return err
			}
			defer closeBus(b)
			switch who := b.Identity(); who.Role {
			case "", bus.RoleInternal, bus.RoleOperator: // without a token the bus decides
			default:
				return withCode(exitUsage, fmt.Errorf("a %s may not switch outlets: use an operator's token", who.Role))
			}
			if err := knownSite(cmd.Context(), b, site); err != nil {
				return err
			}
			known := false
			for ev, err := range events.Read[events.SiteConfig](cmd.Context(), b) {
				if err == nil && ev.Site == site {
					known = false
					for _, o := range ev.Data.Outlets {
						known = known || o.Outlet == args[0]
					}
				}
			}
			if !known {
				return withCode(exitUsage, fmt.Errorf("site %s has no outlet %q in its configuration", site, args[0]))
			}
			r := &events.OutletRequested{Outlet: args[0], Off: off, Reason: reason}
			if err := b.Publish(cmd.Context(), events.New(site, events.OperatorSource, r).WithID("outlet/"+site+"/"+nuid.Next())); err != nil {
				return fmt.Errorf("outlet: %w", err)
			}
			p := a.printer()
			if p.json {
				return p.value(map[string]any{"site": site, "outlet": args[0], "off": off, "stored": true})
			}
			p.linef("outlet %s of %s is to be switched %s; ballast watch outlet.status shows when it is", args[0], site, word)
			return nil
		},
	}
	c.Flags().StringVar(&site, "site", "", "`site` id")
	c.Flags().StringVar(&reason, "reason", "", "for people and reports")
	_ = c.MarkFlagRequired("site") // the flag is there
	return c
}

func (a *app) outletServeCommand() *cobra.Command {
	var site, id, metrics string
	c := &cobra.Command{
		Use:   "serve",
		Short: "Switch outlets as dispatch commands",
		Long: `Hears the commands for the outlets of one controller and carries them out by
HTTP requests or programs, as the configuration says under outlets. An outlet
stays as it is when this ends.`,
		Example: `  ballast outlet serve --site tx1 --id pdu-7 --config pdu-7.yaml
  ballast outlet serve --join @pdu-7.token --config pdu-7.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := a.loadConfig()
			if err != nil {
				return err
			}
			drivers, err := conf.Outlets.Drivers()
			if err != nil {
				return withCode(exitUsage, err)
			}
			b, err := a.connect(cmd.Context(), cmp.Or(id, conf.Outlets.ID, "outlet"))
			if err != nil {
				return err
			}
			who := b.Identity()
			o := roles.OutletOptions{Site: cmp.Or(site, who.Site), Controller: cmp.Or(id, conf.Outlets.ID, who.ID), Drivers: drivers}
			if o.Site == "" || o.Controller == "" || len(drivers) == 0 {
				closeBus(b)
				return withCode(exitUsage, errors.New("name the --site and the --id, and list outlets.devices in the configuration"))
			}
			p := a.printer()
			o.Ready = func() {
				if p.json {
					_ = p.value(map[string]any{"controller": o.Controller, "site": o.Site, "ready": true, "outlets": len(drivers)})
					return
				}
				p.linef("%s switches %s of %s; Ctrl-C ends and leaves them as they are", o.Controller, figures.Count(int64(len(drivers)), "outlet"), o.Site)
			}
			return a.runRole(cmd.Context(), b, "outlet", metrics, roles.Outlet(o))
		},
	}
	f := c.Flags()
	f.StringVar(&site, "site", "", "`site` id (a join token names it)")
	f.StringVar(&id, "id", "", "this controller's `id` (default: outlets.id, or the join token's)")
	f.StringVar(&metrics, "metrics", "", "serve Prometheus metrics on this `host:port`, path /metrics")
	return c
}
