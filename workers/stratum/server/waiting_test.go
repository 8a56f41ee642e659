// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
)

// TestSubscriptionWaitsForWork: what comes before it is answered at once, it
// and what comes after it once there is work, all in turn.
func TestSubscriptionWaitsForWork(t *testing.T) {
	s := open(t, nil)
	m := s.dial(t)
	m.say(`{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff"}]}`,
		`{"id":2,"method":"mining.subscribe","params":["x"]}`, `{"id":3,"method":"mining.suggest_difficulty","params":[8]}`,
		`{"id":4,"method":"mining.authorize","params":["a.r","x"]}`, `{"id":5,"method":"mining.subscribe"}`, `{"id":6,"method":"mining.ping"}`)
	if a := m.hear(); string(a.ID) != "1" {
		t.Fatalf("%+v", a)
	}
	unauthorised := s.dial(t)
	unauthorised.say(`{"id":"only","method":"mining.subscribe"}`)
	eventually(t, "both wait", func() bool { return s.Stats().Waiting == 2 && s.Stats().Logins == 1 })
	s.setJob(t, sheetJob(t, "up", "1"))
	want := "[2 3 4 5 refused 6 mining.set_version_mask mining.set_difficulty mining.notify]"
	if said := fmt.Sprint(talk(m, 8)); said != want {
		t.Fatalf("said %s\nwant %s", said, want)
	}
	if !m.job.Clean || m.difficulty != "8" {
		t.Fatalf("clean %v, difficulty %s", m.job.Clean, m.difficulty)
	}
	if a := unauthorised.hear(); string(a.ID) != `"only"` || a.code() != 0 {
		t.Fatalf("%s %s", a.Result, a.Error)
	}
	unauthorised.authorize("a.late", "x")
	unauthorised.untilMethod(stratum.MethodNotify)
	if st := s.Stats(); st.Waiting != 0 || st.Ready != 2 || st.Stranded != 0 {
		t.Fatalf("%+v", st)
	}
	// The time that they waited is not held against them.
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.mu.Lock()
		if left := time.Until(c.until); left < s.set.Limits.Idle/2 {
			t.Errorf("%s left", left)
		}
		c.mu.Unlock()
	}
}

// TestWaitIsBoundedInNumber: who comes when enough wait is sent away at once.
func TestWaitIsBoundedInNumber(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.Waiting = 1 })
	first := s.dial(t)
	first.say(`{"id":1,"method":"mining.subscribe"}`)
	eventually(t, "it waits", func() bool { return s.Stats().Waiting == 1 })
	second := s.dial(t)
	if a := second.ask(stratum.MethodSubscribe, "[]"); a.code() != stratum.CodeOther || !strings.Contains(string(a.Error), noWork) {
		t.Fatalf("%s %s", a.Result, a.Error)
	}
	second.ended()
	eventually(t, "it is gone", func() bool { return s.Stats().Ended["no-work"] == 1 })
	// Who gives up by himself leaves nothing behind.
	first.conn.Close()
	eventually(t, "the first is gone", func() bool { return s.Stats().Waiting == 0 && s.Stats().Connections == 0 })
	third := s.dial(t)
	third.say(`{"id":1,"method":"mining.subscribe"}`)
	eventually(t, "the third waits", func() bool { return s.Stats().Waiting == 1 })
}

// TestWaitIsBoundedInTime: what was asked meanwhile is answered, too.
func TestWaitIsBoundedInTime(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.Wait = 200 * time.Millisecond })
	m := s.dial(t)
	m.say(`{"id":1,"method":"mining.subscribe"}`, `{"id":2,"method":"mining.ping"}`)
	if a := m.hear(); string(a.ID) != "1" || !strings.Contains(string(a.Error), noWork) {
		t.Fatalf("%s: %s %s", a.ID, a.Result, a.Error)
	}
	if a := m.hear(); string(a.ID) != "2" || string(a.Result) != `"pong"` {
		t.Fatalf("%s: %s %s", a.ID, a.Result, a.Error)
	}
	m.ended()
	eventually(t, "it is gone", func() bool { return s.Stats().Ended["no-work"] == 1 && s.Stats().Waiting == 0 })
}

// TestWaitIsNoFreeMemory: a client that asks on and on while it waits is
// dropped.
func TestWaitIsNoFreeMemory(t *testing.T) {
	s := open(t, func(c *Config) { c.Limits.QueuedBytes = 1 << 10 })
	m := s.dial(t)
	m.say(`{"id":1,"method":"mining.subscribe"}`, strings.Repeat(`{"id":2,"method":"mining.ping"}`+"\n", 100))
	m.ended()
	eventually(t, "flood", func() bool { return s.Stats().Ended["flood"] == 1 })
}

// TestOutageEnds: who has no work for too long is told so and closed.
func TestOutageEnds(t *testing.T) {
	s := open(t, func(c *Config) { c.Outage = 20 * time.Millisecond })
	s.setJob(t, sheetJob(t, "up", "1"))
	m := s.start(t, "a.r")
	s.CloseSession("up")
	m.untilMethod(stratum.MethodShowMessage)
	m.ended()
	eventually(t, "no work", func() bool { return s.Stats().Ended["no-work"] == 1 })
	if w := (*s.jobs.Load())[1]; !w.stale(s.clock.Now(), time.Hour) {
		t.Fatal("the work is still good")
	}
}

// TestStrandedMinerSubscribesAgain and waits like any other.
func TestStrandedMinerSubscribesAgain(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "one", "1"))
	m := s.start(t, "a.r")
	s.CloseSession("one")
	s.CloseSession("one")
	m.say(`{"id":7,"method":"mining.subscribe"}`)
	eventually(t, "it waits", func() bool { return s.Stats().Waiting == 1 && s.Stats().Stranded == 0 })
	two := sheetJob(t, "two", "1")
	two.Extranonce1 = []byte{9, 8, 7}
	s.setJob(t, two)
	x, err := stratum.ParseSubscribeResult(m.hear().Result)
	if err != nil {
		t.Fatal(err)
	}
	m.extranonce1, m.size = x.Extranonce1, x.Extranonce2Bytes
	m.untilMethod(stratum.MethodNotify)
	if _, a := m.mine("a.r", []byte{0, 0, 0, 1}, 0); string(a.Result) != "true" || !m.job.Clean {
		t.Fatalf("%s, clean %v", a.Error, m.job.Clean)
	}
}
