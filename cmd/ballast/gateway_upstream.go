// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/stratum/client"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// upstreamFlags say where a gateway's shares go.
type upstreamFlags struct {
	urls []string
	pool string

	scheme     string
	feePPM     int64
	difficulty string
	reconnect  []string
	caFile     string
	insecure   bool
	noRolling  bool

	network, address, tag string
}

func (f *upstreamFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringArrayVar(&f.urls, "upstream", nil, "`URL` of a pool or node, or @FILE that holds one a line; repeat it for failover, the first is preferred")
	fl.StringVar(&f.pool, "pool", "", "`id` of the pool in events and bookings (default: from the host of the first --upstream)")
	fl.StringVar(&f.scheme, "scheme", string(events.SchemeFPPS), "pool: how it pays: fpps, pps, pplns")
	fl.Int64Var(&f.feePPM, "fee-ppm", 0, "pool: its fee in `ppm` (20000 is 2 %)")
	fl.StringVar(&f.difficulty, "suggest-difficulty", "", "pool: share `difficulty` to ask for")
	fl.StringArrayVar(&f.reconnect, "reconnect-host", nil, "pool: `host` that it may send us to besides its own; .example.com for all below")
	fl.StringVar(&f.caFile, "upstream-ca", "", "pool: PEM `file` of certificates to trust instead of the system's")
	fl.BoolVar(&f.insecure, "upstream-insecure", false, "pool: take any certificate; whoever is on the way can take the work")
	fl.BoolVar(&f.noRolling, "no-version-rolling", false, "pool: do not ask for version rolling")
	fl.StringVar(&f.network, "network", "main", "node: `network` it must be on: "+strings.Join(coinbase.NetworkNames(), ", "))
	fl.StringVar(&f.address, "address", "", "node: `address` that blocks pay")
	fl.StringVar(&f.tag, "tag", "/ballast/", "node: text in the coinbase")
	_ = c.MarkFlagRequired("upstream")
}

// open makes the upstream, and how more connections to the same account are
// made where a pool gives each a search space of its own.
func (f *upstreamFlags) open(site, gateway string, log *slog.Logger) (upstream.Upstream, func(int) (upstream.Upstream, error), error) {
	urls, err := f.list()
	if err != nil {
		return nil, nil, err
	}
	nodes := 0
	for _, u := range urls {
		if strings.HasPrefix(u, "http://") || strings.HasPrefix(u, "https://") {
			nodes++
		}
	}
	pool := f.pool
	if pool == "" {
		pool = poolID(urls[0])
	}
	switch nodes {
	case 0:
		made := func(int) (upstream.Upstream, error) {
			return client.New(client.Config{
				Pool: pool, URLs: urls, Scheme: events.Scheme(f.scheme), FeePPM: f.feePPM, SuggestedDifficulty: f.difficulty,
				ReconnectHosts: f.reconnect, CAFile: f.caFile, InsecureTLS: f.insecure, NoVersionRolling: f.noRolling, Logger: log,
			})
		}
		up, err := made(1)
		return up, made, err
	case len(urls):
		up, err := f.node(pool, urls, site, gateway, log)
		return up, nil, err
	}
	return nil, nil, errors.New("--upstream names both pools and nodes: run a gateway for each")
}

// list is what --upstream names, files read.
func (f *upstreamFlags) list() ([]string, error) {
	var urls []string
	for _, u := range f.urls {
		name, isFile := strings.CutPrefix(u, "@")
		if !isFile {
			urls = append(urls, u)
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("upstream: %w", err)
		}
		urls = append(urls, strings.Fields(string(b))...)
	}
	if len(urls) == 0 {
		return nil, errors.New("--upstream names no pool and no node")
	}
	return urls, nil
}

func (f *upstreamFlags) node(pool string, urls []string, site, gateway string, log *slog.Logger) (upstream.Upstream, error) {
	if f.address == "" {
		return nil, errors.New("mining on a node needs the --address that blocks pay")
	}
	c := node.Config{ID: pool, Network: f.network, Address: f.address, Tag: f.tag, Log: log}
	for _, u := range urls {
		e, err := rpc.ParseEndpoint(u)
		if err != nil {
			return nil, err
		}
		c.Nodes = append(c.Nodes, e)
	}
	// Gateways of a site have different ids, so their search spaces differ.
	sum := sha256.Sum256([]byte(site + "/" + gateway))
	c.ExtranoncePrefix = sum[:4]
	return node.New(c)
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
	return firstOf(id, "pool")
}
