// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
)

// TestHostileClients are dropped, each for its own reason, while another
// miner goes on undisturbed.
func TestHostileClients(t *testing.T) {
	const opening = 5 * time.Second // in which an honest miner, too, has to have said who it is
	for name, c := range map[string]struct {
		limits Limits
		cause  string
		attack func(m *miner)
	}{
		"slow loris": {Limits{Opening: opening}, "opening-timeout", func(m *miner) { m.say(`{"id":1,`) }},
		"silence":    {Limits{Opening: opening}, "opening-timeout", func(*miner) {}},
		"subscribed only": {Limits{Opening: opening}, "opening-timeout", func(m *miner) {
			m.say(`{"id":1,"method":"mining.subscribe"}`)
		}},
		"endless line": {Limits{LineBytes: 1 << 10}, "line-too-long", func(m *miner) {
			m.say(strings.Repeat("x", 4<<10))
		}},
		"garbage": {Limits{}, "malformed", func(m *miner) { m.say(strings.Repeat("nonsense\n", 11)) }},
		"ids of a kilobyte": {Limits{Malformed: 1}, "malformed", func(m *miner) {
			m.say(strings.Repeat(`{"id":"`+strings.Repeat("y", 1000)+`","method":"mining.ping","params":[]}`+"\n", 2))
		}},
		"flood": {Limits{MessagesPerSecond: 1, Burst: 100}, "flood", func(m *miner) {
			m.say(strings.Repeat(`{"id":1,"method":"x"}`+"\n", 200))
		}},
		"guessing names": {Limits{}, "unauthorised", func(m *miner) {
			for range refusedLogins {
				m.say(`{"id":1,"method":"mining.authorize","params":["...","x"]}`)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, func(k *Config) { k.Limits = c.limits })
			s.setJob(t, sheetJob(t, "up", "1"))
			good := s.dial(t)
			good.say(`{"id":1,"method":"mining.subscribe"}`, `{"id":2,"method":"mining.authorize","params":["a.r"]}`)
			good.id = 2
			good.until(func(m *message) bool {
				if x, err := stratum.ParseSubscribeResult(m.Result); err == nil && string(m.ID) == "1" {
					good.extranonce1, good.size = x.Extranonce1, x.Extranonce2Bytes
				}
				return m.Method == stratum.MethodNotify
			})
			bad := s.dial(t)
			c.attack(bad)
			bad.ended()
			eventually(t, c.cause, func() bool { return s.Stats().Ended[c.cause] == 1 })
			if _, a := good.mine("a.r", []byte{0, 0, 0, 1}, 0); string(a.Result) != "true" {
				t.Fatalf("%s", a.Error)
			}
		})
	}
}

// TestIdle drops who says nothing any more.
func TestIdle(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.Idle = 50 * time.Millisecond })
	s.setJob(t, sheetJob(t, "up", "1"))
	s.start(t, "a.r").ended()
	eventually(t, "idle", func() bool { return s.Stats().Ended["idle"] == 1 })
}

// TestSlowReader is not waited for, and dropped when too much waits for it, with
// TLS as without.
func TestSlowReader(t *testing.T) {
	cert, key := certificate(t)
	for name, e := range map[string]Endpoint{"plain": {Address: "127.0.0.1:0"}, "tls": {"127.0.0.1:0", cert, key}} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(c *Config) {
				c.Endpoints = []Endpoint{e}
				c.Limits.QueuedBytes, c.Limits.SocketBytes, c.Limits.Write = 16<<10, 4<<10, time.Hour
			})
			job := sheetJob(t, "up", "1")
			job.Coinbase2 = make([]byte, 20000)
			s.setJob(t, job)
			start := func(user string) *miner {
				m := s.dial(t)
				if e.CertFile != "" {
					m = newMiner(t, tls.Client(m.conn, &tls.Config{InsecureSkipVerify: true}))
				}
				m.subscribe()
				m.authorize(user, "x")
				m.untilMethod(stratum.MethodNotify)
				return m
			}
			slow, quick := start("a.slow"), start("a.quick")
			for s.Stats().Ended["slow-reader"] == 0 {
				s.setJob(t, job)
				quick.untilMethod(stratum.MethodNotify)
			}
			slow.conn.Close()
		})
	}
}

