// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream/confirm"
)

// Gateway is what ballast gateway and ballast up mine for, and the miners that
// connect to it. The flags of ballast gateway go before.
type Gateway struct {
	// ID and Site of the gateway; empty where flags or a join token say it.
	ID   string `yaml:"id"`
	Site string `yaml:"site"`
	// Standby waits while another gateway of the ID runs, and takes over.
	// LeaseTime is how long the ID stays taken when its gateway falls silent.
	Standby   bool     `yaml:"standby"`
	LeaseTime Duration `yaml:"lease_time"`
	// Pool in events and bookings; empty: made from the first upstream's host.
	Pool string `yaml:"pool"`
	// Upstreams in the order of preference, all pools or all nodes.
	Upstreams []Upstream `yaml:"upstreams"`
	// Scheme by which a pool pays, FPPS when empty, and its fee.
	Scheme string `yaml:"scheme"`
	Fee    Share  `yaml:"fee"`
	// SuggestDifficulty to a pool; empty: none.
	SuggestDifficulty string `yaml:"suggest_difficulty"`
	// ReconnectHosts that a pool may send us to besides its own.
	ReconnectHosts []string `yaml:"reconnect_hosts"`
	// NoVersionRolling asks a pool for none.
	NoVersionRolling bool `yaml:"no_version_rolling"`
	// TLS with the upstreams.
	TLS UpstreamTLS `yaml:"tls"`
	// Solo mining, on nodes.
	Solo Solo `yaml:"solo"`
	// SharesPerSecond wanted of one worker on the bus.
	SharesPerSecond float64 `yaml:"shares_per_second"`
	// Miners that connect to the gateway itself.
	Miners Miners `yaml:"miners"`
}

// Upstream is one pool or node. A file holds no password: it names where the
// password is.
type Upstream struct {
	// URL without credentials: stratum+tcp://, stratum+ssl://, http:// or
	// https://, host and port.
	URL string `yaml:"url"`
	// User that logs in, and the file or the variable of the environment that
	// holds the password. A pool that takes any needs none.
	User         string `yaml:"user"`
	PasswordFile string `yaml:"password_file"`
	PasswordEnv  string `yaml:"password_env"`
	// CookieFile of Bitcoin Core, instead of user and password.
	CookieFile string `yaml:"cookie_file"`
	// FromFlag: the URL was given on the command line, and may hold
	// credentials.
	FromFlag bool `yaml:"-"`
}

// UpstreamTLS is how the certificates of upstreams are checked.
type UpstreamTLS struct {
	// CAFile of PEM certificates to trust: by a pool's connection instead of
	// the system's, by a node's besides them.
	CAFile string `yaml:"ca_file"`
	// ServerName that a pool's certificate must bear; empty: the host's.
	ServerName string `yaml:"server_name"`
	// Insecure takes any certificate of a pool.
	Insecure bool `yaml:"insecure"`
}

// Solo is mining on nodes.
type Solo struct {
	// Network that the nodes must be on; empty: main.
	Network string `yaml:"network"`
	// Address of that network that blocks pay.
	Address string `yaml:"address"`
	// Tag in the coinbase.
	Tag string `yaml:"tag"`
	// DataDir below which each gateway keeps what blocks of its jobs are made
	// of, so that one that is found while it does not run is not lost; empty:
	// in memory only.
	DataDir string `yaml:"data_dir"`
	// OrphanDepth is how many blocks deep another block at its height makes a
	// block an orphan.
	OrphanDepth int `yaml:"orphan_depth"`
}

// DefaultNetwork of nodes.
const DefaultNetwork = "main"

func defaultGateway() Gateway {
	return Gateway{
		LeaseTime: Duration(gateway.DefaultLeaseTime),
		Solo:      Solo{Tag: "/ballast/", DataDir: "data/gateways", OrphanDepth: confirm.DefaultOrphan}, SharesPerSecond: gateway.DefaultSharesPerSecond, Miners: defaultMiners(),
	}
}

// Given reports whether anything of the section is set.
func (g *Gateway) Given() bool { return !reflect.DeepEqual(*g, defaultGateway()) }

// OnNodes reports whether the upstreams are nodes. Validate has found them all
// of one kind.
func (g *Gateway) OnNodes() bool { return len(g.Upstreams) > 0 && g.Upstreams[0].isNode() }

