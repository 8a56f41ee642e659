// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// Dial makes another, independent connection to the same bus under its own
// name: over TCP where the server listens, else inside the process. Zero
// credentials repeat those of b. Closing it leaves b and the server alone.
func (b *Bus) Dial(ctx context.Context, name string, creds Credentials) (*Bus, error) {
	c := b.cfg
	c.Name = name
	if creds != (Credentials{}) {
		c.Credentials = creds
	}
	if b.server == nil {
		if err := c.Validate(); err != nil {
			return nil, err
		}
		return connect(ctx, c, nil, nil)
	}
	via := &embedded{srv: b.server, auth: b.auth}
	if creds == (Credentials{}) || c.Listen == "" {
		return connect(ctx, c, via, nil)
	}
	c.URL = b.server.ClientURL()
	return connect(ctx, c, nil, nil)
}

// inProcessTimeout bounds an attempt to reach the server of this process; the
// caller's context ends it sooner.
const inProcessTimeout = 10 * time.Minute

// connect makes the connection: to e inside the process, or to c's servers.
// extra options come last.
func connect(ctx context.Context, c Config, e *embedded, extra []nats.Option) (*Bus, error) {
	log := c.Logger.With("connection", c.Name)
	closed := make(chan struct{})
	opts := []nats.Option{
		nats.Name(c.Name),
		nats.Timeout(c.ConnectTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, time.Second),
		// Nothing is sent late behind the publisher's back: while the bus is
		// away a publish fails at once and its owner decides.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		// What nobody reads within this is cut off at Close.
		nats.DrainTimeout(5 * time.Second),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("bus connection lost", "error", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("bus connection is back", "url", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), readerDomain+".API.CONSUMER.DELETE.") {
				return // a viewer's consumers go by themselves when unused
			}
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("bus", "error", err, "subject", subject)
		}),
	}
	id, creds, err := c.credentials(e)
	if err != nil {
		return nil, err
	}
	opts = append(opts, creds...)
	url := c.URL
	switch {
	case e != nil:
		// Nobody is on the way to a server within the process: one that does
		// not answer waits for a processor, as the caller does.
		opts = append(opts, nats.InProcessServer(e.srv), nats.Timeout(inProcessTimeout))
		url = nats.DefaultURL // unused inside the process
	case url == "":
		url = id.servers
	}
	if e == nil {
		t, err := clientTLS(c.TLS, id.ca)
		if err != nil {
			return nil, err
		}
		if t != nil {
			opts = append(opts, nats.Secure(t))
		}
	}
	nc, err := dial(ctx, url, append(opts, extra...))
	if err != nil {
		return nil, explain(err, c, url)
	}
	domain := "" // the plain API
	if roleTable[id.Role].aside {
		domain = readerDomain
	}
	jsOpts := []jetstream.JetStreamOpt{jetstream.WithPublishAsyncMaxPending(4096), jetstream.WithDefaultTimeout(10 * time.Second)}
	js, err := jetstream.New(nc, jsOpts...)
	if domain != "" {
		js, err = jetstream.NewWithDomain(nc, domain, jsOpts...)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("bus: stream API: %w", err)
	}
	b := &Bus{nc: nc, js: js, prefix: c.Prefix, cfg: c, log: log, closed: closed, identity: id.Identity}
	if e != nil {
		b.server, b.auth = e.srv, e.auth
	}
	return b, nil
}

