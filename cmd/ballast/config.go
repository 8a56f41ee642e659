// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Check or show a configuration file",
		Example: `  ballast config example > ballast.yaml
  ballast config check ballast.yaml`,
	}
	c.AddCommand(
		&cobra.Command{Use: "example", Short: "A commented configuration with every key", Args: cobra.NoArgs,
			Example: "  ballast config example > ballast.yaml",
			RunE: func(*cobra.Command, []string) error {
				_, err := a.out.Write(config.Example())
				return err
			}},
		&cobra.Command{Use: "check FILE", Short: "Read a file as the roles do; unknown keys are shown with their line", Args: cobra.ExactArgs(1),
			Example: "  ballast config check ballast.yaml",
			RunE: func(_ *cobra.Command, args []string) error {
				c, err := config.Load(args[0], a.environ)
				if err != nil {
					return withCode(exitUsage, err)
				}
				p := a.printer()
				if p.json {
					v := map[string]any{"file": args[0], "valid": true, "sites": len(c.Sites)}
					if c.Gateway.Given() {
						v["gateway"] = explainGateway(&c.Gateway)
					}
					return p.value(v)
				}
				p.linef("%s %s: %d site(s)", p.paint(codeGood, "valid"), args[0], len(c.Sites))
				for _, s := range c.Sites {
					p.linef("  %s: limit %s, reserve %s + %s, %d meters", s.ID, s.Limit, s.Reserve.Floor, s.Reserve.Margin, len(s.Meters))
				}
				p.gateway(&c.Gateway)
				return nil
			}},
	)
	return c
}
