// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum/server"
)

// Miners are ASICs and others that connect to a gateway itself.
type Miners struct {
	// Listen on these addresses; none: nobody connects.
	Listen []Listen `yaml:"listen"`
	// File of the miners that may connect, a name and a password a line, or
	// Any: whoever can.
	File string `yaml:"file"`
	Any  bool   `yaml:"any"`
	// MinDifficulty to MaxDifficulty of a share, decimal text, and
	// StartDifficulty of a miner that suggests none. MaxDifficulty may be
	// empty: no bound.
	MinDifficulty   string `yaml:"min_difficulty"`
	MaxDifficulty   string `yaml:"max_difficulty"`
	StartDifficulty string `yaml:"start_difficulty"`
	// ShareInterval that the difficulty of each aims at.
	ShareInterval Duration `yaml:"share_interval"`
	// JobLifetime after which shares of a job are stale.
	JobLifetime Duration `yaml:"job_lifetime"`
	// Outage of the upstream that miners sit out with the work they have.
	Outage Duration `yaml:"outage"`
	// Limits against broken and hostile clients.
	Limits MinerLimits `yaml:"limits"`
}

// Listen is one address.
type Listen struct {
	// Address as host:port.
	Address string `yaml:"address"`
	// CertFile and KeyFile, PEM, make it TLS.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
}

// MinerLimits are for all addresses together; see server.Limits.
type MinerLimits struct {
	Connections           int      `yaml:"connections"`
	ConnectionsPerAddress int      `yaml:"connections_per_address"`
	Opening               Duration `yaml:"opening"`
	Idle                  Duration `yaml:"idle"`
	Write                 Duration `yaml:"write"`
	Waiting               int      `yaml:"waiting"`
	Wait                  Duration `yaml:"wait"`
	MessagesPerSecond     int      `yaml:"messages_per_second"`
	MessageBurst          int      `yaml:"message_burst"`
	Malformed             int      `yaml:"malformed"`
	LineBytes             int      `yaml:"line_bytes"`
	QueuedBytes           int      `yaml:"queued_bytes"`
	SocketBytes           int      `yaml:"socket_bytes"`
	Unanswered            int      `yaml:"unanswered"`
	SharesPerJob          int      `yaml:"shares_per_job"`
	Names                 int      `yaml:"names"`
}

func defaultMiners() Miners {
	return Miners{
		MinDifficulty: "1", StartDifficulty: "1024", ShareInterval: Duration(5 * time.Second), JobLifetime: Duration(5 * time.Minute), Outage: Duration(2 * time.Minute),
		Limits: MinerLimits{
			Connections: 20_000, ConnectionsPerAddress: 4096,
			Opening: Duration(30 * time.Second), Idle: Duration(10 * time.Minute), Write: Duration(10 * time.Second),
			Waiting: 20_000, Wait: Duration(time.Minute),
			MessagesPerSecond: 200, MessageBurst: 4000, Malformed: 10,
			LineBytes: 8 << 10, QueuedBytes: 64 << 10, SocketBytes: 32 << 10, Unanswered: 1024, SharesPerJob: 1 << 20, Names: 64,
		},
	}
}

