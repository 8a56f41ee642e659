// SPDX-License-Identifier: Apache-2.0

//go:build unix

package server

import (
	"crypto/tls"
	"testing"

	"github.com/ballast-energy/ballast/workers/stratum"
)

// TestWritesNeedNoGoroutine as long as the client reads, with TLS as without:
// what 10,000 of them would cost shows only in a fan-out.
func TestWritesNeedNoGoroutine(t *testing.T) {
	cert, key := certificate(t)
	s := open(t, func(c *Config) { c.Endpoints = append(c.Endpoints, Endpoint{"127.0.0.1:0", cert, key}) })
	s.setJob(t, sheetJob(t, "up", "1"))
	c, err := tls.Dial("tcp", s.Addresses()[1].String(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	secure := newMiner(t, c)
	secure.subscribe()
	secure.authorize("a.s", "x")
	secure.untilMethod(stratum.MethodNotify)
	plain := s.start(t, "a.p")
	for range 20 {
		s.setJob(t, sheetJob(t, "up", "1"))
		s.mu.Lock()
		for c := range s.conns {
			c.out.wire.mu.Lock()
			if c.out.wire.busy {
				t.Error("a goroutine writes")
			}
			c.out.wire.mu.Unlock()
		}
		s.mu.Unlock()
		plain.untilMethod(stratum.MethodNotify)
		secure.untilMethod(stratum.MethodNotify)
	}
}

// TestDeadlineIsMovedSeldom: moving it costs more than to read a share.
func TestDeadlineIsMovedSeldom(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "up", "1"))
	m := s.start(t, "a.r")
	until := func() (at int64) {
		m.ask(stratum.MethodPing, "[]")
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			c.mu.Lock()
			at = c.until.UnixNano()
			c.mu.Unlock()
		}
		return at
	}
	first := until()
	for range 10 {
		if at := until(); at != first {
			t.Fatalf("moved by %d ns", at-first)
		}
	}
}
