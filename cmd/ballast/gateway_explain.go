// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
)

// gatewayExplained is a section gateway as JSON: no password, only where it is.
type gatewayExplained struct {
	ID        string              `json:"id,omitempty"`
	Site      string              `json:"site,omitempty"`
	Pool      string              `json:"pool,omitempty"`
	Kind      string              `json:"kind,omitempty"`
	Upstreams []upstreamExplained `json:"upstreams"`
	Scheme    events.Scheme       `json:"scheme,omitempty"`
	FeePPM    int64               `json:"fee_ppm"`
	Network   string              `json:"network,omitempty"`
	Address   string              `json:"address,omitempty"`
	Listens   []listenExplained   `json:"listens"`
	Miners    string              `json:"miners,omitempty"`
	Limits    map[string]any      `json:"limits,omitempty"`
}

type upstreamExplained struct {
	URL      string `json:"url"`
	User     string `json:"user,omitempty"`
	Password string `json:"password"`
}

type listenExplained struct {
	Address string `json:"address"`
	TLS     bool   `json:"tls"`
}

// explainGateway explains a section.
func explainGateway(g *config.Gateway) gatewayExplained {
	e := gatewayExplained{ID: g.ID, Site: g.Site, Pool: g.Pool, FeePPM: int64(g.Fee), Upstreams: []upstreamExplained{}, Listens: []listenExplained{}}
	for i := range g.Upstreams {
		u := &g.Upstreams[i]
		e.Upstreams = append(e.Upstreams, upstreamExplained{URL: u.Shown(), User: u.User, Password: passwordPlace(u)})
	}
	switch {
	case len(g.Upstreams) == 0:
	case g.OnNodes():
		e.Kind, e.Network, e.Address, e.Scheme = "node", g.Solo.NetworkName(), g.Solo.Address, events.SchemeSolo
	default:
		e.Kind, e.Scheme = "pool", events.Scheme(cmp.Or(g.Scheme, string(events.SchemeFPPS)))
	}
	if len(e.Upstreams) > 0 && e.Pool == "" {
		e.Pool = poolID(g.Upstreams[0].URL)
	}
	m := &g.Miners
	for _, l := range m.Listen {
		e.Listens = append(e.Listens, listenExplained{l.Address, l.CertFile != ""})
	}
	if len(m.Listen) > 0 {
		e.Miners = "those of " + m.File
		if m.Any {
			e.Miners = "whoever can connect"
		}
		e.Limits = map[string]any{
			"connections": m.Limits.Connections, "connections_per_address": m.Limits.ConnectionsPerAddress,
			"opening_seconds": m.Limits.Opening.Seconds(), "idle_seconds": m.Limits.Idle.Seconds(),
		}
	}
	return e
}

// passwordPlace says where a password comes from.
func passwordPlace(u *config.Upstream) string {
	switch {
	case u.CookieFile != "":
		return "cookie " + u.CookieFile
	case u.PasswordFile != "":
		return "file " + u.PasswordFile
	case u.PasswordEnv != "":
		return "variable " + u.PasswordEnv
	}
	return "x"
}

// gateway explains a section to a person, when there is one.
func (p *printer) gateway(g *config.Gateway) {
	if !g.Given() {
		return
	}
	e := explainGateway(g)
	p.linef("  gateway %s of site %s", cmp.Or(e.ID, "(named by --id or a token)"), cmp.Or(e.Site, "(named by --site or a token)"))
	if e.Kind == "" {
		p.linef("    no upstreams: ballast gateway needs --upstream, ballast up refuses this")
	}
	for i, u := range e.Upstreams {
		rank := "mines for " + e.Pool + " at"
		if i > 0 {
			rank = "then at"
		}
		login := "with " + u.Password
		if u.User != "" {
			login = "as " + u.User + ", password: " + u.Password
		}
		p.linef("    %s %s %s", rank, u.URL, login)
	}
	switch e.Kind {
	case "pool":
		p.linef("    paid by %s, fee %s (%d ppm)", e.Scheme, g.Fee, e.FeePPM)
	case "node":
		p.linef("    blocks of %s pay %s", e.Network, e.Address)
	}
	for _, l := range e.Listens {
		secure := ""
		if l.TLS {
			secure = " with TLS"
		}
		p.linef("    miners connect to %s%s: %s", l.Address, secure, e.Miners)
	}
	if len(e.Listens) > 0 {
		m := &g.Miners
		most := "no bound"
		if m.MaxDifficulty != "" {
			most = m.MaxDifficulty
		}
		p.linef("    difficulty from %s, at first %s, at most %s, aiming at a share every %s", m.MinDifficulty, m.StartDifficulty, most, time.Duration(m.ShareInterval))
		p.linef("    at most %s, %d of one address; opening within %s, a word every %s", figures.Count(int64(m.Limits.Connections), "connection"), m.Limits.ConnectionsPerAddress,
			time.Duration(m.Limits.Opening), time.Duration(m.Limits.Idle))
	}
	if g.TLS.Insecure {
		p.linef("    %s", p.paint(codeWarn, fmt.Sprintf("no certificate is checked (tls.insecure): whoever is on the way can take the work of %s", cmp.Or(e.Pool, "the pool"))))
	}
}