// Basis of what its shares are worth: coins of networks for tests are worth
// nothing.
func (g *Gateway) Basis() events.Basis {
	if !g.OnNodes() {
		return events.BasisLive
	}
	if n, err := coinbase.NetworkByName(g.Solo.NetworkName()); err == nil && !n.Money {
		return events.BasisPractice
	}
	return events.BasisLive
}

// NetworkName is the network, the default's where none is named.
func (s *Solo) NetworkName() string {
	if s.Network == "" {
		return DefaultNetwork
	}
	return s.Network
}

// Validate checks what can be known without the machine, the files named and
// the network.
func (g *Gateway) Validate() error {
	var errs []error
	for _, t := range []struct{ key, value string }{{"id", g.ID}, {"site", g.Site}, {"pool", g.Pool}} {
		if t.value != "" {
			errs = append(errs, events.CheckToken(t.key, t.value))
		}
	}
	nodes := 0
	for i := range g.Upstreams {
		u := &g.Upstreams[i]
		if u.isNode() {
			nodes++
		}
		if err := u.validate(); err != nil {
			errs = append(errs, fmt.Errorf("upstreams[%d]: %w", i, err))
		}
	}
	switch {
	case len(g.Upstreams) == 0:
	case nodes == 0:
		errs = append(errs, g.validatePool())
	case nodes == len(g.Upstreams):
		errs = append(errs, g.validateSolo())
	default:
		errs = append(errs, errors.New("upstreams are both pools and nodes: run a gateway for each"))
	}
	if !(g.SharesPerSecond > 0 && g.SharesPerSecond <= maxSharesPerSecond) {
		errs = append(errs, fmt.Errorf("shares_per_second %v: above 0, at most %d", g.SharesPerSecond, maxSharesPerSecond))
	}
	if l := time.Duration(g.LeaseTime); l < leastLeaseTime || l > mostLeaseTime {
		errs = append(errs, fmt.Errorf("lease_time %s: %s to %s", l, leastLeaseTime, mostLeaseTime))
	}
	if err := g.Miners.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("miners: %w", err))
	}
	return errors.Join(errs...)
}

const (
	maxSharesPerSecond = 10_000
	// Below, the pauses of a busy machine would cost the lease; above, nobody
	// wants to wait.
	leastLeaseTime, mostLeaseTime = time.Second, 5 * time.Minute
)

// validatePool checks what only pools have, and that nothing is set that would
// do nothing.
func (g *Gateway) validatePool() error {
	var errs []error
	switch s := events.Scheme(g.Scheme); s {
	case "", events.SchemeFPPS, events.SchemePPS, events.SchemePPLNS, events.SchemeSolo:
	default:
		errs = append(errs, fmt.Errorf("scheme %q: fpps, pps, pplns or solo", g.Scheme))
	}
	if g.Fee < 0 || g.Fee > 1_000_000 {
		errs = append(errs, fmt.Errorf("fee %s (%d ppm): 0%% to 100%%", g.Fee, int64(g.Fee)))
	}
	if g.SuggestDifficulty != "" {
		if _, err := stratum.PlainDifficulty([]byte(g.SuggestDifficulty)); err != nil {
			errs = append(errs, fmt.Errorf("suggest_difficulty: %w", err))
		}
	}
	for _, h := range g.ReconnectHosts {
		if strings.Trim(h, ".") == "" || strings.ContainsAny(h, "/@ ") {
			errs = append(errs, fmt.Errorf("reconnect host %q: a host like eu.pool.example, or .pool.example for all below", h))
		}
	}
	if g.Solo.Network != "" || g.Solo.Address != "" {
		errs = append(errs, errors.New("solo.network and solo.address are for nodes (http://, https://): a pool pays whom its account names"))
	}
	if d := defaultGateway().Solo; g.Solo.DataDir != d.DataDir || g.Solo.OrphanDepth != d.OrphanDepth {
		errs = append(errs, errors.New("solo.data_dir and solo.orphan_depth are for nodes: leave them out for a pool"))
	}
	return errors.Join(errs...)
}