// TestSlowWrite drops who does not take a write in time.
func TestSlowWrite(t *testing.T) {
	s := open(t, func(c *Config) {
		c.Limits.QueuedBytes, c.Limits.SocketBytes, c.Limits.Write = 1<<30, 4<<10, 20*time.Millisecond
	})
	s.setJob(t, sheetJob(t, "up", "1")) // which the system takes at once
	s.start(t, "a.slow")
	job := sheetJob(t, "up", "2")
	job.Coinbase2 = make([]byte, 50000)
	for range 100 {
		s.setJob(t, job)
	}
	eventually(t, "slow reader", func() bool { return s.Stats().Ended["slow-reader"] == 1 })
}

func TestTooManyConnections(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.Connections, c.Limits.PerAddress = 3, 2 })
	s.setJob(t, sheetJob(t, "up", "1"))
	from := func(address string) *miner {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
		c, err := d.Dial("tcp", s.Addresses()[0].String())
		if err != nil {
			t.Skipf("this system has no further loopback addresses: %v", err)
		}
		return newMiner(t, c)
	}
	one, two := from("127.0.0.1"), from("127.0.0.1")
	one.subscribe()
	two.subscribe()
	from("127.0.0.1").ended()
	three := from("127.0.0.2")
	three.subscribe()
	from("127.0.0.3").ended()
	if st := s.Stats(); st.RefusedAddress != 1 || st.RefusedConnections != 1 || st.Accepted != 3 {
		t.Fatalf("%+v", st)
	}
	one.conn.Close()
	eventually(t, "one left", func() bool { return s.Stats().Connections == 2 })
	from("127.0.0.1").subscribe()
}

// TestStreamOfInvalidShares leads to a new job, a warning and the end.
func TestStreamOfInvalidShares(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "up", "1"))
	m := s.start(t, "a.r")
	first := m.job
	heard := make(map[string]time.Duration)
	start := s.clock.Now()
	for i := 0; ; i++ {
		m.say(fmt.Sprintf(`{"id":9,"method":"mining.submit","params":["a.r",%q,"00","%08x","%08x"]}`, first.JobID, first.NTime, i))
		answered := m.until(func(x *message) bool { return string(x.ID) == "9" })
		if answered.code() != stratum.CodeOther {
			t.Fatalf("%s %s", answered.Result, answered.Error)
		}
		// A measure follows the answer; a ping comes back behind it.
		m.say(`{"id":"p","method":"mining.ping","params":[]}`)
		over := false
		for {
			line, err := m.r.ReadString('\n')
			if err != nil {
				over = true
				break
			}
			for _, method := range []string{stratum.MethodNotify, stratum.MethodShowMessage} {
				if strings.Contains(line, method) {
					heard[method] = s.clock.Now().Sub(start)
				}
			}
			if strings.Contains(line, "pong") {
				break
			}
		}
		if over {
			heard["end"] = s.clock.Now().Sub(start)
			break
		}
		s.clock.advance(5 * time.Second)
	}
	if heard[stratum.MethodNotify] != newJobAfter || heard[stratum.MethodShowMessage] != warnAfter || heard["end"] != disconnectAfter {
		t.Fatalf("%v", heard)
	}
	m.conn.Close()
	eventually(t, "invalid shares", func() bool { return s.Stats().Ended["invalid-shares"] == 1 })
}

func TestGuardLeavesHonestMinersAlone(t *testing.T) {
	var g guard
	now := newClock().Now()
	for range 1000 {
		g.good()
		g.good()
		if g.bad(now) != doNothing {
			t.Fatal("a third of the shares")
		}
		now = now.Add(10 * time.Second)
	}
	g = guard{}
	for range 1000 { // a bad share now and then, and nothing else
		if g.bad(now) == disconnect {
			t.Fatal("disconnected for shares minutes apart")
		}
		now = now.Add(5 * time.Minute)
	}
}

