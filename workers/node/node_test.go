// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// number waits for the job of that number, from 1.
func (e *ears) number(n int) *upstream.Job {
	e.t.Helper()
	var j *upstream.Job
	e.await("jobs", func() bool {
		if len(e.jobs) < n {
			return false
		}
		j = e.jobs[n-1]
		return true
	})
	return j
}

func TestAJobOfATemplate(t *testing.T) {
	f := newFake(t)
	f.template["transactions"] = []any{someTransaction(t)}
	delete(f.template, "default_witness_commitment")
	n := newNode(t, config(f))
	e, stop := run(t, n)
	j := e.number(1)
	s := e.sessions[0]
	if s.ID != j.Session || !s.Primary || s.Address != f.srv.URL || s.VersionMask != hashengine.VersionRollingMask {
		t.Errorf("session %+v", s)
	}
	if j.Height != 1 || j.Bits != 0x207fffff || !j.Clean || j.Version != 0x20000000 || j.VersionMask != hashengine.VersionRollingMask || j.Extranonce2Bytes != 8 ||
		j.NTime != 1700000000 || j.MinTime != 1296688603 || j.MaxTime != 1700003600 || len(j.Branches) != 1 {
		t.Errorf("job %+v", j)
	}
	if len(j.Extranonce1) != 6 || j.Extranonce1[0] != 1 || j.Extranonce1[1] != 2 {
		t.Errorf("extranonce1 %x", j.Extranonce1)
	}
	if j.Terms != (upstream.Terms{Scheme: events.SchemeSolo, RewardSats: 5e9, Basis: events.BasisPractice}) {
		t.Errorf("terms %+v", j.Terms)
	}
	// The commitment was not given, and is needed.
	if commits, err := coinbase.Commits(j.Coinbase2); err != nil || !commits {
		t.Errorf("no commitment in %x, %v", j.Coinbase2, err)
	}
	var asked struct{ Rules, Capabilities []string }
	f.set(func() {
		if err := json.Unmarshal(f.requests["getblocktemplate"], &asked); err != nil {
			t.Error(err)
		}
	})
	if len(asked.Rules) != 1 || asked.Rules[0] != "segwit" {
		t.Errorf("rules %v", asked.Rules)
	}
	stop()
	if len(e.closed) != 1 || e.closed[0] != s.ID || e.causes[0] != nil {
		t.Errorf("closed %v %v", e.closed, e.causes)
	}
}

func TestLongpollBringsJobs(t *testing.T) {
	f := newFake(t)
	e, _ := run(t, newNode(t, config(f)))
	first := e.number(1)
	f.set(func() { f.template = template(2, blockHash(1)) })
	second := e.number(2)
	if !second.Clean || second.Height != 2 || second.ID == first.ID {
		t.Errorf("job %+v", second)
	}
	// More transactions for the same block.
	f.set(func() {
		f.template["longpollid"] = "other"
		f.template["coinbasevalue"] = 5000000100
	})
	third := e.number(3)
	if third.Clean || third.Terms.RewardSats != 5000000100 || third.Terms.FeesSats != 100 || third.PrevHash != second.PrevHash {
		t.Errorf("job %+v", third)
	}
}

func TestTheTipIsWatchedWithoutLongpoll(t *testing.T) {
	f := newFake(t)
	delete(f.template, "longpollid")
	e, _ := run(t, newNode(t, config(f)))
	e.number(1)
	f.set(func() {
		f.template = template(2, blockHash(1))
		delete(f.template, "longpollid")
	})
	if j := e.number(2); j.Height != 2 {
		t.Errorf("job %+v", j)
	}
}

func TestTemplatesComeByTheClock(t *testing.T) {
	f := newFake(t)
	f.raw["longpoll"] = hang{}
	c := config(f)
	c.Refresh = 20 * time.Millisecond
	e, _ := run(t, newNode(t, c))
	e.number(1)
	f.set(func() { f.template["curtime"] = 1700000030 })
	if j := e.number(2); j.Clean || j.NTime != 1700000030 {
		t.Errorf("job %+v", j)
	}
}

func TestALongpollThatComesAtOnceIsNotAskedWithoutEnd(t *testing.T) {
	f := newFake(t)
	f.raw["longpoll"] = template(1, f.genesis)
	c := config(f)
	c.Refresh = 50 * time.Millisecond
	e, stop := run(t, newNode(t, c))
	e.number(1)
	for i := 1; f.count("getbestblockhash") < 5; i++ { // some five refreshes
		time.Sleep(time.Millisecond)
	}
	stop()
	if got, refreshes := f.count("getblocktemplate"), f.count("getbestblockhash"); got > 6*refreshes {
		t.Errorf("%d calls in %d refreshes", got, refreshes)
	}
}

