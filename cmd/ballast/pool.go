// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/tui"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

func (a *app) poolCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "pool",
		Short: "The gateways and the pools or nodes behind them",
		Example: `  ballast pool status
  ballast pool status --site tx1 --json`,
	}
	c.AddCommand(a.poolStatusCommand())
	return c
}

// gatewayLine is one gateway with --json.
type gatewayLine struct {
	Site    string `json:"site"`
	Gateway string `json:"gateway"`
	// Alive: it spoke just now. Serving: it is alive and its pool gives work.
	// Ended: its last word was that it ends.
	Alive   bool                  `json:"alive"`
	Serving bool                  `json:"serving"`
	Ended   bool                  `json:"ended"`
	Age     time.Duration         `json:"age_ns"`
	Status  *events.GatewayStatus `json:"status"`
}

func (a *app) poolStatusCommand() *cobra.Command {
	var site string
	c := &cobra.Command{
		Use:   "status",
		Short: "How each gateway stands with its pool: state, shares, hash rate",
		Long: fmt.Sprintf(`Prints the newest status of every gateway that spoke in the last ten minutes. A
gateway that has been silent for %s is taken for dead, and the others of its
site serve its agents. The practice pool is no gateway and says nothing here.

Exits 0 when every site that has gateways is served and all is well; 4 when a
gateway is silent, its pool or node gives no work, all of a site's have ended,
or there is none; 5 when there is no bus.`, events.GatewaySilence),
		Example: `  ballast pool status
  ballast pool status --site tx1 --json | jq 'select(.serving) | .status.hashrate_mhs'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := a.connect(cmd.Context(), "pool")
			if err != nil {
				return err
			}
			defer closeBus(b)
			lines, err := gatewayLines(cmd.Context(), b, site)
			if err != nil {
				return err
			}
			if len(lines) == 0 {
				return withCode(exitDiffers, a.noGateway(cmd.Context(), b, site))
			}
			return a.printGateways(lines)
		},
	}
	c.Flags().StringVar(&site, "site", "", "one `site` only")
	return c
}

// gatewayLines are the gateways that spoke in the last minutes, of one site or
// of all, in the order of their names.
func gatewayLines(ctx context.Context, b *bus.Bus, site string) ([]gatewayLine, error) {
	newest := map[[2]string]gatewayLine{}
	for ev, err := range events.Read[events.GatewayStatus](ctx, b, events.AtSite(site)) {
		var d *events.DecodeError
		if asDecode(err, &d) {
			continue // garbage is the inspector's
		}
		if err != nil {
			return nil, err
		}
		age := max(time.Since(ev.Arrived), 0)
		l := gatewayLine{Site: ev.Site, Gateway: ev.Source, Alive: age < events.GatewaySilence, Age: age, Status: &ev.Data}
		l.Ended = !l.Alive && ev.Data.State == events.UpstreamDraining
		l.Serving = l.Alive && ev.Data.State == events.UpstreamReady
		newest[[2]string{ev.Site, ev.Source}] = l
	}
	lines := make([]gatewayLine, 0, len(newest))
	for _, l := range newest {
		lines = append(lines, l)
	}
	slices.SortFunc(lines, func(x, y gatewayLine) int {
		return cmp.Or(cmp.Compare(x.Site, y.Site), cmp.Compare(x.Gateway, y.Gateway))
	})
	return lines, nil
}

// noGateway says why there is nothing to print.
func (a *app) noGateway(ctx context.Context, b *bus.Bus, site string) error {
	if site != "" {
		if sites, err := b.Sites(ctx); err == nil && !slices.Contains(sites, site) {
			return fmt.Errorf("no site %q on this bus (it knows: %s)", site, cmp.Or(strings.Join(sites, ", "), "none"))
		}
	}
	return errors.New("no gateway has spoken in the last ten minutes: start one with ballast gateway (the practice pool is none)")
}

// words of a gateway's state, and their colour.
func (l *gatewayLine) words() (state, code string) {
	s := l.Status
	age := l.Age.Round(time.Second).String()
	switch {
	case l.Ended:
		return "ended " + age + " ago", codeDim
	case !l.Alive:
		return "silent for " + age, codeBad
	case s.State == events.UpstreamReady:
		return strings.TrimSpace(string(s.State) + " " + s.Detail), codeGood
	case s.Detail != "":
		return string(s.State) + ": " + s.Detail, codeWarn
	case s.State == events.UpstreamConnecting && s.Sessions > 0:
		return string(s.State) + ": connected, waiting for the first job", codeWarn
	}
	return string(s.State), codeWarn
}

// session of a gateway in words.
func (l *gatewayLine) session() string {
	s := l.Status
	switch {
	case l.Ended:
		return "left"
	case !l.Alive:
		return "not known"
	case s.Sessions == 0:
		return "no session"
	}
	text := figures.Count(s.Sessions, "session") + ", difficulty " + cmp.Or(s.Difficulty, "not told yet")
	if s.Height > 0 {
		text += fmt.Sprintf(", block %d", s.Height)
	}
	return text
}

// remedy for a gateway that does not serve, or empty.
func (l *gatewayLine) remedy() string {
	switch {
	case l.Serving || l.Ended || l.Status.State == events.UpstreamDraining:
		return ""
	case !l.Alive:
		return "start it again; other gateways of the site serve its agents meanwhile"
	}
	return "ballast watch alert --site " + l.Site + " --since 1h shows since when, and what to do"
}

func (a *app) printGateways(lines []gatewayLine) error {
	p := a.printer()
	trouble, serving, sites := 0, map[string]bool{}, []string{}
	for _, l := range lines {
		if !l.Serving && !l.Ended && l.Status.State != events.UpstreamDraining {
			trouble++
		}
		serving[l.Site] = serving[l.Site] || l.Serving
		sites = append(sites, l.Site)
		if p.json {
			if err := p.value(l); err != nil {
				return err
			}
			continue
		}
		p.gatewayLine(&l)
	}
	var idle []string
	for _, site := range slices.Compact(sites) {
		if !serving[site] {
			idle = append(idle, site)
		}
	}
	switch {
	case len(idle) > 0:
		return withCode(exitDiffers, fmt.Errorf("no gateway serves %s: its workers have no work", strings.Join(idle, ", ")))
	case trouble > 0:
		return withCode(exitDiffers, fmt.Errorf("%s out of order; others of the site serve its workers", figures.Count(int64(trouble), "gateway")))
	}
	return nil
}

// gatewayLine writes one gateway for a person.
func (p *printer) gatewayLine(l *gatewayLine) {
	s := l.Status
	state, code := l.words()
	p.linef("%s %s", p.paint(codeTitle, l.Site+" "+l.Gateway), p.paint(code, state))
	if remedy := l.remedy(); remedy != "" {
		p.linef("            → %s", remedy)
	}
	p.linef("  pool      %s at %s: %s", s.Pool, s.Upstream, l.session())
	if l.Alive {
		p.linef("  serves    %s on the bus, %s of miners, %s", figures.Count(s.Agents, "agent"), figures.Count(s.Connections, "connection"), tui.Hashrate(s.HashrateMHs))
	}
	waiting := s.SharesFound - s.SharesAccepted - s.SharesRejected - s.SharesUnknown
	p.linef("  shares    %d found = %d accepted + %d rejected + %d unknown + %d waiting; %s", s.SharesFound, s.SharesAccepted, s.SharesRejected, s.SharesUnknown, waiting, figures.Count(s.BlocksFound, "block"))
}
