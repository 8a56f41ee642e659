// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/tui"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/software"
)

func (a *app) workerCommand() *cobra.Command {
	var o roles.WorkerOptions
	var h hashFlags
	var metrics string
	c := &cobra.Command{
		Use:   "worker",
		Short: "Hash on this machine's processors, as far as the site permits",
		Long: `Joins a site as one controllable unit that really hashes SHA-256d. It announces
itself, draws power only under a live permit, follows commands by stopping or
throttling its threads, and publishes every share it finds. Ctrl-C hashes no
more, publishes what is left and says goodbye.

Without --threads there is one thread per physical core, at the lowest priority,
so that everything else on the machine comes first; in a container with a limit
one less than the limit. --cpus keeps hashing to some processors, --pin keeps
each thread on its core. All of it can be in the configuration, under worker.`,
		Example: `  ballast worker --site demo --id rig-17 --threads 1
  ballast worker --join "$(ballast join-token --role worker --id rig-18 --site demo)"
  ballast worker --join @rig-18.token        keeps the token out of the list of processes
  ballast worker --site demo --id rig-17 --cpus 2-7,10 --pin      leaves processors 0 and 1 alone
  ballast worker --site demo --id rig-17 --kernel portable --nice 10`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.work(cmd.Context(), o, &h, metrics) },
	}
	f := c.Flags()
	f.StringVar(&o.Site, "site", "", "`site` id (a join token names it)")
	f.StringVar(&o.Agent, "id", "", "this worker's `id` (a join token names it)")
	h.add(c, 0, "is one per physical core")
	f.Int64Var(&h.WattsPerThread, "watts-per-thread", software.DefaultWattsPerThread, "power model, used where the machine does not measure itself")
	f.StringVar(&o.Meter, "meter", "", "`meter` of the site that sees this machine")
	f.StringVar(&o.Node, "node", "", "`node` of the site's power tree on which this machine hangs")
	f.StringVar(&metrics, "metrics", "", "serve Prometheus metrics on this `host:port`, path /metrics")
	return c
}

// warnUnknownSite says that a site is not configured, where we may see that: a
// worker may come before its site does, so it is no error.
func (a *app) warnUnknownSite(ctx context.Context, b *bus.Bus, site string) {
	if b.Identity().Role == bus.RoleWorker {
		return // it may not look, and its token was made for the site
	}
	sites, err := b.Sites(ctx)
	if err == nil && !slices.Contains(sites, site) {
		fmt.Fprintf(a.err, "warning: no site %q on this bus yet (it knows: %s); drawing nothing until there is\n", site, cmp.Or(strings.Join(sites, ", "), "none"))
	}
}

func (a *app) work(ctx context.Context, o roles.WorkerOptions, h *hashFlags, metrics string) error {
	if o.Node != "" {
		if err := events.CheckToken("--node", o.Node); err != nil {
			return withCode(exitUsage, err)
		}
	}
	conf, err := a.loadConfig()
	if err != nil {
		return err
	}
	if err := hashingOf(h.over(conf.Worker), &o); err != nil {
		return err
	}
	b, err := a.connect(ctx, cmp.Or(o.Agent, "worker"))
	if err != nil {
		return err
	}
	who := b.Identity()
	o.Site, o.Agent = cmp.Or(o.Site, who.Site), cmp.Or(o.Agent, who.ID)
	fail := func(err error) error { closeBus(b); return err }
	if o.Site == "" || o.Agent == "" {
		return fail(withCode(exitUsage, errors.New("name the --site and the --id, or join with a token that does")))
	}
	a.warnUnknownSite(ctx, b, o.Site)
	p := a.printer()
	o.Ready = func(w *software.Worker) {
		kernel, mhs := w.Kernel().Name, int64(w.HashesPerSecond()/1e6)
		if p.json {
			_ = p.value(map[string]any{"worker": o.Agent, "site": o.Site, "ready": true, "kernel": kernel, "threads": w.Threads(), "hashrate_mhs": mhs})
			return
		}
		p.linef("%s joined %s: up to %s on %s with kernel %s; Ctrl-C leaves", o.Agent, o.Site, tui.Hashrate(mhs), figures.Count(int64(w.Threads()), "thread"), kernel)
	}
	return a.runRole(ctx, b, "worker", metrics, roles.Worker(o))
}
