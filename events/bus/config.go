// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Defaults of Config.
const (
	// DefaultDuplicateWindow is how long a stream remembers message ids.
	DefaultDuplicateWindow = 5 * time.Minute
	// DefaultMaxPayload of the embedded server, bytes.
	DefaultMaxPayload = 1 << 20
	// DefaultConnectTimeout bounds one attempt to reach a server. A dead server
	// of a cluster must cost who looks for the next one no more than a part of a
	// lease, or machines go off for it.
	DefaultConnectTimeout = 5 * time.Second
)

// Durability says what an acknowledged event survives.
type Durability string

// Durabilities (bus.durability).
//
// On the embedded server both halves are set: how often the server syncs files
// and how each stream persists. On a server that is not ours only the streams
// can be set: sync_always (or sync_interval) stands in that server's own
// configuration, and its default is to sync every two minutes.
const (
	// PowerLoss: what is acknowledged by a stream that keeps facts or money
	// is on the disk (fsync); readings may lose their last moments.
	PowerLoss Durability = "power-loss"
	// ProcessCrash: what is acknowledged survives the death of the process,
	// not of the machine (sync every second).
	ProcessCrash Durability = "process-crash"
)

// Config says where the bus is and how to reach it. The zero value with a
// DataDir is an embedded server that only this process can reach.
type Config struct {
	// URL of a NATS server or a comma-separated list of a cluster's; empty
	// starts a server inside this process.
	URL string `yaml:"url"`
	// DataDir keeps the embedded server's streams and credentials. One
	// process at a time owns it. Ignored with URL.
	DataDir string `yaml:"data_dir"`
	// Listen is the host:port of the embedded server; empty means reachable
	// from inside this process only, port 0 means any free port. Other hosts
	// than loopback need credentials (Secure).
	Listen string `yaml:"listen"`
	// Advertise is the host:port under which others reach the embedded
	// server, where that is not Listen (behind NAT, in a container).
	Advertise string `yaml:"advertise"`
	// Secure makes the embedded server ask credentials of everybody. Without
	// it, whoever is on this machine has every right; join tokens are
	// accepted either way.
	Secure bool `yaml:"secure"`
	// Prefix is the first token of every subject; default
	// events.DefaultPrefix.
	Prefix string `yaml:"prefix"`
	// Name of this process, shown by the server and written into the epochs
	// it opens; [a-z0-9-]{1,64}, default "ballast".
	Name string `yaml:"name"`
	// Durability of acknowledged events; default PowerLoss.
	Durability Durability `yaml:"durability"`
	// Replicas of every stream: 1, 3 or 5; default 1. More than 1 needs a
	// cluster.
	Replicas int `yaml:"replicas"`
	// MaxPayload of the embedded server in bytes, 4096 to 8 MiB; default
	// DefaultMaxPayload.
	MaxPayload int `yaml:"max_payload"`
	// DuplicateWindow is how long streams remember message ids, 1 s to 24 h;
	// default DefaultDuplicateWindow.
	DuplicateWindow time.Duration `yaml:"duplicate_window"`
	// ConnectTimeout bounds one attempt to reach a server elsewhere; default
	// DefaultConnectTimeout.
	ConnectTimeout time.Duration `yaml:"connect_timeout"`
	// Retention bounds what streams keep.
	Retention Retention `yaml:"retention"`
	// Credentials to present; see there.
	Credentials Credentials `yaml:"credentials"`
	// TLS to use.
	TLS TLS `yaml:"tls"`
	// Logger for the server and the connection; nil discards.
	Logger *slog.Logger `yaml:"-"`
}

// Retention bounds what streams keep. Zero means the default; a negative
// bound means none.
type Retention struct {
	// CommandsAge of COMMANDS; default 7 days.
	CommandsAge time.Duration `yaml:"commands_age"`
	// JobsAge of JOBS; default 10 minutes.
	JobsAge time.Duration `yaml:"jobs_age"`
	// DeadLetterAge of DEADLETTER; default 90 days.
	DeadLetterAge time.Duration `yaml:"dead_letter_age"`
	// DeadLetterBytes of DEADLETTER; default 1 GiB.
	DeadLetterBytes int64 `yaml:"dead_letter_bytes"`
	// JournalAge and JournalBytes of JOURNAL; default 30 days and none. The
	// server never trims it: decider hosts purge behind their oldest stored
	// snapshot (JournalBound).
	JournalAge   time.Duration `yaml:"journal_age"`
	JournalBytes int64         `yaml:"journal_bytes"`
}

// Credentials name the secret to present. At most one of the fields is set;
// none means no credentials, or full rights in the process that embeds the
// server.
type Credentials struct {
	// JoinToken as `ballast join-token` prints it. It also names the servers
	// when URL is empty.
	JoinToken string `yaml:"join_token"`
	// CredsFile in the NATS format: a user JWT and its seed.
	CredsFile string `yaml:"creds_file"`
	// NKeyFile holds the seed of a user nkey.
	NKeyFile string `yaml:"nkey_file"`
}

// TLS files, PEM. For a client, CAFile is the authority it trusts and CertFile
// and KeyFile are its own certificate where the server asks for one. For the
// embedded server CertFile and KeyFile are the server's, and with CAFile it
// asks clients for certificates signed by it when VerifyClients is set.
type TLS struct {
	CAFile        string `yaml:"ca_file"`
	CertFile      string `yaml:"cert_file"`
	KeyFile       string `yaml:"key_file"`
	VerifyClients bool   `yaml:"verify_clients"`
}

