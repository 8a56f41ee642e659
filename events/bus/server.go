// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embedded is a NATS server inside this process, and what it holds.
type embedded struct {
	srv  *server.Server
	auth *Authority
	lock *dirLock
	log  *slog.Logger
	// quit ends the goroutine that follows the authority's file.
	quit chan struct{}
	// background goroutines of ours.
	background sync.WaitGroup
}

// ErrInUse says that a data directory or an address belongs to another process.
var ErrInUse = errors.New("in use by another process")

// startServer brings the server up and waits until it takes connections. On an
// error nothing is left running and the directory is free again.
func startServer(ctx context.Context, c Config) (_ *embedded, err error) {
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("bus: data directory: %w", err)
	}
	e := &embedded{log: c.Logger, quit: make(chan struct{})}
	if e.lock, err = lockDir(c.DataDir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop(context.WithoutCancel(ctx)))
		}
	}()
	if e.auth, err = OpenAuthority(c.DataDir, c.Prefix); err != nil {
		return nil, err
	}
	opts, err := serverOptions(c, e.auth)
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("bus: embedded server: %w", err)
	}
	fatal := make(chan string, 1)
	srv.SetLoggerV2(&serverLog{log: c.Logger, fatal: fatal}, false, false, false)
	e.srv = srv
	started := make(chan struct{})
	go func() {
		defer close(started)
		srv.Start()
	}()
	// A large store takes long to come up: wait as long as the caller does.
	for {
		if srv.ReadyForConnections(50 * time.Millisecond) {
			break
		}
		select {
		case why := <-fatal:
			if strings.Contains(why, "address already in use") {
				return nil, fmt.Errorf("bus: address %s is %w: connect to it by URL, or listen elsewhere", c.Listen, ErrInUse)
			}
			return nil, fmt.Errorf("bus: embedded server did not start: %s", why)
		case <-ctx.Done():
			return nil, fmt.Errorf("bus: embedded server not ready in time: %w", ctx.Err())
		default:
		}
	}
	<-started
	if !srv.JetStreamEnabled() {
		return nil, fmt.Errorf("bus: embedded server came up without JetStream; see its log, and check that %s is writable and not full", c.DataDir)
	}
	e.background.Go(e.followAuthority)
	return e, nil
}

// patienceWithClients that connect: a thousand agents may come back at once to
// a machine whose cores all hash.
const patienceWithClients = 10 * time.Second

// serverOptions translates c.
func serverOptions(c Config, auth *Authority) (*server.Options, error) {
	store := filepath.Join(c.DataDir, "store")
	opts := &server.Options{
		ServerName: c.Name,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   store,
		// The disk, not a default quarter of it, is the bound; doctor watches
		// the disk.
		JetStreamMaxStore:  1 << 50,
		JetStreamMaxMemory: 512 << 20,
		MaxPayload:         int32(c.MaxPayload),
		MaxPending:         256 << 20,
		WriteDeadline:      10 * time.Second,
		AuthTimeout:        patienceWithClients.Seconds(),
		DontListen:         true,
	}
	switch c.Durability {
	case PowerLoss:
		opts.SyncAlways = true
	case ProcessCrash:
		opts.SyncInterval = time.Second
	}
	if c.Listen != "" {
		at, err := parseListen(c.Listen)
		if err != nil {
			return nil, err
		}
		if !at.loopback && !c.Secure {
			return nil, fmt.Errorf("bus: refusing to listen on %s without credentials: anybody who reaches it could order power up. "+
				"Set secure: true and hand out tokens (`ballast join-token`), or listen on 127.0.0.1", c.Listen)
		}
		opts.DontListen, opts.Host, opts.Port = false, at.host, at.port
		opts.ClientAdvertise = c.Advertise
		if at.port == 0 {
			opts.Port = server.RANDOM_PORT
		}
		if opts.TLSConfig, err = serverTLS(c.TLS); err != nil {
			return nil, err
		}
		opts.TLS = opts.TLSConfig != nil
		opts.TLSTimeout = patienceWithClients.Seconds()
	}
	if err := auth.configure(opts, c.Secure); err != nil {
		return nil, err
	}
	return opts, nil
}

// serverTLS is nil when no certificate is configured.
func serverTLS(t TLS) (*tls.Config, error) {
	if t.CertFile == "" {
		if t.CAFile != "" {
			return nil, errors.New("bus: tls: the embedded server has a ca_file but no cert_file and key_file of its own")
		}
		return nil, nil
	}
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("bus: tls certificate: %w", err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
	if t.VerifyClients {
		if conf.ClientCAs, err = loadCA(t.CAFile); err != nil {
			return nil, err
		}
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return conf, nil
}

func loadCA(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("bus: tls ca_file: %w", err)
	}
	return parseCA(pem, file)
}

func parseCA(pem []byte, from string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("bus: tls: %s holds no PEM certificate", from)
	}
	return pool, nil
}

// stop shuts the server down and waits for it, at most as long as ctx lives.
// The directory is freed once the server is down, and not before.
func (e *embedded) stop(ctx context.Context) error {
	down := make(chan struct{})
	go func() {
		defer close(down)
		close(e.quit)
		e.background.Wait()
		if e.srv != nil {
			e.srv.Shutdown()
			e.srv.WaitForShutdown()
		}
		if err := e.lock.release(); err != nil {
			e.log.Warn("lock of the data directory", "error", err)
		}
	}()
	select {
	case <-down:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("bus: embedded server is still shutting down in the background; its directory stays locked until then: %w", ctx.Err())
	}
}

// serverLog carries the server's log into slog.
type serverLog struct {
	log *slog.Logger
	// fatal receives the first reason for which the server gave up.
	fatal chan string
}

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(line(format, v)) }
func (l *serverLog) Debugf(format string, v ...any)  { l.log.Debug(line(format, v)) }
func (l *serverLog) Tracef(format string, v ...any)  { l.log.Debug(line(format, v)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn(line(format, v)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Error(line(format, v)) }

func (l *serverLog) Fatalf(format string, v ...any) {
	s := line(format, v)
	l.log.Error(s)
	select {
	case l.fatal <- s:
	default:
	}
}

func line(format string, v []any) string {
	return "nats: " + strings.TrimSpace(fmt.Sprintf(format, v...))
}
