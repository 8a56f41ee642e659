// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Bus is one connection to NATS with the streams of Ballast on it, and the
// embedded server when Open started one. Safe for concurrent use.
type Bus struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	prefix string
	// server is nil when the bus is somebody else's.
	server *server.Server
	// acks collects what the streams answer to publishers (publish_acks.go).
	acks ackInbox

	cfg Config
	log *slog.Logger
	// embedded is what to take down after the connection; nil when the server
	// is somebody else's or belongs to another Bus.
	embedded *embedded
	// auth is the authority of an embedded server that asks credentials.
	auth *Authority
	// closed is closed when the connection is gone for good.
	closed <-chan struct{}
	// identity of the credentials presented; zero without a token.
	identity Identity

	closing  sync.Once
	closeErr error
}

// Open reaches the bus: it starts the embedded server, declares the streams on
// it and opens a new epoch for every site that it knows; or, with a URL or a
// join token, connects to a bus that is already there and changes nothing.
//
// The context bounds the start; a large store takes its time to come up. On an
// error nothing is left running.
func Open(ctx context.Context, c Config) (*Bus, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if !c.Embedded() {
		return connect(ctx, c, nil, nil)
	}
	e, err := startServer(ctx, c)
	if err != nil {
		return nil, err
	}
	b, err := connect(ctx, c, e, nil)
	if err == nil {
		b.embedded = e
		if err = b.EnsureStreams(ctx); err == nil {
			err = b.openEpochs(ctx, "server started")
		}
		if err == nil {
			return b, nil
		}
		b.nc.Close()
	}
	return nil, errors.Join(err, e.stop(context.WithoutCancel(ctx)))
}

// Conn is the connection, for what this package does not offer.
func (b *Bus) Conn() *nats.Conn { return b.nc }

// JetStream is the stream API of the connection.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Prefix is the first token of every subject.
func (b *Bus) Prefix() string { return b.prefix }

// Config is what the bus was opened with, defaults filled in.
func (b *Bus) Config() Config { return b.cfg }

// Identity of the join token presented; its Role is empty without one.
func (b *Bus) Identity() Identity { return b.identity }

// Done is closed when the connection is gone for good: after Close, or when
// the server refuses it (revoked or expired credentials).
func (b *Bus) Done() <-chan struct{} { return b.closed }

// ClientURL is where processes of this machine reach the bus. Empty when the
// embedded server is reachable from inside this process only.
func (b *Bus) ClientURL() string {
	if b.server == nil {
		return b.nc.ConnectedUrlRedacted()
	}
	if b.cfg.Listen == "" {
		return ""
	}
	u, err := url.Parse(b.server.ClientURL())
	if err != nil {
		return b.server.ClientURL()
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort("127.0.0.1", u.Port())
	}
	return u.String()
}

// JoinURLs are where other machines may reach the bus, best first, for join
// tokens: what Config.Advertise says, else the addresses of this machine that
// the embedded server listens on. Without an embedded server they are the
// servers configured.
func (b *Bus) JoinURLs() []string {
	if b.server == nil {
		if b.cfg.URL != "" {
			return b.cfg.servers()
		}
		return []string{b.ClientURL()}
	}
	if b.cfg.Listen == "" {
		return nil
	}
	scheme, _, _ := strings.Cut(b.ClientURL(), "://")
	if b.cfg.Advertise != "" {
		return []string{scheme + "://" + b.cfg.Advertise}
	}
	v, err := b.server.Varz(nil)
	if err != nil || len(v.ClientConnectURLs) == 0 {
		return []string{b.ClientURL()}
	}
	var out []string
	for _, hostPort := range v.ClientConnectURLs {
		out = append(out, scheme+"://"+hostPort)
	}
	return out
}

// Close drains subscriptions, waits for publishes under way, and shuts the
// embedded server down if this Bus started it. What the context cuts short is
// closed without draining, and reported. Calling it again returns the same.
func (b *Bus) Close(ctx context.Context) error {
	b.closing.Do(func() { b.closeErr = b.close(ctx) })
	return b.closeErr
}

func (b *Bus) close(ctx context.Context) error {
	var errs []error
	if err := b.quiesce(ctx); err != nil {
		errs = append(errs, err)
	}
	if err := b.nc.Drain(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		// A connection that is down has nothing to drain.
		b.nc.Close()
	}
	select {
	case <-b.closed:
	case <-ctx.Done():
		b.nc.Close()
		<-b.closed
		errs = append(errs, fmt.Errorf("bus: close: subscriptions were cut off before they were drained: %w", ctx.Err()))
	}
	if b.embedded != nil {
		errs = append(errs, b.embedded.stop(ctx))
	}
	return errors.Join(errs...)
}

// quiesce waits until everything published has its answer, which comes or runs
// out of time.
func (b *Bus) quiesce(ctx context.Context) error {
	b.acks.mu.Lock()
	slots := b.acks.slots
	b.acks.mu.Unlock()
	// Holding every place of the window means that nobody else holds one.
	held := 0
	defer func() {
		for range held {
			<-slots
		}
	}()
	for range cap(slots) {
		select {
		case slots <- struct{}{}:
			held++
		case <-b.closed:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("bus: close: %d publishes were still unconfirmed: %w", cap(slots)-held, ctx.Err())
		}
	}
	select {
	case <-b.js.PublishAsyncComplete():
	case <-b.closed:
	case <-ctx.Done():
		return fmt.Errorf("bus: close: %d publishes were still unconfirmed: %w", b.js.PublishAsyncPending(), ctx.Err())
	}
	return nil
}