// TestUnansweredSharesAreBounded while the sink does not answer, and answers
// after the connection's end do no harm.
func TestUnansweredSharesAreBounded(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.Unanswered = 2 })
	s.shelf.hold = true
	s.setJob(t, sheetJob(t, "up", "1"))
	m := s.start(t, "a.r")
	en2 := []byte{0, 0, 0, 1}
	nonce := uint32(0)
	for i := range 3 {
		nonce = m.find(en2, nonce, m.job.Version, easy, true) + 1
		m.say(fmt.Sprintf(`{"id":%d,"method":"mining.submit","params":["a.r",%q,"%x","%08x","%08x"]}`, 100+i, m.job.JobID, en2, m.job.NTime, nonce-1))
	}
	if a := m.hear(); string(a.ID) != "102" || a.code() != stratum.CodeOther {
		t.Fatalf("%s: %s", a.ID, a.Error)
	}
	s.shelf.mu.Lock()
	held := s.shelf.held
	s.shelf.mu.Unlock()
	held[1](nil)
	if a := m.hear(); string(a.ID) != "101" || string(a.Result) != "true" {
		t.Fatalf("%s: %s", a.ID, a.Error)
	}
	m.conn.Close()
	eventually(t, "gone", func() bool { return s.Stats().Connections == 0 })
	held[0](errors.New("too late"))
}

func TestFilterOfDuplicatesIsBounded(t *testing.T) {
	f := newDuplicates(filterShards)
	if f.add(digest{1, 1}, false) != isNew || f.add(digest{1, 1}, false) != isDuplicate || f.add(digest{1, 2}, false) != isFull {
		t.Fatal("bound")
	}
	if f.add(digest{1, 2}, true) != isNew || f.add(digest{1, 2}, true) != isDuplicate {
		t.Fatal("a block has no bound")
	}
	f.forget(digest{1, 1})
	f.forget(digest{1, 2})
	if f.add(digest{1, 1}, false) != isNew {
		t.Fatal("not forgotten")
	}
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t)
	s := open(t, func(c *Config) { c.Endpoints = append(c.Endpoints, Endpoint{"127.0.0.1:0", cert, key}) })
	s.setJob(t, sheetJob(t, "up", "1"))
	address := s.Addresses()[1].String()
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	m := newMiner(t, c)
	m.subscribe()
	m.authorize("a.r", "x")
	m.untilMethod(stratum.MethodNotify)
	if _, a := m.mine("a.r", []byte{0, 0, 0, 1}, 0); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
	s.setJob(t, sheetJob(t, "up", "2"))
	m.untilMethod(stratum.MethodNotify)
	if st := s.Stats(); st.TLS != 1 || st.Connections != 1 {
		t.Fatalf("%+v", st)
	}
	plain, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	wrong := newMiner(t, plain)
	wrong.say(`{"id":1,"method":"mining.subscribe","params":[]}`)
	wrong.ended()
	eventually(t, "handshake", func() bool { return s.Stats().Ended["tls-handshake"] == 1 })
	s.CloseSession("up")
	s.setJob(t, sheetJob(t, "next", "1"))
	m.untilMethod(stratum.MethodReconnect)
	m.ended()
}