// validateSolo is the like for nodes.
func (g *Gateway) validateSolo() error {
	var errs []error
	for _, o := range []struct {
		key string
		set bool
	}{
		{"scheme", g.Scheme != ""}, {"fee", g.Fee != 0}, {"suggest_difficulty", g.SuggestDifficulty != ""},
		{"reconnect_hosts", len(g.ReconnectHosts) > 0}, {"no_version_rolling", g.NoVersionRolling},
		{"tls.server_name", g.TLS.ServerName != ""}, {"tls.insecure", g.TLS.Insecure},
	} {
		if o.set {
			errs = append(errs, fmt.Errorf("%s is for pools (stratum+tcp://, stratum+ssl://): leave it out on a node", o.key))
		}
	}
	network, err := coinbase.NetworkByName(g.Solo.NetworkName())
	switch {
	case err != nil:
		errs = append(errs, err)
	case g.Solo.Address == "":
		errs = append(errs, errors.New("mining on a node needs the address that blocks pay (solo.address, --address)"))
	default:
		_, err = network.PayoutScript(g.Solo.Address)
		errs = append(errs, err)
	}
	if g.Solo.OrphanDepth < 1 || g.Solo.OrphanDepth > confirm.DefaultMature {
		errs = append(errs, fmt.Errorf("solo.orphan_depth %d: 1 to %d blocks", g.Solo.OrphanDepth, confirm.DefaultMature))
	}
	if g.TLS.CAFile != "" {
		for i, u := range g.Upstreams {
			if !strings.HasPrefix(u.URL, "https://") {
				errs = append(errs, fmt.Errorf("tls.ca_file is of use with https only, and upstreams[%d] is without", i))
			}
		}
	}
	return errors.Join(errs...)
}

func (u *Upstream) isNode() bool {
	return strings.HasPrefix(u.URL, "http://") || strings.HasPrefix(u.URL, "https://")
}

const upstreamForm = "want stratum+tcp://host:port or stratum+ssl://host:port of a pool, http://host:port or https://host:port of a node"

// validate checks one upstream. No error repeats a password.
func (u *Upstream) validate() error {
	if u.URL == "" {
		return errors.New("the url is missing: " + upstreamForm)
	}
	at, err := url.Parse(u.URL)
	if err != nil {
		// The parser's error repeats the text.
		return errors.New("url: it cannot be read as a URL (are / @ : ? # % in a password written as %2F %40 %3A %3F %23 %25?); " + upstreamForm)
	}
	switch at.Scheme {
	case "stratum+tcp", "stratum+ssl", "stratum+tls":
		return u.validatePool(at)
	case "http", "https":
		return u.validateNode(at)
	}
	return fmt.Errorf("url: scheme %q; %s", at.Scheme, upstreamForm)
}

var errCredentials = errors.New("url: credentials do not belong there: write the user as user, and name the file or the variable with the password as password_file or password_env")

func (u *Upstream) validatePool(at *url.URL) error {
	if p, err := strconv.ParseUint(at.Port(), 10, 16); at.Hostname() == "" || err != nil || p == 0 {
		return errors.New("url: host or port is missing; " + upstreamForm)
	}
	if at.Path != "" && at.Path != "/" || at.RawQuery != "" || at.Fragment != "" {
		return errors.New("url: something follows the port; " + upstreamForm)
	}
	if u.FromFlag {
		if at.User.Username() == "" {
			return errors.New("the user of the pool is missing: want stratum+tcp://account.worker:password@host:port")
		}
		return nil
	}
	switch {
	case at.User != nil:
		return errCredentials
	case u.User == "":
		return errors.New("the user of the pool is missing, like account.worker")
	case u.CookieFile != "":
		return errors.New("cookie_file is for nodes")
	}
	return u.validatePassword()
}

func (u *Upstream) validateNode(at *url.URL) error {
	if _, err := rpc.ParseEndpoint(u.URL); err != nil {
		return err
	}
	if u.FromFlag {
		return nil
	}
	switch {
	case at.User != nil:
		return errCredentials
	case at.RawQuery != "":
		return errors.New("url: something follows the port: options are keys of their own (cookie_file; tls.ca_file)")
	case u.CookieFile != "" && (u.User != "" || u.PasswordFile != "" || u.PasswordEnv != ""):
		return errors.New("give cookie_file, or user with a password, not both")
	case u.CookieFile == "" && u.User == "":
		return errors.New("a node wants user with password_file or password_env, or the cookie_file of Bitcoin Core")
	case u.CookieFile == "" && u.PasswordFile == "" && u.PasswordEnv == "":
		return errors.New("the password is missing: name password_file or password_env")
	}
	return u.validatePassword()
}

func (u *Upstream) validatePassword() error {
	if u.PasswordFile != "" && u.PasswordEnv != "" {
		return errors.New("give password_file or password_env, not both")
	}
	return nil
}

// Shown is the URL without credentials.
func (u *Upstream) Shown() string {
	at, err := url.Parse(u.URL)
	if err != nil {
		return "a URL that cannot be read"
	}
	return (&url.URL{Scheme: at.Scheme, Host: at.Host}).String()
}
