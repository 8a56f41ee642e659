// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/handlers/host"
)

// deciderRow is which version speaks at a site, and whether it is ours.
type deciderRow struct {
	Site          string `json:"site"`
	Decider       string `json:"decider"`
	Active        bool   `json:"active"`
	Version       string `json:"version,omitempty"`
	ConfigHash    string `json:"config_hash,omitempty"`
	ActivatedBy   string `json:"activated_by,omitempty"`
	OurVersion    string `json:"our_version"`
	OurConfigHash string `json:"our_config_hash"`
	Ours          bool   `json:"ours"`
}

func (a *app) deciderCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "decider",
		Short: "Which version of each decider speaks",
		Long: `Any number of dispatchers fold a journal; the version that decider.activated
names is the only one that speaks. A new release folds silently beside the old
one until it is activated.`,
		Example: `  ballast decider ls --site demo
  ballast decider activate dispatch --site demo`,
	}
	var site string
	ls := &cobra.Command{Use: "ls --site SITE", Short: "Active versions, and this binary's", Args: cobra.NoArgs,
		Example: "  ballast decider ls --site demo",
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := a.connect(cmd.Context(), "decider-ls")
			if err != nil {
				return err
			}
			defer closeBus(b)
			p := a.printer()
			for _, f := range roles.Deciders(false) {
				d, err := f()
				if err != nil {
					return err
				}
				id := d.Identity()
				r := deciderRow{Site: site, Decider: id.Name, OurVersion: id.Version, OurConfigHash: id.ConfigHash}
				have, _, err := host.Active(cmd.Context(), b, site, id.Name)
				if err != nil {
					return err
				}
				if have != nil {
					r.Active, r.Version, r.ConfigHash, r.ActivatedBy = true, have.Version, have.ConfigHash, have.ActivatedBy
					r.Ours = have.Version == id.Version && have.ConfigHash == id.ConfigHash
				}
				if p.json {
					if err := p.value(r); err != nil {
						return err
					}
					continue
				}
				switch {
				case !r.Active:
					p.linef("%-11s %s", r.Decider, p.paint(codeWarn, "none active: a dispatcher activates itself, or use ballast decider activate"))
				case r.Ours:
					p.linef("%-11s version %s config %s, activated by %s: %s", r.Decider, r.Version, r.ConfigHash, r.ActivatedBy, p.paint(codeGood, "the same as this binary"))
				default:
					p.linef("%-11s version %s config %s, activated by %s: %s", r.Decider, r.Version, r.ConfigHash, r.ActivatedBy, p.paint(codeWarn, fmt.Sprintf("this binary is version %s config %s and would be silent", r.OurVersion, r.OurConfigHash)))
				}
			}
			return nil
		}}
	activate := &cobra.Command{Use: "activate NAME --site SITE", Short: "Make this binary's version of a decider the one that speaks", Args: cobra.ExactArgs(1),
		Example: "  ballast decider activate dispatch --site demo",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := a.connect(cmd.Context(), "decider-activate")
			if err != nil {
				return err
			}
			defer closeBus(b)
			if err := knownSite(cmd.Context(), b, site); err != nil {
				return err
			}
			for _, f := range roles.Deciders(false) {
				d, err := f()
				if err != nil {
					return err
				}
				id := d.Identity()
				if id.Name != args[0] {
					continue
				}
				by := cmp.Or(b.Identity().ID, "operator")
				start := time.Now()
				if err := host.Activate(cmd.Context(), b, site, id, "", by); err != nil {
					return err
				}
				p := a.printer()
				if p.json {
					return p.value(map[string]any{"decider": id.Name, "site": site, "version": id.Version, "config_hash": id.ConfigHash, "activated": true})
				}
				p.linef("%s version %s config %s speaks at %s from its place in the journal on (stored after %s)", id.Name, id.Version, id.ConfigHash, site, roundMillis(time.Since(start)))
				return nil
			}
			return withCode(exitUsage, fmt.Errorf("no decider %q in this binary: dispatch, settlement or compliance", args[0]))
		}}
	for _, s := range []*cobra.Command{ls, activate} {
		s.Flags().StringVar(&site, "site", "", "`site` id (required)")
		_ = s.MarkFlagRequired("site")
		c.AddCommand(s)
	}
	return c
}
