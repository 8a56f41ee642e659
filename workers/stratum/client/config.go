// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum"
)

// DefaultUserAgent is how the client names itself to pools.
const DefaultUserAgent = "ballast/1.0"

// Config of a Client.
type Config struct {
	// Pool names the pool in payouts: [a-z0-9-]{1,64}.
	Pool string
	// URLs in the order of preference, at least one:
	// stratum+tcp://account.worker:password@host:port, or stratum+ssl for TLS.
	// The password may be left out; it is then "x".
	URLs []string
	// Scheme by which the pool pays, default FPPS, and its fee, 0 to 1,000,000
	// millionths. The protocol tells neither.
	Scheme events.Scheme
	FeePPM int64
	// Basis of the value; default live.
	Basis events.Basis
	// UserAgent sent on subscribing; default DefaultUserAgent. Some pools
	// choose the first difficulty by it.
	UserAgent string
	// SuggestedDifficulty asked of the pool (mining.suggest_difficulty), and
	// MinimumDifficulty (BIP 310), a decimal above 0 of at most 30 digits on a
	// side of the point; empty asks for nothing. Pools are free to ignore both.
	SuggestedDifficulty string
	MinimumDifficulty   string
	// VersionMask of the header bits that we can roll (BIP 320); default
	// 1fffe000. What the pool grants of it is in every job.
	VersionMask uint32
	// NoVersionRolling leaves mining.configure out, for pools that take offence.
	NoVersionRolling bool
	// ReconnectHosts that the pool may send us to with client.reconnect,
	// besides the hosts of URLs and those of the same registrable domain.
	// ".pool.example" allows every host below pool.example. Orders to anywhere
	// else are refused, and none ever leads from TLS to a connection without.
	ReconnectHosts []string
	// CAFile with PEM certificates that TLS trusts instead of the system's.
	CAFile string
	// ServerName that the certificate must bear instead of the URL's host.
	ServerName string
	// InsecureTLS takes any certificate: whoever is on the way can then take
	// the work. Every connection so made is logged as a warning.
	InsecureTLS bool
	// Timing; zero fields have the defaults.
	Timing Timing
	// Logger; nil discards.
	Logger *slog.Logger
}

// Timing of a Client. The defaults are what pools are known to bear.
type Timing struct {
	// Connect bounds a connection with its TLS handshake; default 10 s.
	Connect time.Duration
	// Reply bounds the wait for the reply to a share, to the subscription, and
	// for a write to get through; default 30 s.
	Reply time.Duration
	// Grace for the replies to configure and authorize, after which the session
	// goes on without them; default 5 s.
	Grace time.Duration
	// FirstJob without a job makes the client speak again, as some pools wait
	// for that; default 5 s. NoJob after that makes it reconnect; default 15 s.
	FirstJob time.Duration
	NoJob    time.Duration
	// Silence without a job makes it reconnect; default 5 min.
	Silence time.Duration
	// FirstPause and LongestPause bound the pauses between tries: 0 to
	// FirstPause at first, doubling up to 0 to LongestPause; default 1 s and
	// 60 s. Settled is how long a session must live for its end not to count as
	// a failure; default 60 s.
	FirstPause, LongestPause, Settled time.Duration
	// Rest is the longest that a URL is left alone whose pool refuses our
	// account: LongestPause at first, doubling with every refusal up to Rest;
	// default 15 min, and never below LongestPause.
	Rest time.Duration
	// Probe is how often the first URL is tried while another serves; default
	// 3 min.
	Probe time.Duration
	// Drain bounds the wait for outstanding replies before the client closes a
	// connection itself; default 2 s.
	Drain time.Duration
	// Keepalive of TCP; default 30 s.
	Keepalive time.Duration
}

func (t Timing) withDefaults() (Timing, error) {
	for _, f := range []struct {
		name string
		at   *time.Duration
		def  time.Duration
	}{
		{"Connect", &t.Connect, 10 * time.Second}, {"Reply", &t.Reply, 30 * time.Second}, {"Grace", &t.Grace, 5 * time.Second},
		{"FirstJob", &t.FirstJob, 5 * time.Second}, {"NoJob", &t.NoJob, 15 * time.Second}, {"Silence", &t.Silence, 5 * time.Minute},
		{"FirstPause", &t.FirstPause, time.Second}, {"LongestPause", &t.LongestPause, time.Minute}, {"Settled", &t.Settled, time.Minute},
		{"Rest", &t.Rest, max(15*time.Minute, t.LongestPause)},
		{"Probe", &t.Probe, 3 * time.Minute}, {"Drain", &t.Drain, 2 * time.Second}, {"Keepalive", &t.Keepalive, 30 * time.Second},
	} {
		switch {
		case *f.at < 0:
			return t, fmt.Errorf("timing %s of %s is negative; leave it 0 for the default of %s", f.name, *f.at, f.def)
		case *f.at == 0:
			*f.at = f.def
		}
	}
	if t.LongestPause < t.FirstPause {
		return t, fmt.Errorf("timing LongestPause %s is below FirstPause %s", t.LongestPause, t.FirstPause)
	}
	if t.Rest < t.LongestPause {
		return t, fmt.Errorf("timing Rest %s is below LongestPause %s", t.Rest, t.LongestPause)
	}
	return t, nil
}

var poolID = regexp.MustCompile(`^[a-z0-9-]{1,64}$`)

// withDefaults checks and completes the configuration. No error quotes a URL,
// which holds a password.
func (c Config) withDefaults() (Config, error) {
	var err error
	if !poolID.MatchString(c.Pool) {
		return c, fmt.Errorf("pool id %q: want 1 to 64 of a-z 0-9 and -", c.Pool)
	}
	if len(c.URLs) == 0 {
		return c, errors.New("no pool URL; give at least one, as stratum+tcp://account.worker:x@host:3333")
	}
	switch c.Scheme {
	case "":
		c.Scheme = events.SchemeFPPS
	case events.SchemeFPPS, events.SchemePPS, events.SchemePPLNS, events.SchemeSolo:
	default:
		return c, fmt.Errorf("payout scheme %q is none of fpps, pps, pplns, solo", c.Scheme)
	}
	if c.FeePPM < 0 || c.FeePPM > 1_000_000 {
		return c, fmt.Errorf("pool fee of %d ppm is outside 0 to 1000000", c.FeePPM)
	}
	switch c.Basis {
	case "":
		c.Basis = events.BasisLive
	case events.BasisLive, events.BasisPractice:
	default:
		return c, fmt.Errorf("basis %q is none of live, practice: a pool takes no modelled shares", c.Basis)
	}
	if c.UserAgent == "" {
		c.UserAgent = DefaultUserAgent
	}
	for _, d := range []*string{&c.SuggestedDifficulty, &c.MinimumDifficulty} {
		if *d == "" {
			continue
		}
		if *d, err = stratum.PlainDifficulty([]byte(*d)); err != nil {
			return c, err
		}
	}
	if c.VersionMask == 0 {
		c.VersionMask = hashengine.VersionRollingMask
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Timing, err = c.Timing.withDefaults()
	return c, err
}
