// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum"
)

// ErrConfig is wrapped by [Listen] when a setting cannot be used.
var ErrConfig = errors.New("stratum server: bad configuration")

// Endpoint is an address to listen on.
type Endpoint struct {
	// Address as host:port; port 0 takes any that is free.
	Address string
	// CertFile and KeyFile, PEM, make it TLS. They are read once.
	CertFile, KeyFile string
}

// Config of a server. Only Endpoints, Sink and Authoriser must be set.
type Config struct {
	// Endpoints to listen on, at least one.
	Endpoints []Endpoint
	// Sink stores the shares.
	Sink Sink
	// Authoriser decides who may mine; see [AnyName].
	Authoriser Authoriser
	// MinDifficulty and MaxDifficulty that a connection is ever given, decimal
	// text, rounded inwards to powers of two; "1" and the highest there is
	// (2^60) when empty. ASICs need at least 1; a fraction lets software
	// workers in.
	MinDifficulty, MaxDifficulty string
	// StartDifficulty of a connection that suggests none, rounded up to a power
	// of two; "1024" when empty.
	StartDifficulty string
	// ShareInterval that the difficulty of a connection aims at; 5 s when 0.
	ShareInterval time.Duration
	// VersionMask of the bits that miners may roll where the upstream's job
	// lets them; BIP 320's when 0.
	VersionMask uint32
	// JobLifetime after which a job is stale though no newer one has voided
	// it, and how long a void job's blocks are still recognised; 5 min when 0.
	JobLifetime time.Duration
	// Outage is how long miners keep their work, and the connection, after the
	// session that it came from was lost while there is no other; 2 min when 0.
	// Their shares go to the sink meanwhile.
	Outage time.Duration
	// Limits against hostile and broken clients; a field that is 0 has the
	// default that is said there.
	Limits Limits
	// OnFull, when set, is told when the sessions that are open have no slot
	// left for another connection: the owner may raise an alert and open one
	// more session. It is called once when that begins, which may be before
	// anybody waits, every 10 s as long as it lasts, and once, with Full unset,
	// when there is room again; never more often than once a second. All calls
	// come from one goroutine of Run's. They may call the server, and while one
	// blocks only the next is late; Run waits for it before it returns.
	OnFull func(Room)
	// Logger of connections' ends and of trouble; silent when nil.
	Logger *slog.Logger
	// Now is the clock of shares and difficulties; time.Now when nil. Time-outs
	// of connections run by the real clock.
	Now func() time.Time
}

// Limits bound what clients can do. Each field says its default, which holds when
// it is 0; times are 1 ms at least.
type Limits struct {
	// Connections in all, and per address (IPv6: per /64); 20,000 and 4,096.
	// Further ones are closed before anything is read. A site whose miners come
	// through one router or proxy needs a PerAddress of as many.
	Connections, PerAddress int
	// LineBytes of one message, 1 KiB to 1 MiB; 8 KiB. A longer one ends the
	// connection.
	LineBytes int
	// QueuedBytes that wait for a slow reader beyond what the system buffers;
	// more, and it is dropped; 64 KiB.
	QueuedBytes int
	// SocketBytes that the system may buffer per connection and direction;
	// 32 KiB.
	SocketBytes int
	// Opening is how long a client has until it is subscribed and authorised,
	// its TLS handshake included and waiting for work not; 30 s.
	Opening time.Duration
	// Idle is how long it may take to send its next whole message after that,
	// and an eighth more before it is noticed; 10 min.
	Idle time.Duration
	// Write is how long one write may take; 10 s.
	Write time.Duration
	// Waiting is how many connections at a time may wait for the answer to their
	// subscription while there is no work or no slot for them, and Wait how long
	// each; more or longer, and they are told so and closed; 20,000 and 60 s.
	Waiting int
	Wait    time.Duration
	// MessagesPerSecond on average, and Burst above that; 200 and 4,000.
	MessagesPerSecond, Burst int
	// Malformed messages of a connection before it is dropped; 10.
	Malformed int
	// Unanswered shares of a connection that the sink may hold; 1,024.
	Unanswered int
	// SharesPerJob that the filter of duplicates remembers; 1,048,576.
	SharesPerJob int
	// Workers that may authorise on one connection; 64.
	Workers int
}

// settings are a Config with its defaults, decoded.
type settings struct {
	Config
	floor, ceiling, start *level
}

