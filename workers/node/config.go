// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/node/rpc"
)

// Lengths of extranonces, bytes.
const (
	// Extranonce2Bytes that a job leaves to the gateway.
	Extranonce2Bytes = 8
	// MaxExtranoncePrefix of a configuration.
	MaxExtranoncePrefix = 8
	// sessionBytes behind the prefix tell sessions apart.
	sessionBytes = 4
)

// Defaults of a Config.
const (
	DefaultRefresh      = 30 * time.Second
	DefaultGrace        = 2 * time.Minute
	DefaultSubmitFor    = 10 * time.Minute
	DefaultPrimaryRetry = 5 * time.Minute
	DefaultKeep         = 64
)

// Config describes solo mining on one or several nodes of a network.
type Config struct {
	// ID names the node in payouts: [a-z0-9-]{1,64}.
	ID string
	// Nodes in order of preference, one at least. Templates come from the
	// first that can be had; blocks go to all of them.
	Nodes []rpc.Endpoint
	// Network that the nodes must be on: a name of coinbase.NetworkNames.
	Network string
	// Address that blocks pay, of that network.
	Address string
	// Tag in the coinbase, for who looks at the chain; may be empty. There is
	// room for 50 bytes at least.
	Tag string
	// ExtranoncePrefix that no other gateway paying the same address has, 0 to
	// 8 bytes: search spaces of gateways with different prefixes are disjoint.
	ExtranoncePrefix []byte
	// Basis of the value of a share. Empty means live on the main network and
	// practice on those for tests, whose coins are worth nothing.
	Basis events.Basis

	// Refresh is the longest time between two templates, however little the
	// node has to say. 0 means DefaultRefresh.
	Refresh time.Duration
	// Grace is how long a session outlives the last answer of its node, if
	// there is no other node to go to. 0 means DefaultGrace.
	Grace time.Duration
	// SubmitFor is how long a block is sent again and again when no node
	// answers. 0 means DefaultSubmitFor.
	SubmitFor time.Duration
	// PrimaryRetry is how often the first node is tried while another serves.
	// 0 means DefaultPrimaryRetry.
	PrimaryRetry time.Duration
	// Keep is the number of templates from which blocks can still be made.
	// They share their transactions. 0 means DefaultKeep.
	Keep int
	// Dir is a folder of this gateway's own in which the transactions of as
	// many templates are kept, and blocks that no node has answered, so that
	// both outlive the process. It is made when it is not there, and holds
	// shelf.DefaultMaxBytes at most besides the blocks. Empty: memory only.
	Dir string
	// Log for what does not concern the sink. nil discards it.
	Log *slog.Logger
}

// ErrConfig is wrapped by what New refuses.
var ErrConfig = errors.New("solo mining cannot be set up")

var idForm = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

func (c *Config) setDefaults() {
	for _, d := range []struct {
		to      *time.Duration
		without time.Duration
	}{{&c.Refresh, DefaultRefresh}, {&c.Grace, DefaultGrace}, {&c.SubmitFor, DefaultSubmitFor}, {&c.PrimaryRetry, DefaultPrimaryRetry}} {
		if *d.to == 0 {
			*d.to = d.without
		}
	}
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	if c.Log == nil {
		c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
}

// check returns the network and the script that pays the address.
func (c *Config) check() (network coinbase.Network, payout []byte, err error) {
	fail := func(err error) (coinbase.Network, []byte, error) {
		return coinbase.Network{}, nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	switch {
	case !idForm.MatchString(c.ID):
		return fail(fmt.Errorf("id %.80q: want 1 to 64 of a-z, 0-9 and -", c.ID))
	case len(c.Nodes) == 0:
		return fail(errors.New("no node given"))
	case len(c.ExtranoncePrefix) > MaxExtranoncePrefix:
		return fail(fmt.Errorf("extranonce prefix of %d bytes, %d at most", len(c.ExtranoncePrefix), MaxExtranoncePrefix))
	case c.Refresh < 0 || c.Grace < 0 || c.SubmitFor < 0 || c.PrimaryRetry < 0 || c.Keep < 0:
		return fail(errors.New("a duration or number is negative"))
	}
	if network, err = coinbase.NetworkByName(c.Network); err != nil {
		return fail(err)
	}
	if payout, err = network.PayoutScript(c.Address); err != nil {
		return fail(err)
	}
	for _, b := range []byte(c.Tag) {
		if b < ' ' || b > '~' {
			return fail(fmt.Errorf("tag %.80q: want printable ASCII", c.Tag))
		}
	}
	if c.Basis == "" {
		if c.Basis = events.BasisPractice; network.Money {
			c.Basis = events.BasisLive
		}
	}
	// The greatest height takes the most room.
	_, err = coinbase.Build(coinbase.Spec{
		Height: maxHeight, Payout: payout, Tag: c.Tag,
		Extranonce1Bytes: len(c.ExtranoncePrefix) + sessionBytes, Extranonce2Bytes: Extranonce2Bytes,
	})
	if err != nil {
		return fail(err)
	}
	return network, payout, nil
}