// Embedded reports whether Open would start a server.
func (c Config) Embedded() bool { return c.URL == "" && c.Credentials.JoinToken == "" }

// withDefaults fills what was left zero.
func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.Prefix == "" {
		c.Prefix = events.DefaultPrefix
	}
	if c.Name == "" {
		c.Name = "ballast"
	}
	if c.Durability == "" {
		c.Durability = PowerLoss
	}
	if c.Replicas == 0 {
		c.Replicas = 1
	}
	if c.MaxPayload == 0 {
		c.MaxPayload = DefaultMaxPayload
	}
	if c.Retention.DeadLetterBytes == 0 {
		c.Retention.DeadLetterBytes = 1 << 30
	}
	def(&c.DuplicateWindow, DefaultDuplicateWindow)
	def(&c.ConnectTimeout, DefaultConnectTimeout)
	def(&c.Retention.CommandsAge, 7*24*time.Hour)
	def(&c.Retention.JobsAge, 10*time.Minute)
	def(&c.Retention.DeadLetterAge, 90*24*time.Hour)
	def(&c.Retention.JournalAge, 30*24*time.Hour)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports everything wrong with c at once, after defaults. It looks
// at no file and no network.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("bus: "+format, args...)) }
	if err := events.CheckToken("prefix", c.Prefix); err != nil {
		bad("%w", err)
	} else if len(c.Prefix)+len(replaySuffix) > events.MaxToken {
		bad("prefix %q is %d bytes long: at most %d", c.Prefix, len(c.Prefix), events.MaxToken-len(replaySuffix))
	}
	if err := events.CheckToken("name", c.Name); err != nil {
		bad("%w", err)
	}
	switch c.Durability {
	case PowerLoss, ProcessCrash:
	default:
		bad("durability %q: use %s or %s", c.Durability, PowerLoss, ProcessCrash)
	}
	switch c.Replicas {
	case 1:
	case 3, 5:
		if c.Embedded() {
			bad("replicas %d: the embedded server is one server; give the URL of a cluster", c.Replicas)
		}
	default:
		bad("replicas %d: use 1, 3 or 5", c.Replicas)
	}
	if c.MaxPayload < 4096 || c.MaxPayload > 8<<20 {
		bad("max_payload %d: use 4096 to %d bytes", c.MaxPayload, 8<<20)
	}
	if c.DuplicateWindow < time.Second || c.DuplicateWindow > 24*time.Hour {
		bad("duplicate_window %s: use 1s to 24h", c.DuplicateWindow)
	}
	if c.ConnectTimeout < 0 {
		bad("connect_timeout %s is negative", c.ConnectTimeout)
	}
	if age := c.Retention.CommandsAge; age > 0 && age < c.DuplicateWindow {
		bad("retention.commands_age %s is shorter than duplicate_window %s: hosts look into COMMANDS before they repeat a command", age, c.DuplicateWindow)
	}
	set := 0
	for _, s := range []string{c.Credentials.JoinToken, c.Credentials.CredsFile, c.Credentials.NKeyFile} {
		if s != "" {
			set++
		}
	}
	if set > 1 {
		bad("credentials: give one of join_token, creds_file and nkey_file")
	}
	if c.Credentials.JoinToken != "" {
		if _, err := ParseToken(c.Credentials.JoinToken); err != nil {
			errs = append(errs, err)
		}
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		bad("tls: cert_file and key_file come together")
	}
	if c.TLS.VerifyClients && c.TLS.CAFile == "" {
		bad("tls: verify_clients needs ca_file")
	}
	if !c.Embedded() {
		return errors.Join(errs...)
	}
	if c.DataDir == "" {
		bad("no url and no data_dir: give the URL of a NATS server, or a directory for the embedded one")
	}
	if c.Listen != "" {
		if _, err := parseListen(c.Listen); err != nil {
			errs = append(errs, err)
		}
	}
	if c.Advertise != "" {
		at, err := parseListen(c.Advertise)
		switch {
		case err != nil:
			bad("advertise: %w", err)
		case c.Listen == "":
			bad("advertise %s: the server listens nowhere; set listen", c.Advertise)
		case at.port == 0 || at.host == "0.0.0.0":
			bad("advertise %s: name the host and the port that others dial", c.Advertise)
		}
	}
	return errors.Join(errs...)
}

// endpoint is where the embedded server listens.
type endpoint struct {
	host     string
	port     int
	loopback bool
}

// parseListen reads host:port. An empty host means every interface, as it does
// for net.Listen.
func parseListen(s string) (endpoint, error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return endpoint{}, fmt.Errorf("bus: listen %q: %w; want host:port such as 127.0.0.1:4222", s, err)
	}
	port, err := net.LookupPort("tcp", p)
	if err != nil {
		return endpoint{}, fmt.Errorf("bus: listen %q: port: %w", s, err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	e := endpoint{host: host, port: port, loopback: host == "localhost"}
	if ip := net.ParseIP(host); ip != nil {
		e.loopback = ip.IsLoopback()
	}
	return e, nil
}

// servers splits URL.
func (c Config) servers() []string {
	var out []string
	for _, u := range strings.Split(c.URL, ",") {
		if u = strings.TrimSpace(u); u != "" {
			out = append(out, u)
		}
	}
	return out
}
