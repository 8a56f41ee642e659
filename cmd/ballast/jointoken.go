// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/events/bus"
)

func (a *app) joinTokenCommand() *cobra.Command {
	var g bus.Grant
	var role, dataDir, ca, revoke string
	var credsFile bool
	names := make([]string, 0, len(bus.Roles()))
	for _, r := range bus.Roles() {
		names = append(names, string(r))
	}
	c := &cobra.Command{
		Use:   "join-token --role ROLE --id ID",
		Short: "One word that lets a process join the bus in one role",
		Long: `Prints a join token: where the bus is, who the bearer may be there, and the
secret. Treat it as a password: --join @FILE and BALLAST_JOIN_TOKEN keep it out
of the list of processes. It is signed by the authority in the data
directory of the embedded server, so run it on that machine; the running server
accepts it at once.

Roles:
  issuer      publishes grid signals and prices under its own id; reads nothing
  scheduler   publishes what an AI scheduler says of its jobs; reads nothing
  worker      one agent of one site: its own status and shares, its own commands
  source      publishes readings and quotes of the meters named by --sources
  viewer      reads everything, publishes nothing
  operator    a person: reads everything, signals, stops, configures, activates
  dispatcher  the deciders, in a process of their own
  gateway     hands out work and judges shares (ballast gateway, serve --role pool)
  outlet      controls outlets of one site: its own commands and their status

Viewer, operator, dispatcher and gateway are for all sites of a bus.`,
		Example: `  ballast join-token --role worker --id rig-17 --site demo
  ballast join-token --role issuer --id ercot --site demo --ttl 720h
  ballast join-token --role source --id gateway-1 --site demo --sources ai-feeder,mining-1
  ballast join-token --role viewer --id grafana --creds-format > viewer.creds
  ballast join-token --revoke UDXU4RC…`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := a.loadConfig()
			if err != nil {
				return err
			}
			dir := cmp.Or(dataDir, conf.Bus.DataDir)
			// Making keys where no bus lives would print a token for nothing.
			if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
				return withCode(exitUsage, fmt.Errorf("no bus in %q: name the data directory of the embedded server with --data-dir", dir))
			}
			auth, err := bus.OpenAuthority(dir, conf.Bus.Prefix)
			if err != nil {
				return err
			}
			p := a.printer()
			if revoke != "" {
				if err := auth.Revoke(revoke); err != nil {
					return err
				}
				if p.json {
					return p.value(map[string]any{"revoked": revoke})
				}
				p.linef("revoked %s; a running server refuses it within about a second", revoke)
				return nil
			}
			g.Role = bus.Role(role)
			if !slices.Contains(bus.Roles(), g.Role) {
				return withCode(exitUsage, fmt.Errorf("--role %q: use %s", role, strings.Join(names, ", ")))
			}
			if len(g.Servers) == 0 {
				if url := conf.Bus.URL; url != "" {
					g.Servers = strings.Split(url, ",")
				} else {
					g.Servers = []string{serverURL(&conf.Bus)}
				}
			}
			if ca != "" {
				if g.CA, err = os.ReadFile(ca); err != nil {
					return err
				}
			}
			t, err := auth.Mint(g)
			if err != nil {
				return withCode(exitUsage, err)
			}
			switch {
			case p.json:
				v := map[string]any{"token": t.String(), "role": t.Role, "id": t.ID, "site": t.Site, "user": t.User, "servers": t.Servers}
				if !t.Expires.IsZero() {
					v["expires"] = t.Expires.UTC().Format(time.RFC3339)
				}
				return p.value(v)
			case credsFile:
				b, err := t.Creds()
				if err != nil {
					return err
				}
				_, err = a.out.Write(b)
				return err
			}
			p.linef("%s", t)
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&role, "role", "", "`role`: "+strings.Join(names, ", "))
	f.StringVar(&g.ID, "id", "", "source `token` of what the bearer publishes: the agent of a worker, the name of an issuer")
	f.StringVar(&g.Site, "site", "", "`site` it may speak about (a worker needs one)")
	f.StringSliceVar(&g.Sources, "sources", nil, "source `tokens` of an issuer or source that speaks for several")
	f.DurationVar(&g.TTL, "ttl", 0, "how long it is good; 0 means until revoked")
	f.StringSliceVar(&g.Servers, "advertise", nil, "`URLs` to put into the token (default: bus.url, bus.advertise or bus.listen)")
	f.StringVar(&ca, "ca", "", "PEM `file` of the authority of the server's certificate, to put into the token")
	f.StringVar(&dataDir, "data-dir", "", "data `directory` of the embedded server (default: bus.data_dir)")
	f.BoolVar(&credsFile, "creds-format", false, "write a NATS credentials file instead (for nats --creds)")
	f.StringVar(&revoke, "revoke", "", "refuse a token from now on, by its `user` key (shown with --json)")
	return c
}