// Validate checks the section; files are read when the gateway starts.
func (m *Miners) Validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	seen := map[string]bool{}
	for i, l := range m.Listen {
		if _, port, err := net.SplitHostPort(l.Address); err != nil {
			fail("listen[%d]: address %q: want host:port, like 10.0.0.5:3333", i, l.Address)
		} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			fail("listen[%d]: address %q: the port is no number from 0 to 65535", i, l.Address)
		} else if seen[l.Address] && port != "0" {
			fail("listen[%d]: address %s is there twice", i, l.Address)
		}
		seen[l.Address] = true
		if (l.CertFile == "") != (l.KeyFile == "") {
			fail("listen[%d]: TLS needs both a certificate and a key file", i)
		}
	}
	switch {
	case len(m.Listen) == 0 && (m.File != "" || m.Any):
		fail("who may connect is said, and not where: name an address to listen on (listen, --listen, --listen-tls)")
	case len(m.Listen) > 0 && m.Any == (m.File != ""):
		fail("say which miners may connect: those of a file (file, --miners), or any on a network of your own machines (any, --any-miner)")
	}
	lowest, err := hashengine.ParseDifficulty(m.MinDifficulty)
	if err != nil {
		fail("min_difficulty: %w", err)
	}
	if _, err := hashengine.ParseDifficulty(m.StartDifficulty); err != nil {
		fail("start_difficulty: %w", err)
	}
	if m.MaxDifficulty != "" {
		highest, err := hashengine.ParseDifficulty(m.MaxDifficulty)
		switch {
		case err != nil:
			fail("max_difficulty: %w", err)
		case lowest != nil && lowest.Cmp(highest) > 0:
			fail("min_difficulty %s is above max_difficulty %s", m.MinDifficulty, m.MaxDifficulty)
		}
	}
	l := &m.Limits
	for _, d := range []struct {
		key      string
		is       Duration
		from, to time.Duration
	}{
		{"share_interval", m.ShareInterval, 100 * time.Millisecond, 10 * time.Minute},
		{"job_lifetime", m.JobLifetime, 10 * time.Second, time.Hour},
		{"outage", m.Outage, time.Second, time.Hour},
		{"limits.opening", l.Opening, time.Second, 10 * time.Minute},
		{"limits.idle", l.Idle, 10 * time.Second, 24 * time.Hour},
		{"limits.write", l.Write, time.Second, 10 * time.Minute},
		{"limits.wait", l.Wait, time.Second, time.Hour},
	} {
		if is := time.Duration(d.is); is < d.from || is > d.to {
			fail("%s %s: %s to %s", d.key, is, d.from, d.to)
		}
	}
	for _, n := range []struct {
		key          string
		is, from, to int
	}{
		{"connections", l.Connections, 1, 1_000_000},
		{"connections_per_address", l.ConnectionsPerAddress, 1, 1_000_000},
		{"waiting", l.Waiting, 1, 1_000_000},
		{"messages_per_second", l.MessagesPerSecond, 1, 1_000_000},
		{"message_burst", l.MessageBurst, 1, 10_000_000},
		{"malformed", l.Malformed, 1, 1_000_000},
		{"line_bytes", l.LineBytes, 512, 1 << 20},
		{"queued_bytes", l.QueuedBytes, 4 << 10, 64 << 20},
		{"socket_bytes", l.SocketBytes, 4 << 10, 64 << 20},
		{"unanswered", l.Unanswered, 1, 1_000_000},
		{"shares_per_job", l.SharesPerJob, 1024, 1 << 26},
		{"names", l.Names, 1, 10_000},
	} {
		if n.is < n.from || n.is > n.to {
			fail("limits.%s %d: %d to %d", n.key, n.is, n.from, n.to)
		}
	}
	return errors.Join(errs...)
}

// Server is the configuration of the server, but for who may connect.
func (m *Miners) Server() server.Config {
	c := server.Config{
		MinDifficulty: m.MinDifficulty, MaxDifficulty: m.MaxDifficulty, StartDifficulty: m.StartDifficulty,
		ShareInterval: time.Duration(m.ShareInterval), JobLifetime: time.Duration(m.JobLifetime),
		Outage: time.Duration(m.Outage),
	}
	for _, l := range m.Listen {
		c.Endpoints = append(c.Endpoints, server.Endpoint{Address: l.Address, CertFile: l.CertFile, KeyFile: l.KeyFile})
	}
	l := &m.Limits
	c.Limits = server.Limits{
		Connections: l.Connections, PerAddress: l.ConnectionsPerAddress,
		LineBytes: l.LineBytes, QueuedBytes: l.QueuedBytes, SocketBytes: l.SocketBytes,
		Opening: time.Duration(l.Opening), Idle: time.Duration(l.Idle), Write: time.Duration(l.Write),
		Waiting: l.Waiting, Wait: time.Duration(l.Wait),
		MessagesPerSecond: l.MessagesPerSecond, Burst: l.MessageBurst, Malformed: l.Malformed,
		Unanswered: l.Unanswered, SharesPerJob: l.SharesPerJob, Workers: l.Names,
	}
	return c
}