func TestBadConfiguration(t *testing.T) {
	good := Config{Endpoints: []Endpoint{{Address: "127.0.0.1:0"}}, Sink: &shelf{}, Authoriser: AuthoriserFunc(AnyName)}
	for name, change := range map[string]func(*Config){
		"endpoints":  func(c *Config) { c.Endpoints = nil },
		"sink":       func(c *Config) { c.Sink = nil },
		"authoriser": func(c *Config) { c.Authoriser = nil },
		"difficulty": func(c *Config) { c.MinDifficulty = "0" },
		"crossed":    func(c *Config) { c.MinDifficulty, c.MaxDifficulty = "16", "8" },
		"interval":   func(c *Config) { c.ShareInterval = -1 },
		"outage":     func(c *Config) { c.Outage = -1 },
		"waiting":    func(c *Config) { c.Limits.Waiting = -1 },
		"wait":       func(c *Config) { c.Limits.Wait = -1 },
		"limit":      func(c *Config) { c.Limits.Burst = -1 },
		"time-out":   func(c *Config) { c.Limits.Idle = -1 },
		"no unit":    func(c *Config) { c.Limits.Opening = 30 },
		"lifetime":   func(c *Config) { c.JobLifetime = 5 },
		"short line": func(c *Config) { c.Limits.LineBytes = 100 },
		"long line":  func(c *Config) { c.Limits.LineBytes = 1 << 30 },
		"half TLS":   func(c *Config) { c.Endpoints = []Endpoint{{Address: "127.0.0.1:0", CertFile: "x"}} },
	} {
		c := good
		change(&c)
		if _, err := Listen(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, c := range []func(*settings) bool{
		func(s *settings) bool {
			return s.Limits.Connections == 20_000 && s.Limits.PerAddress == 4096 && s.Limits.LineBytes == 8<<10
		},
		func(s *settings) bool {
			return s.Limits.Opening == 30*time.Second && s.Limits.Idle == 10*time.Minute && s.Limits.Write == 10*time.Second
		},
		func(s *settings) bool {
			return s.Limits.Waiting == 20_000 && s.Limits.Wait == time.Minute && s.Outage == 2*time.Minute
		},
	} {
		if s, err := good.settings(); err != nil || !c(s) {
			t.Errorf("the defaults are not those that are documented: %+v %v", s, err)
		}
	}
	for name, e := range map[string]Endpoint{"address": {Address: "256.0.0.1:x"}, "files": {"127.0.0.1:0", "absent", "absent"}} {
		c := good
		c.Endpoints = append([]Endpoint{{Address: "127.0.0.1:0"}}, e)
		if _, err := Listen(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s, err := Listen(good)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// FuzzConnection feeds a connection random bytes in random portions beside a
// stream of jobs and closing sessions: it never panics, and holds nothing
// afterwards.
func FuzzConnection(f *testing.F) {
	f.Add([]byte(`{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}`+"\n"+
		`{"id":2,"method":"mining.subscribe","params":["x"]}`+"\n"+`{"id":3,"method":"mining.authorize","params":["a.r","d=1"]}`+"\n"+
		`{"id":4,"method":"mining.submit","params":["a.r","00000001","00000001","6b0211b3","00000000","00002000"]}`+"\n"), uint16(40))
	f.Add([]byte(`{"id":{},"method":"mining.extranonce.subscribe"}{"method":"mining.suggest_difficulty","params":[1e-30],"id":"a"}`+"\n"+
		`{"id":2,"method":"mining.subscribe"}`+"\n"+`{"id":3,"method":"mining.authorize","params":["a.r"]}`+"\n"+
		`{"id":4,"method":"mining.submit","params":["a.r","000000020001","00000001","6b0211b3","00000000"]}`+"\n"), uint16(1))
	f.Add([]byte("\x16\x03\x01\x00\xff\n\n\n[[[[[["), uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, portion uint16) {
		s := open(t, func(c *Config) { c.Limits.Opening = patience })
		j := sheetJob(t, "up", "1")
		s.setJob(t, j)
		c, err := net.Dial("tcp", s.Addresses()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		m := newMiner(t, c)
		heard := make(chan struct{})
		go func() {
			defer close(heard)
			for { // everything that it says is JSON
				line, err := m.r.ReadBytes('\n')
				if err != nil {
					return
				}
				var msg stratum.Message
				if err := stratum.ParseMessage(line, &msg); err != nil {
					t.Errorf("%q: %v", line, err)
				}
			}
		}()
		step := int(portion)%max(len(data), 1) + 1
		for i, at := 0, 0; at < len(data); i, at = i+1, at+step {
			if _, err := c.Write(data[at:min(at+step, len(data))]); err != nil {
				break // dropped
			}
			switch i {
			case 1:
				if err := s.SetJob(sheetJob(t, "up", "2")); err != nil {
					t.Error(err)
				}
			case 2:
				s.CloseSession("up")
			case 3:
				if err := s.SetJob(sheetJob(t, "next", "1")); err != nil {
					t.Error(err)
				}
			}
		}
		c.(*net.TCPConn).CloseWrite()
		<-heard
		c.Close()
		eventually(t, "it is gone", func() bool { return s.Stats().Connections == 0 })
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, sp := range s.sessions {
			if sp.used != 0 || len(sp.conns) != 0 {
				t.Errorf("session %s holds %d slots", id, sp.used)
			}
		}
		if len(s.conns)+len(s.homeless)+len(s.addresses) != 0 {
			t.Error("a connection is left")
		}
	})
}
