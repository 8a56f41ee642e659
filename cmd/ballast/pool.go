// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/tui"
	"github.com/ballast-energy/ballast/events"
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
	Site    string                `json:"site"`
	Gateway string                `json:"gateway"`
	Alive   bool                  `json:"alive"`
	Age     time.Duration         `json:"age_ns"`
	Status  *events.GatewayStatus `json:"status"`
}

func (a *app) poolStatusCommand() *cobra.Command {
	var site string
	c := &cobra.Command{
		Use:   "status",
		Short: "How each gateway stands with its pool: state, shares, hash rate",
		Long: fmt.Sprintf(`Prints the newest status of every gateway that spoke in the last minutes. A
gateway that has been silent for %s is taken for dead, and the others of its
site serve its agents. Exits 4 when a gateway is dead or its pool does not
answer.`, events.GatewaySilence),
		Example: `  ballast pool status
  ballast pool status --site tx1 --json | jq 'select(.alive) | .status.hashrate_mhs'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := a.connect(cmd.Context(), "pool")
			if err != nil {
				return err
			}
			defer closeBus(b)
			newest := map[[2]string]gatewayLine{}
			for ev, err := range events.Read[events.GatewayStatus](cmd.Context(), b, events.AtSite(site)) {
				var d *events.DecodeError
				if asDecode(err, &d) {
					continue // garbage is the inspector's
				}
				if err != nil {
					return err
				}
				age := max(time.Since(ev.Arrived), 0)
				status := ev.Data
				newest[[2]string{ev.Site, ev.Source}] = gatewayLine{
					Site: ev.Site, Gateway: ev.Source, Alive: age < events.GatewaySilence, Age: age, Status: &status,
				}
			}
			lines := make([]gatewayLine, 0, len(newest))
			for _, l := range newest {
				lines = append(lines, l)
			}
			slices.SortFunc(lines, func(x, y gatewayLine) int {
				return cmp.Or(cmp.Compare(x.Site, y.Site), cmp.Compare(x.Gateway, y.Gateway))
			})
			return a.printGateways(lines)
		},
	}
	c.Flags().StringVar(&site, "site", "", "one `site` only")
	return c
}

func (a *app) printGateways(lines []gatewayLine) error {
	p := a.printer()
	if len(lines) == 0 && !p.json {
		p.linef("no gateway has spoken in the last minutes: start one with ballast gateway, or mine for practice with ballast serve --role pool")
	}
	trouble := false
	for _, l := range lines {
		s := l.Status
		well := l.Alive && s.State == events.UpstreamReady
		trouble = trouble || !well && s.State != events.UpstreamDraining
		if p.json {
			if err := p.value(l); err != nil {
				return err
			}
			continue
		}
		state, code := string(s.State), codeGood
		switch {
		case !l.Alive:
			state, code = "silent for "+l.Age.Round(time.Second).String(), codeBad
		case s.State != events.UpstreamReady:
			code = codeWarn
		}
		p.linef("%s %s %s", p.paint(codeTitle, l.Site+" "+l.Gateway), p.paint(code, state), s.Detail)
		p.linef("  pool      %s at %s, %s of difficulty %s, block %d", s.Pool, s.Upstream, count(s.Sessions, "session"), firstOf(s.Difficulty, "none yet"), s.Height)
		p.linef("  serves    %s on the bus, %s of miners, %s", count(s.Agents, "agent"), count(s.Connections, "connection"), tui.Hashrate(s.HashrateMHs))
		waiting := s.SharesFound - s.SharesAccepted - s.SharesRejected - s.SharesUnknown
		p.linef("  shares    %d found = %d accepted + %d rejected + %d unknown + %d waiting; %s", s.SharesFound, s.SharesAccepted, s.SharesRejected, s.SharesUnknown, waiting, count(s.BlocksFound, "block"))
	}
	if trouble {
		return withCode(exitDiffers, errors.New("a gateway is silent, or its pool does not answer"))
	}
	return nil
}