func TestWrongNetworkIsForGood(t *testing.T) {
	f := newFake(t)
	main, err := coinbase.NetworkByName("main")
	if err != nil {
		t.Fatal(err)
	}
	f.genesis = main.Genesis().String()
	err = newNode(t, config(f)).Run(t.Context(), newEars(t))
	if !errors.Is(err, node.ErrWrongNetwork) || !strings.Contains(err.Error(), "is on main, configured is regtest") {
		t.Errorf("%v", err)
	}
	// Beside one on the right network it is only not used.
	other := newFake(t)
	e, _ := run(t, newNode(t, config(f, other)))
	e.number(1)
	if s := e.sessions[0]; s.Primary || s.Address != other.srv.URL {
		t.Errorf("session %+v", s)
	}
	e.trouble("is on main")
	// Nor is a custom network known by name.
	f.set(func() { f.genesis = blockHash(0) })
	if err := newNode(t, config(f)).Run(t.Context(), newEars(t)); !errors.Is(err, node.ErrWrongNetwork) || !strings.Contains(err.Error(), "begins with block") {
		t.Errorf("%v", err)
	}
}

func TestSignetThatWantsSignatures(t *testing.T) {
	f := newFake(t)
	f.template["signet_challenge"] = "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430210359ef5021964fe22d6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c452ae"
	if err := newNode(t, config(f)).Run(t.Context(), newEars(t)); !errors.Is(err, node.ErrSignet) {
		t.Errorf("%v", err)
	}
}

func TestANodeThatIsNotReadyIsWaitedFor(t *testing.T) {
	f := newFake(t)
	for _, r := range []*refusal{{-28, "Loading block index…"}, {-9, "Bitcoin Core is not connected!"}, {-10, "downloading blocks..."}} {
		f.set(func() { f.raw["getblocktemplate"] = r })
		n := newNode(t, config(f))
		e, stop := run(t, n)
		e.trouble(r.Message)
		f.set(func() { delete(f.raw, "getblocktemplate") })
		e.number(1)
		stop()
	}
}

func TestFailureAndReturn(t *testing.T) {
	first, second := newFake(t), newFake(t)
	c := config(first, second)
	c.Refresh, c.PrimaryRetry = 20*time.Millisecond, 20*time.Millisecond
	n := newNode(t, c)
	e, _ := run(t, n)
	e.number(1)
	first.set(func() { first.raw["getblocktemplate"] = rawBody("<html>") })
	e.await("the second node", func() bool { return len(e.sessions) == 2 && len(e.closed) == 1 })
	if s := e.sessions[1]; s.Primary || s.Address != second.srv.URL || s.ID == e.sessions[0].ID {
		t.Errorf("session %+v", s)
	}
	e.trouble("not JSON-RPC")
	// The first is back, but behind: it is not returned to.
	second.set(func() { second.template = template(3, blockHash(2)) })
	e.job("height 3", func(j *upstream.Job) bool { return j.Height == 3 })
	first.set(func() { delete(first.raw, "getblocktemplate") })
	for before := first.count("getblocktemplate"); first.count("getblocktemplate") < before+3; {
		time.Sleep(time.Millisecond)
	}
	if got := len(e.sessions); got != 2 {
		t.Errorf("%d sessions", got)
	}
	first.set(func() { first.template = template(3, blockHash(2)) })
	e.await("the first node", func() bool { return len(e.sessions) == 3 })
	if s := e.sessions[2]; !s.Primary {
		t.Errorf("session %+v", s)
	}
}

func TestASessionOutlivesAShortAbsence(t *testing.T) {
	f := newFake(t)
	c := config(f)
	c.Refresh = 20 * time.Millisecond
	e, _ := run(t, newNode(t, c))
	e.number(1)
	f.set(func() { f.raw["getblocktemplate"] = rawBody(""); f.raw["longpoll"] = rawBody("") })
	e.await("troubles", func() bool { return len(e.troubles) >= 4 })
	f.set(func() { clear(f.raw); f.template = template(2, blockHash(1)) })
	if j := e.number(2); j.Session != e.sessions[0].ID || len(e.sessions) != 1 {
		t.Errorf("job %+v of sessions %v", j, e.sessions)
	}
}

