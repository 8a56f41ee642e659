// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// endpoint is one configured URL, or one that the pool sent us to.
type endpoint struct {
	index      int // in the configuration
	secure     bool
	host, port string
	user, pass string
	redirected bool
	// terse: leave out what very old pools hang up for; set after a connection
	// that ended without a word.
	terse bool
	pause *backoff.ExponentialBackOff
	// restUntil it is left alone, as it refuses our account; refusals counts
	// how often in a row it has. Run alone writes them, between sessions.
	restUntil time.Time
	refusals  int
}

// judge takes note of how a try with the endpoint ended.
func (e *endpoint) judge(end ending, t Timing, now time.Time) {
	if end.paid {
		e.refusals = 0
	}
	if !end.barred {
		return
	}
	rest := t.LongestPause
	for range e.refusals {
		if rest = 2 * rest; rest >= t.Rest {
			break
		}
	}
	e.refusals++
	e.restUntil = now.Add(min(rest, t.Rest))
}

const urlForm = "want stratum+tcp://account.worker:password@host:port, or stratum+ssl for TLS"

// parseEndpoint reads a URL. The error says nothing of its credentials.
func parseEndpoint(text string) (*endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("cannot be read as a URL; " + urlForm)
	}
	e := &endpoint{host: u.Hostname(), port: u.Port(), pass: "x"}
	switch u.Scheme {
	case "stratum+tcp":
	case "stratum+ssl", "stratum+tls":
		e.secure = true
	default:
		return nil, fmt.Errorf("scheme %q; %s", u.Scheme, urlForm)
	}
	if p, err := strconv.ParseUint(e.port, 10, 16); e.host == "" || err != nil || p == 0 {
		return nil, errors.New("host or port is missing; " + urlForm)
	}
	if u.User == nil || u.User.Username() == "" {
		return nil, errors.New("the worker is missing; " + urlForm)
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("something follows the port; " + urlForm)
	}
	e.user = u.User.Username()
	if p, given := u.User.Password(); given {
		e.pass = p
	}
	return e, nil
}

// address without credentials.
func (e *endpoint) address() string {
	scheme := "stratum+tcp://"
	if e.secure {
		scheme = "stratum+ssl://"
	}
	return scheme + net.JoinHostPort(e.host, e.port)
}

// tlsRoots reads the certificates to trust, nil for the system's.
func tlsRoots(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("certificates to trust: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificates to trust: %s holds none in PEM", file)
	}
	return roots, nil
}

// hangUp closes a connection from which nothing is wanted any more; that it
// fails to close cleanly says nothing that the end of reading does not.
func hangUp(c net.Conn) { _ = c.Close() }

// dial connects, with TLS where the endpoint has it.
func (c *Client) dial(ctx context.Context, e *endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timing.Connect)
	defer cancel()
	d := net.Dialer{KeepAlive: c.cfg.Timing.Keepalive}
	plain, err := d.DialContext(ctx, "tcp", net.JoinHostPort(e.host, e.port))
	if err != nil {
		return nil, fmt.Errorf("pool %s: %w", e.address(), err)
	}
	if !e.secure {
		return plain, nil
	}
	name := c.cfg.ServerName
	if name == "" {
		name = e.host
	}
	if c.cfg.InsecureTLS {
		c.log.Warn("the pool's certificate is not checked: whoever is on the way can take the work", "pool", c.cfg.Pool, "address", e.address())
	}
	conn := tls.Client(plain, &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: c.roots, ServerName: name, InsecureSkipVerify: c.cfg.InsecureTLS,
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		hangUp(plain)
		return nil, fmt.Errorf("pool %s: TLS: %w", e.address(), err)
	}
	return conn, nil
}
