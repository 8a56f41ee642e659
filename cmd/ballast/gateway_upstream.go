// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/stratum/client"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// connections are an upstream, and how more connections to the same account are
// made where a pool gives each a search space of its own.
type connections struct {
	upstream.Upstream
	another func(int) (upstream.Upstream, error)
}

// upstreamPlan is all that is needed of a configuration to connect, passwords
// included, but for who we are.
type upstreamPlan struct {
	pool client.Config
	node *node.Config // nil: a pool
}

// planUpstream reads the passwords of a section that is valid.
func (a *app) planUpstream(g *config.Gateway, log *slog.Logger) (*upstreamPlan, error) {
	id := g.Pool
	if id == "" {
		id = poolID(g.Upstreams[0].URL)
	}
	if g.OnNodes() {
		p := &upstreamPlan{node: &node.Config{ID: id, Network: g.Solo.NetworkName(), Address: g.Solo.Address, Tag: g.Solo.Tag, Dir: g.Solo.DataDir, Log: log}}
		for i := range g.Upstreams {
			u := &g.Upstreams[i]
			e, err := rpc.ParseEndpoint(u.URL)
			if err != nil {
				return nil, err
			}
			if e.CAFile == "" {
				e.CAFile = g.TLS.CAFile
			}
			if !u.FromFlag {
				e.User, e.CookieFile = u.User, u.CookieFile
				if e.Password, err = a.password(u); err != nil {
					return nil, fmt.Errorf("upstreams[%d]: %w", i, err)
				}
			}
			p.node.Nodes = append(p.node.Nodes, e)
		}
		return p, nil
	}
	p := &upstreamPlan{pool: client.Config{
		Pool: id, Scheme: events.Scheme(g.Scheme), FeePPM: int64(g.Fee), SuggestedDifficulty: g.SuggestDifficulty,
		ReconnectHosts: g.ReconnectHosts, CAFile: g.TLS.CAFile, ServerName: g.TLS.ServerName, InsecureTLS: g.TLS.Insecure,
		NoVersionRolling: g.NoVersionRolling, Logger: log,
	}}
	for i := range g.Upstreams {
		u := &g.Upstreams[i]
		text := u.URL
		if !u.FromFlag {
			password, err := a.password(u)
			if err != nil {
				return nil, fmt.Errorf("upstreams[%d]: %w", i, err)
			}
			at, err := url.Parse(u.URL)
			if err != nil {
				return nil, fmt.Errorf("upstreams[%d]: the url cannot be read", i)
			}
			at.User = url.User(u.User)
			if password != "" {
				at.User = url.UserPassword(u.User, password)
			}
			text = at.String()
		}
		p.pool.URLs = append(p.pool.URLs, text)
	}
	return p, nil
}

// password that a section names the place of, or empty where it names none.
func (a *app) password(u *config.Upstream) (string, error) {
	switch {
	case u.PasswordEnv != "":
		password := a.env(u.PasswordEnv)
		if password == "" {
			return "", fmt.Errorf("password_env: the variable %s is not set, or empty", u.PasswordEnv)
		}
		return password, nil
	case u.PasswordFile != "":
		b, err := os.ReadFile(u.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("password_file: %w", err)
		}
		password := strings.TrimRight(string(b), "\r\n")
		if password == "" || strings.ContainsAny(password, "\r\n") {
			return "", fmt.Errorf("password_file: %s has to hold one line, the password", u.PasswordFile)
		}
		return password, nil
	}
	return "", nil
}

// open makes the upstream; it does not connect yet.
func (p *upstreamPlan) open(site, gateway string) (*connections, error) {
	if p.node == nil {
		made := func(int) (upstream.Upstream, error) { return client.New(p.pool) }
		up, err := made(1)
		if err != nil {
			return nil, err
		}
		return &connections{up, made}, nil
	}
	// Gateways of a site have different ids, so their search spaces differ.
	sum := sha256.Sum256([]byte(site + "/" + gateway))
	c := *p.node
	c.ExtranoncePrefix = sum[:4]
	if c.Dir != "" {
		c.Dir = filepath.Join(c.Dir, site, gateway)
	}
	up, err := node.New(c)
	if err != nil {
		return nil, err
	}
	return &connections{up, nil}, nil
}

// poolID makes an id of a URL's host: letters, digits and dashes.
func poolID(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" {
		return "pool"
	}
	id := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(u.Hostname())), "-")
	if len(id) > 64 {
		id = strings.TrimRight(id[:64], "-")
	}
	return cmp.Or(id, "pool")
}