func (c Config) settings() (*settings, error) {
	fail := func(format string, args ...any) (*settings, error) {
		return nil, fmt.Errorf("%w: %w", ErrConfig, fmt.Errorf(format, args...))
	}
	switch {
	case len(c.Endpoints) == 0:
		return fail("no endpoint to listen on")
	case c.Sink == nil:
		return fail("no sink for the shares")
	case c.Authoriser == nil:
		return fail("no authoriser; AnyName lets everybody in")
	}
	for _, e := range c.Endpoints {
		if (e.CertFile == "") != (e.KeyFile == "") {
			return fail("endpoint %s: TLS needs both a certificate and a key file", e.Address)
		}
	}
	for _, d := range []duration{
		{"ShareInterval", &c.ShareInterval, 5 * time.Second}, {"JobLifetime", &c.JobLifetime, 5 * time.Minute},
		{"Outage", &c.Outage, 2 * time.Minute},
	} {
		if err := d.complete(); err != nil {
			return fail("%w", err)
		}
	}
	or(&c.VersionMask, hashengine.VersionRollingMask)
	or(&c.MinDifficulty, "1")
	or(&c.MaxDifficulty, levelOf(highestExponent).text)
	or(&c.StartDifficulty, "1024")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := c.Limits.complete(); err != nil {
		return fail("limits: %w", err)
	}
	s := &settings{Config: c}
	for _, d := range []struct {
		name, text string
		round      func(*big.Rat) *level
		to         **level
	}{
		{"MinDifficulty", c.MinDifficulty, levelAtLeast, &s.floor},
		{"MaxDifficulty", c.MaxDifficulty, levelAtMost, &s.ceiling},
		{"StartDifficulty", c.StartDifficulty, levelAtLeast, &s.start},
	} {
		exact, err := hashengine.ParseDifficulty(d.text)
		if err != nil {
			return fail("%s: %w", d.name, err)
		}
		*d.to = d.round(exact)
	}
	if s.floor.exponent > s.ceiling.exponent {
		return fail("MinDifficulty %s is above MaxDifficulty %s, as powers of two", c.MinDifficulty, c.MaxDifficulty)
	}
	s.start = levelOf(bounds{s.floor.exponent, s.ceiling.exponent}.clamp(s.start.exponent))
	return s, nil
}

// or sets a default.
func or[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}

// complete sets the defaults.
func (l *Limits) complete() error {
	for _, f := range []struct {
		name  string
		to    *int
		value int
	}{
		{"Connections", &l.Connections, 20000}, {"PerAddress", &l.PerAddress, 4096}, {"LineBytes", &l.LineBytes, 8 << 10},
		{"QueuedBytes", &l.QueuedBytes, stratum.DefaultLineLimit}, {"SocketBytes", &l.SocketBytes, 32 << 10},
		{"MessagesPerSecond", &l.MessagesPerSecond, 200}, {"Burst", &l.Burst, 4000}, {"Malformed", &l.Malformed, 10},
		{"Unanswered", &l.Unanswered, 1024}, {"SharesPerJob", &l.SharesPerJob, 1 << 20}, {"Workers", &l.Workers, 64}, {"Waiting", &l.Waiting, 20000},
	} {
		if *f.to < 0 {
			return fmt.Errorf("%s is below 0", f.name)
		}
		or(f.to, f.value)
	}
	if l.LineBytes < 1<<10 || l.LineBytes > 1<<20 {
		return fmt.Errorf("LineBytes %d: 1024 to 1048576", l.LineBytes)
	}
	for _, d := range []duration{{"Opening", &l.Opening, 30 * time.Second}, {"Idle", &l.Idle, 10 * time.Minute}, {"Write", &l.Write, 10 * time.Second}, {"Wait", &l.Wait, time.Minute}} {
		if err := d.complete(); err != nil {
			return err
		}
	}
	return nil
}

// duration is a setting with its default.
type duration struct {
	name  string
	to    *time.Duration
	value time.Duration
}

// complete sets the default. Less than a millisecond is a number whose unit was
// forgotten.
func (d duration) complete() error {
	or(d.to, d.value)
	if *d.to < time.Millisecond {
		return fmt.Errorf("%s is %s; at least 1 ms", d.name, *d.to)
	}
	return nil
}
