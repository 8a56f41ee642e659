// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
)

// gatewayFlags say what the section gateway of a configuration says, and go
// before it.
type gatewayFlags struct {
	cmd *cobra.Command
	// values of the flags that are one key of the section each.
	values  config.Gateway
	metrics string
	// What lists are made of.
	upstreams         []string
	listen, listenTLS []string
	cert, key         string
}

// gatewayFlag is a flag that stands for one key.
type gatewayFlag struct {
	name, usage string
	of          func(*config.Gateway) any
}

func gatewayKeys() []gatewayFlag {
	type g = *config.Gateway
	return []gatewayFlag{
		{"site", "`site` id", func(c g) any { return &c.Site }},
		{"id", "this gateway's `id` (a join token names it)", func(c g) any { return &c.ID }},
		{"standby", "wait while another gateway of the id runs, and take over when it ends or dies", func(c g) any { return &c.Standby }},
		{"lease-time", "`time` for which the id stays taken when its gateway falls silent", func(c g) any { return &c.LeaseTime }},
		{"shares-per-second", "`shares` wanted of one worker on the bus; never harder ones than the pool asks", func(c g) any { return &c.SharesPerSecond }},

		{"pool", "`id` of the pool in events and bookings (default: from the host of the first --upstream)", func(c g) any { return &c.Pool }},
		{"scheme", "pool: `scheme` by which it pays: fpps, pps, pplns, solo (default fpps)", func(c g) any { return &c.Scheme }},
		{"fee-ppm", "pool: its fee in `ppm` (20000 is 2 %)", func(c g) any { return (*int64)(&c.Fee) }},
		{"suggest-difficulty", "pool: share `difficulty` to ask for", func(c g) any { return &c.SuggestDifficulty }},
		{"reconnect-host", "pool: `host` that it may send us to besides its own; .example.com for all below; may be repeated", func(c g) any { return &c.ReconnectHosts }},
		{"no-version-rolling", "pool: do not ask for version rolling", func(c g) any { return &c.NoVersionRolling }},
		{"upstream-ca", "PEM `file` of certificates to trust: by a pool's connection instead of the system's, by a node's besides them", func(c g) any { return &c.TLS.CAFile }},
		{"upstream-server-name", "pool: `name` that its certificate must bear (default: the host's)", func(c g) any { return &c.TLS.ServerName }},
		{"upstream-insecure", "pool: take any certificate; whoever is on the way can take the work", func(c g) any { return &c.TLS.Insecure }},

		{"network", "node: `network` it must be on: " + strings.Join(coinbase.NetworkNames(), ", ") + " (default " + config.DefaultNetwork + ")", func(c g) any { return &c.Solo.Network }},
		{"address", "node: `address` that blocks pay", func(c g) any { return &c.Solo.Address }},
		{"tag", "node: `text` in the coinbase", func(c g) any { return &c.Solo.Tag }},
		{"data-dir", "node: `folder` in which what blocks are made of outlives the gateway; \"\" keeps it in memory only", func(c g) any { return &c.Solo.DataDir }},
		{"orphan-depth", "node: `blocks` deep that another block at its height makes a block an orphan", func(c g) any { return &c.Solo.OrphanDepth }},

		{"miners", "`file` of the miners that may connect: a line each, name and password (- for any)", func(c g) any { return &c.Miners.File }},
		{"any-miner", "whoever can connect may mine: for networks of the owner's machines only", func(c g) any { return &c.Miners.Any }},
		{"miner-min-difficulty", "miners: lowest share `difficulty`; ASICs need 1 at least, software can do with a fraction", func(c g) any { return &c.Miners.MinDifficulty }},
		{"miner-max-difficulty", "miners: highest share `difficulty` (default: no bound)", func(c g) any { return &c.Miners.MaxDifficulty }},
		{"miner-start-difficulty", "miners: share `difficulty` of one that suggests none", func(c g) any { return &c.Miners.StartDifficulty }},
		{"miner-share-interval", "miners: `time` between two shares of one, at which its difficulty aims", func(c g) any { return &c.Miners.ShareInterval }},
		{"miner-job-lifetime", "miners: `time` after which shares of a job are stale", func(c g) any { return &c.Miners.JobLifetime }},
		{"miner-outage", "miners: `time` without an upstream that they sit out with the work they have", func(c g) any { return &c.Miners.Outage }},
		{"miner-connections", "miners: most `connections` in all", func(c g) any { return &c.Miners.Limits.Connections }},
		{"miner-connections-per-address", "miners: most `connections` of one IPv4 address or IPv6 /64, so of all machines behind one NAT", func(c g) any { return &c.Miners.Limits.ConnectionsPerAddress }},
		{"miner-opening", "miners: `time` for TLS, subscribing and authorising together", func(c g) any { return &c.Miners.Limits.Opening }},
		{"miner-idle", "miners: longest `time` without a word", func(c g) any { return &c.Miners.Limits.Idle }},
		{"miner-write", "miners: longest `time` for one write to get through", func(c g) any { return &c.Miners.Limits.Write }},
		{"miner-waiting", "miners: most `connections` at a time that wait for work while there is none", func(c g) any { return &c.Miners.Limits.Waiting }},
		{"miner-wait", "miners: `time` that a connection waits for work while there is none", func(c g) any { return &c.Miners.Limits.Wait }},
		{"miner-messages-per-second", "miners: `messages` of one connection, on average", func(c g) any { return &c.Miners.Limits.MessagesPerSecond }},
		{"miner-message-burst", "miners: `messages` of one connection at once", func(c g) any { return &c.Miners.Limits.MessageBurst }},
		{"miner-malformed", "miners: malformed `messages` before a connection is closed", func(c g) any { return &c.Miners.Limits.Malformed }},
		{"miner-line-bytes", "miners: most `bytes` of one message", func(c g) any { return &c.Miners.Limits.LineBytes }},
		{"miner-queued-bytes", "miners: most `bytes` waiting for a slow reader", func(c g) any { return &c.Miners.Limits.QueuedBytes }},
		{"miner-socket-bytes", "miners: `bytes` that the system buffers per connection and direction", func(c g) any { return &c.Miners.Limits.SocketBytes }},
		{"miner-unanswered", "miners: most `shares` of a connection that wait to be stored", func(c g) any { return &c.Miners.Limits.Unanswered }},
		{"miner-shares-per-job", "miners: `shares` that the filter of duplicates remembers of a job", func(c g) any { return &c.Miners.Limits.SharesPerJob }},
		{"miner-names", "miners: most `names` authorised on one connection", func(c g) any { return &c.Miners.Limits.Names }},
	}
}