// dial connects, and gives up with the context.
func dial(ctx context.Context, url string, opts []nats.Option) (*nats.Conn, error) {
	type result struct {
		nc  *nats.Conn
		err error
	}
	done := make(chan result, 1)
	go func() {
		nc, err := nats.Connect(url, opts...)
		done <- result{nc, err}
	}()
	select {
	case r := <-done:
		return r.nc, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.nc != nil {
				r.nc.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// explain adds the remedy to the errors people meet first.
func explain(err error, c Config, url string) error {
	switch {
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("bus: nobody answers at %s: start `ballast up` there, or check the address: %w", url, err)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Errorf("bus: %s refuses the credentials: get a fresh token from `ballast join-token`: %w", url, err)
	}
	var untrusted x509.UnknownAuthorityError
	if errors.As(err, &untrusted) {
		return fmt.Errorf("bus: %s shows a certificate of an authority not known here: name that in tls.ca_file, or use a join token made with --ca: %w", url, err)
	}
	return fmt.Errorf("bus: connect %s to %s: %w", c.Name, url, err)
}

// presented is who a connection says it is, and what came along with that.
type presented struct {
	Identity
	servers string
	ca      []byte
}

// credentials turns c's secret into connection options.
func (c Config) credentials(e *embedded) (presented, []nats.Option, error) {
	switch cr := c.Credentials; {
	case cr.JoinToken != "":
		t, err := ParseToken(cr.JoinToken)
		if err != nil {
			return presented{}, nil, err
		}
		return presented{t.Identity, t.serverList(), t.CA}, t.options(), nil
	case cr.CredsFile != "":
		id, err := identityIn(cr.CredsFile)
		if err != nil {
			return presented{}, nil, err
		}
		opts := []nats.Option{nats.UserCredentials(cr.CredsFile)}
		if id.User != "" {
			opts = append(opts, nats.CustomInboxPrefix(inboxPrefix(id.User)))
		}
		return presented{Identity: id}, opts, nil
	case cr.NKeyFile != "":
		o, err := nats.NkeyOptionFromSeed(cr.NKeyFile)
		if err != nil {
			return presented{}, nil, fmt.Errorf("bus: nkey_file: %w", err)
		}
		return presented{}, []nats.Option{o}, nil
	}
	if e == nil || e.auth == nil {
		return presented{}, nil, nil
	}
	// Inside the process that embeds the server: full rights.
	t, err := e.auth.Mint(Grant{Role: RoleInternal, ID: c.Name})
	if err != nil {
		return presented{}, nil, err
	}
	return presented{Identity: t.Identity}, t.options(), nil
}

// identityIn reads whom a credentials file speaks for; zero when it was not
// signed by an authority of Ballast, whose users hear replies on inboxes of
// their own.
func identityIn(credsFile string) (Identity, error) {
	raw, err := os.ReadFile(credsFile)
	if err != nil {
		return Identity{}, fmt.Errorf("bus: creds_file: %w", err)
	}
	text, err := jwt.ParseDecoratedJWT(raw)
	if err != nil {
		return Identity{}, fmt.Errorf("bus: creds_file %s: %w", credsFile, err)
	}
	claims, err := jwt.DecodeUserClaims(text)
	if err != nil {
		return Identity{}, fmt.Errorf("bus: creds_file %s: %w", credsFile, err)
	}
	id, err := identityOf(claims)
	if err != nil {
		return Identity{}, nil // somebody else's user: not ours to name
	}
	return id, nil
}

// options present the token.
func (t Token) options() []nats.Option {
	opts := []nats.Option{nats.UserJWTAndSeed(t.UserJWT, string(t.Seed))}
	if kp, err := nkeys.FromSeed(t.Seed); err == nil {
		if pub, err := kp.PublicKey(); err == nil {
			opts = append(opts, nats.CustomInboxPrefix(inboxPrefix(pub)))
		}
		kp.Wipe()
	}
	return opts
}

// clientTLS is nil when nothing about TLS is configured; tls:// URLs then use
// the authorities of the machine.
func clientTLS(t TLS, tokenCA []byte) (*tls.Config, error) {
	if t.CAFile == "" && t.CertFile == "" && len(tokenCA) == 0 {
		return nil, nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	var err error
	switch {
	case t.CAFile != "":
		conf.RootCAs, err = loadCA(t.CAFile)
	case len(tokenCA) > 0:
		conf.RootCAs, err = parseCA(tokenCA, "the join token")
	}
	if err != nil {
		return nil, err
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("bus: tls certificate: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	return conf, nil
}
