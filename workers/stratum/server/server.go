// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keepAlive = 30 * time.Second
	// acceptPause after an error of accept that may pass, such as too many
	// open files.
	acceptPause = 100 * time.Millisecond
)

// Server takes connections of miners. See the package's documentation.
type Server struct {
	set       *settings
	listeners []net.Listener
	secure    []*tls.Config // per listener, nil without TLS
	count     counters
	wg        sync.WaitGroup
	// jobs by serial, those that are void and may still win a block too. The
	// map is replaced, never changed.
	jobs atomic.Pointer[map[uint32]*work]

	// control is held while a job is handed out or a session closed, so that
	// these come one after the other. It is taken before the lock of a
	// connection, and that is taken before mu.
	control sync.Mutex
	serial  uint32 // under control
	outage  bool   // under control: connections have work of a session lost
	// lost wakes watchOutage, capacity 1.
	lost chan struct{}

	mu        sync.Mutex
	closed    bool
	conns     map[*conn]struct{}
	addresses map[netip.Prefix]int
	nextConn  uint64
	sessions  map[string]*space
	// slices of sessions by id, set by OpenSession.
	slices map[string][]byte
	// homeless connections wait for a place in a session: those whose
	// subscription is not answered yet, and those that have lost theirs.
	homeless map[*conn]struct{}
	// waiting is how many of them are of the former kind.
	waiting int
	// tightened wakes tellRoom, capacity 1.
	tightened chan struct{}
}

// Listen opens the endpoints of a configuration. The server takes connections
// once [Server.Run] is called; without that, [Server.Close] gives the
// addresses back.
func Listen(c Config) (*Server, error) {
	set, err := c.settings()
	if err != nil {
		return nil, err
	}
	s := &Server{
		set: set, conns: make(map[*conn]struct{}), addresses: make(map[netip.Prefix]int),
		sessions: make(map[string]*space), slices: make(map[string][]byte), homeless: make(map[*conn]struct{}),
		tightened: make(chan struct{}, 1), lost: make(chan struct{}, 1),
	}
	s.jobs.Store(&map[uint32]*work{})
	for _, e := range c.Endpoints {
		var secure *tls.Config
		if e.CertFile != "" {
			pair, err := tls.LoadX509KeyPair(e.CertFile, e.KeyFile)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("stratum server: endpoint %s: certificate %s with key %s: %w", e.Address, e.CertFile, e.KeyFile, err), s.Close())
			}
			secure = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
				// A job is one record, and so one write.
				DynamicRecordSizingDisabled: true}
		}
		config := net.ListenConfig{KeepAlive: keepAlive}
		l, err := config.Listen(context.Background(), "tcp", e.Address)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("stratum server: endpoint %s: %w", e.Address, err), s.Close())
		}
		s.listeners = append(s.listeners, l)
		s.secure = append(s.secure, secure)
	}
	return s, nil
}

// Addresses that the server listens on, in the order of its endpoints.
func (s *Server) Addresses() []net.Addr {
	all := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		all[i] = l.Addr()
	}
	return all
}

// Run serves until ctx ends, closes every connection and waits until nothing
// of the server runs any more; the sink may still call back for shares that it
// was handed. It returns nil then. A server runs once.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var accepting sync.WaitGroup
	for i, l := range s.listeners {
		accepting.Go(func() { s.accept(ctx, l, s.secure[i]) })
	}
	accepting.Go(func() { s.tellRoom(ctx) })
	accepting.Go(func() { s.watchOutage(ctx) })
	<-ctx.Done()
	err := s.Close()
	accepting.Wait()
	s.wg.Wait()
	return err
}

// Close stops listening and closes every connection, without waiting.
func (s *Server) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	conns := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.abort(causeShutdown)
	}
	if again {
		return nil
	}
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

func (s *Server) accept(ctx context.Context, l net.Listener, secure *tls.Config) {
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			s.admit(ctx, c, secure)
		case errors.Is(err, net.ErrClosed) || ctx.Err() != nil:
			return
		default:
			s.set.Logger.Error("stratum server: accepting a connection", "address", l.Addr().String(), "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(acceptPause):
			}
		}
	}
}

// admit starts a connection unless there are too many.
func (s *Server) admit(ctx context.Context, nc net.Conn, secure *tls.Config) {
	address, group := addressOf(nc)
	s.mu.Lock()
	var turned *atomic.Uint64
	switch {
	case s.closed:
		turned = &s.count.refusedAll
	case len(s.conns) >= s.set.Limits.Connections:
		turned = &s.count.refusedAll
	case s.addresses[group] >= s.set.Limits.PerAddress:
		turned = &s.count.refusedIP
	}
	if turned != nil {
		s.mu.Unlock()
		turned.Add(1)
		_ = nc.Close() // nothing was said
		return
	}
	s.nextConn++
	c := newConn(s, s.nextConn, nc, address, group, secure)
	s.conns[c] = struct{}{}
	s.addresses[group]++
	s.wg.Add(1)
	s.mu.Unlock()
	s.count.accepted.Add(1)
	s.count.open.Add(1)
	if secure != nil {
		s.count.openTLS.Add(1)
	}
	go func() {
		defer s.wg.Done()
		c.serve(ctx)
	}()
}

// leave takes a connection out.
func (s *Server) leave(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	delete(s.homeless, c)
	if s.addresses[c.group]--; s.addresses[c.group] == 0 {
		delete(s.addresses, c.group)
	}
	s.count.open.Add(-1)
	if c.secure != nil {
		s.count.openTLS.Add(-1)
	}
}

// addressOf is the peer's address, and the group in which it is counted.
func addressOf(c net.Conn) (netip.Addr, netip.Prefix) {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, netip.Prefix{}
	}
	address := a.AddrPort().Addr().Unmap()
	bits := 32
	if address.Is6() {
		bits = 64 // one customer has that many
	}
	group, err := address.WithZone("").Prefix(bits)
	if err != nil {
		return address, netip.Prefix{}
	}
	return address, group
}