func (f *gatewayFlags) add(c *cobra.Command) {
	f.cmd = c
	f.values = config.Default().Gateway
	fl := c.Flags()
	for _, k := range gatewayKeys() {
		switch to := k.of(&f.values).(type) {
		case *string:
			fl.StringVar(to, k.name, *to, k.usage)
		case *[]string:
			fl.StringArrayVar(to, k.name, *to, k.usage)
		case *bool:
			fl.BoolVar(to, k.name, *to, k.usage)
		case *int:
			fl.IntVar(to, k.name, *to, k.usage)
		case *int64:
			fl.Int64Var(to, k.name, *to, k.usage)
		case *float64:
			fl.Float64Var(to, k.name, *to, k.usage)
		case *config.Duration:
			fl.DurationVar((*time.Duration)(to), k.name, time.Duration(*to), k.usage)
		default:
			panic(fmt.Sprintf("flag --%s is of a type that no flag can be", k.name))
		}
	}
	fl.StringVar(&f.metrics, "metrics", "", "serve Prometheus metrics on this `host:port`, path /metrics")
	fl.StringArrayVar(&f.upstreams, "upstream", nil, "`URL` of a pool or node, or @FILE that holds one a line; repeat it for failover, the first is preferred")
	fl.StringArrayVar(&f.listen, "listen", nil, "miners (ASICs and others, Stratum V1) connect to this `host:port`; may be repeated")
	fl.StringArrayVar(&f.listenTLS, "listen-tls", nil, "likewise with TLS, on this `host:port`")
	fl.StringVar(&f.cert, "tls-cert", "", "PEM `file` of the certificate of --listen-tls")
	fl.StringVar(&f.key, "tls-key", "", "PEM `file` of its key")
}

// over lays the flags that were given over the section of a configuration, and
// checks the whole. --upstream takes the place of all its upstreams, --listen
// and --listen-tls that of all its addresses.
func (f *gatewayFlags) over(g config.Gateway) (config.Gateway, error) {
	for _, k := range gatewayKeys() {
		if f.cmd.Flags().Changed(k.name) {
			reflect.ValueOf(k.of(&g)).Elem().Set(reflect.ValueOf(k.of(&f.values)).Elem())
		}
	}
	if len(f.upstreams) > 0 {
		urls, err := upstreamURLs(f.upstreams)
		if err != nil {
			return g, err
		}
		g.Upstreams = nil
		for _, u := range urls {
			g.Upstreams = append(g.Upstreams, config.Upstream{URL: u, FromFlag: true})
		}
	}
	if len(f.listenTLS) > 0 != (f.cert != "") || (f.cert != "") != (f.key != "") {
		return g, errors.New("--listen-tls, --tls-cert and --tls-key go together")
	}
	if len(f.listen)+len(f.listenTLS) > 0 {
		g.Miners.Listen = nil
	}
	for _, addr := range f.listen {
		g.Miners.Listen = append(g.Miners.Listen, config.Listen{Address: addr})
	}
	for _, addr := range f.listenTLS {
		g.Miners.Listen = append(g.Miners.Listen, config.Listen{Address: addr, CertFile: f.cert, KeyFile: f.key})
	}
	// One of the two, whichever was given, is meant instead of the file's.
	if ch := f.cmd.Flags().Changed; ch("miners") != ch("any-miner") {
		if ch("miners") {
			g.Miners.Any = false
		} else if g.Miners.Any {
			g.Miners.File = ""
		}
	}
	if len(g.Upstreams) == 0 {
		return g, errors.New("what to mine for? Name a pool or a node with --upstream, or as upstreams below gateway in the configuration")
	}
	return g, g.Validate()
}

// upstreamURLs is what --upstream names, files read.
func upstreamURLs(named []string) ([]string, error) {
	var urls []string
	for _, u := range named {
		name, isFile := strings.CutPrefix(u, "@")
		if !isFile {
			urls = append(urls, u)
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("upstream: %w", err)
		}
		before := len(urls)
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				urls = append(urls, strings.Fields(line)...)
			}
		}
		if len(urls) == before {
			return nil, fmt.Errorf("upstream: %s names no pool and no node", name)
		}
	}
	return urls, nil
}