func TestASessionEndsAfterALongAbsence(t *testing.T) {
	f := newFake(t)
	c := config(f)
	c.Refresh, c.Grace = 20*time.Millisecond, 300*time.Millisecond
	e, _ := run(t, newNode(t, c))
	e.number(1)
	f.set(func() { f.raw["getblocktemplate"] = &refusal{-10, "downloading"}; f.raw["longpoll"] = hang{} })
	e.await("the end", func() bool { return len(e.closed) == 1 && e.causes[0] != nil })
	f.set(func() { clear(f.raw) })
	e.await("a new session", func() bool { return len(e.sessions) == 2 && len(e.jobs) == 2 })
	if string(e.jobs[0].Extranonce1) == string(e.jobs[1].Extranonce1) {
		t.Error("two sessions have one extranonce1")
	}
}

func TestAChainThatGoesBack(t *testing.T) {
	f := newFake(t)
	f.template = template(10, blockHash(9))
	c := config(f)
	c.Refresh = 20 * time.Millisecond
	e, _ := run(t, newNode(t, c))
	e.number(1)
	// An old answer, while the node's best block is still the same: dropped.
	f.set(func() { f.template, f.best = template(9, blockHash(8)), blockHash(9) })
	for before := f.count("getblocktemplate"); f.count("getblocktemplate") < before+4; {
		time.Sleep(time.Millisecond)
	}
	e.await("nothing new", func() bool { return len(e.jobs) == 1 && len(e.troubles) == 0 })
	// The node means it.
	f.set(func() { f.best = "" })
	j := e.job("height 9", func(j *upstream.Job) bool { return j.Height == 9 })
	if !j.Clean {
		t.Error("work on a block that is gone goes on")
	}
	e.trouble("went back from height 10")
	// Another branch of the same height is the network's ordinary life.
	f.set(func() { f.template = template(9, blockHash(88)) })
	e.job("the other branch", func(j *upstream.Job) bool { return j.PrevHash.String() == blockHash(88) })
	e.await("no further trouble", func() bool { return len(e.troubles) == 1 })
	// And back to the one before: said.
	f.set(func() { f.template = template(9, blockHash(8)) })
	e.await("trouble", func() bool { return len(e.troubles) == 2 })
	// Two heights for one block are nonsense.
	f.set(func() { f.template = template(12, blockHash(8)) })
	e.trouble("two heights")
}

func TestANodeBehindTheOther(t *testing.T) {
	first, second := newFake(t), newFake(t)
	first.template = template(10, blockHash(9))
	second.template = template(8, blockHash(7))
	c := config(first, second)
	c.Refresh = 20 * time.Millisecond
	e, _ := run(t, newNode(t, c))
	e.number(1)
	first.set(func() { first.raw["getblocktemplate"] = rawBody("") })
	j := e.job("height 8", func(j *upstream.Job) bool { return j.Height == 8 })
	if !j.Clean {
		t.Error("not clean")
	}
	e.trouble("builds on height 7, and 9 has been seen")
}

func TestConfigurationsThatCannotWork(t *testing.T) {
	good := node.Config{ID: "solo", Nodes: []rpc.Endpoint{{URL: "http://127.0.0.1:1"}}, Network: "main", Address: "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", Tag: strings.Repeat("x", 50), ExtranoncePrefix: make([]byte, 8)}
	if _, err := node.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*node.Config){
		"id":             func(c *node.Config) { c.ID = "Solo!" },
		"no node":        func(c *node.Config) { c.Nodes = nil },
		"network":        func(c *node.Config) { c.Network = "mainnet" },
		"other network":  func(c *node.Config) { c.Network = "regtest" },
		"address":        func(c *node.Config) { c.Address = "x" },
		"tag":            func(c *node.Config) { c.Tag = strings.Repeat("x", 76) },
		"tag with bytes": func(c *node.Config) { c.Tag = "ü" },
		"prefix":         func(c *node.Config) { c.ExtranoncePrefix = make([]byte, 9) },
		"negative":       func(c *node.Config) { c.Refresh = -1 },
		"certificate":    func(c *node.Config) { c.Nodes = []rpc.Endpoint{{URL: "https://h:1", CAFile: "/nowhere"}} },
	} {
		c := good
		spoil(&c)
		if _, err := node.New(c); !errors.Is(err, node.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRunEndsWhileNobodyAnswers(t *testing.T) {
	f := newFake(t)
	f.raw["getblockhash"] = hang{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- newNode(t, config(f)).Run(ctx, newEars(t)) }()
	for f.count("getblockhash") == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
