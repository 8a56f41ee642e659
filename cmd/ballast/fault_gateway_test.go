// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node/nodetest"
	"github.com/ballast-energy/ballast/workers/stratum/server"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// gateway starts a gateway to a node in a process of its own.
func (s *faultSite) gateway(id string, node *nodetest.BTCD, args ...string) *process {
	s.t.Helper()
	p := start(s.t, s.dir, append([]string{"gateway", "--site", faultSiteID, "--id", id, "--upstream", node.URL(),
		"--pool", "node-a", "--network", nodetest.Network, "--address", nodetest.Address, "--server", s.url, "--json"}, args...)...)
	p.waitLine(`"gateway"`, patience)
	return p
}

// worker starts a CPU worker in a process of its own.
func (s *faultSite) worker(id string) *process {
	s.t.Helper()
	return start(s.t, s.dir, "worker", "--site", faultSiteID, "--id", id, "--threads", "1", "--server", s.url, "--json")
}

// account is what SHARES says of the shares of gateways.
type account struct {
	found, submitted, verdicts map[string]int
	// won at the pool; local are accepted by the gateway alone, being worth less
	// than a share of the pool.
	won, local, rejected, unknown map[string]int
	refusals                      []*events.ShareRejected
	blocks                        map[string]int64 // heights by hash
}

func (s *faultSite) account() *account {
	s.t.Helper()
	a := &account{found: map[string]int{}, submitted: map[string]int{}, verdicts: map[string]int{}, won: map[string]int{}, local: map[string]int{}, rejected: map[string]int{}, unknown: map[string]int{}, blocks: map[string]int64{}}
	for e, err := range s.b.Events(s.t.Context(), events.ReadRequest{Stream: events.StreamShares, Site: faultSiteID}) {
		if err != nil {
			s.t.Fatal(err)
		}
		switch p := e.Data.(type) {
		case *events.ShareFound:
			a.found[p.ShareID]++
		case *events.ShareSubmitted:
			a.submitted[p.ShareID]++
		case *events.ShareAccepted:
			a.verdicts[p.ShareID]++
			if p.Local {
				a.local[p.ShareID]++
			} else {
				a.won[p.ShareID]++
			}
		case *events.ShareRejected:
			a.verdicts[p.ShareID]++
			a.rejected[p.ShareID]++
			a.refusals = append(a.refusals, p)
		case *events.ShareUnknown:
			a.verdicts[p.ShareID]++
			a.unknown[p.ShareID]++
		case *events.BlockFound:
			a.blocks[p.BlockHash] = p.Height
		}
	}
	return a
}

// check fails the test unless every share found has one verdict, and only
// shares that may have been written are unknown.
func (a *account) check(t *testing.T) {
	t.Helper()
	for id, n := range a.found {
		if n != 1 || a.verdicts[id] != 1 {
			t.Errorf("share %s: found %d times, %d verdicts", id, n, a.verdicts[id])
		}
	}
	for id := range a.verdicts {
		if a.found[id] == 0 {
			t.Errorf("a verdict on share %s, which nobody found", id)
		}
	}
	for id := range a.unknown {
		if a.submitted[id] == 0 {
			t.Errorf("share %s is unknown and was never submitted", id)
		}
	}
	for id := range a.local {
		if a.submitted[id] > 0 {
			t.Errorf("share %s was submitted and is accepted without a word of the pool", id)
		}
	}
}

// A real node, a gateway, a worker, each a process of its own: blocks go from
// the worker's threads over the bus and the gateway to the node, and the node's
// own chain consists of them.
func TestGatewayMinesOnARealNode(t *testing.T) {
	node := nodetest.Start(t)
	s := newFaultSite(t, faultOptions{})
	s.running(s.calm(500_000))
	s.role("dispatcher", "d")
	gateway := s.gateway("gw-1", node, "--shares-per-second", "10")
	worker := s.worker("rig-1")

	const want = 20
	height := func() (n int64) {
		node.Call(&n, "getblockcount")
		return n
	}
	until(t, patience, fmt.Sprintf("%d blocks on the node's chain", want), func() bool { return height() >= want })
	out := mustBallast(t, s.dir, "pool", "status", "--json", "--server", s.url)
	if status := jsonLines(t, out); len(status) != 1 || status[0]["alive"] != true || status[0]["gateway"] != "gw-1" {
		t.Errorf("pool status: %s", out)
	}
	if code := worker.end(patience); code != 0 {
		t.Errorf("worker ended with %d", code)
	}
	var a *account
	until(t, patience, "a verdict on every share", func() bool {
		a = s.account()
		return len(a.found) > 0 && len(a.found) == len(a.verdicts)
	})
	if code := gateway.end(patience); code != 0 {
		t.Errorf("gateway ended with %d", code)
	}
	a = s.account()
	a.check(t)
	for h := int64(1); h <= height(); h++ {
		var hash string
		node.Call(&hash, "getblockhash", h)
		if at, ours := a.blocks[hash]; !ours || at != h {
			t.Errorf("block %d of the chain is %s, which we did not find", h, hash)
		}
	}
	t.Logf("%d blocks on the node's chain, %d found; %d shares, %d accepted, %d unknown", height(), len(a.blocks), len(a.found), len(a.won), len(a.unknown))
	if len(a.unknown) > 0 {
		t.Errorf("%d shares are unknown though nothing was killed", len(a.unknown))
	}
}

// poolOf is a pool in the test: it takes every share, a while after it came,
// so that there is nearly always an answer due.
type poolOf struct {
	address string
	mu      sync.Mutex
	taken   map[string]bool
}

// startPool listens on loopback and hands out one job, whose coinbase and
// branches are made up.
func startPool(t *testing.T, difficulty string) *poolOf {
	t.Helper()
	p := &poolOf{taken: map[string]bool{}}
	srv, err := server.Listen(server.Config{
		Endpoints: []server.Endpoint{{Address: "127.0.0.1:0"}}, Authoriser: server.AuthoriserFunc(server.AnyName),
		MinDifficulty: difficulty, MaxDifficulty: difficulty, StartDifficulty: difficulty,
		Sink: server.SinkFunc(func(s server.Share, done func(error)) {
			p.mu.Lock()
			p.taken[s.Hash.String()] = true
			p.mu.Unlock()
			time.AfterFunc(30*time.Millisecond, func() { done(nil) })
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.address = srv.Addresses()[0].String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	unhex := func(text string) []byte {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	now := uint32(time.Now().Unix())
	job := &upstream.Job{
		Session: "one", ID: "1", Version: 0x20000000, VersionMask: hashengine.VersionRollingMask,
		PrevHash: hashengine.DoubleSHA256([]byte("the block before")), Bits: 0x17034219,
		Coinbase1:   unhex("02000000010000000000000000000000000000000000000000000000000000000000000000ffffffff1b0341d10c092f62616c6c6173742f0c"),
		Extranonce1: unhex("a511026b"), Extranonce2Bytes: 12,
		Coinbase2: unhex("ffffffff0160aaec1200000000160014751e76e8199196d454941c45d1b3a323f1433bd600000000"),
		NTime:     now, MinTime: now, MaxTime: now + 7200, Height: 840001, Difficulty: difficulty, Clean: true, Received: time.Now(),
	}
	if err := srv.SetJob(job); err != nil {
		t.Fatal(err)
	}
	return p
}

// The gateway and the workers are killed fifty times with shares on their way.
func TestFaultGatewayAndWorkerKilled(t *testing.T) {
	pool := startPool(t, "0.00390625")
	s := newFaultSite(t, faultOptions{})
	s.running(s.calm(500_000))
	s.role("dispatcher", "d")
	s.role("market", "market")
	launch := []func() *process{
		func() *process {
			p := start(t, s.dir, "gateway", "--site", faultSiteID, "--id", "gw-1", "--upstream", "stratum+tcp://acct.tx1:x@"+pool.address,
				"--pool", "pool-a", "--fee-ppm", "10000", "--server", s.url, "--json")
			p.waitLine(`"gateway"`, patience)
			return p
		},
		func() *process { return s.worker("rig-1") },
		func() *process { return s.worker("rig-2") },
	}
	running := make([]*process, len(launch))
	for i, f := range launch {
		running[i] = f()
	}
	next(s, "a share is accepted", func(events.Of[events.ShareAccepted]) bool { return true })
	random := rand.New(rand.NewPCG(3, 50))
	const deaths, enough = 50, 10
	// On a busy machine a share takes long to find: then they die on.
	died := 0
	for ; died < deaths || died < 4*deaths && len(s.account().submitted) < enough; died++ {
		n, victim := died, 0 // mostly the gateway: a worker needs seconds to earn its permit again
		if n%5 == 4 {
			victim = 1 + n%2
		}
		<-time.After(time.Duration(300+random.IntN(1200)) * time.Millisecond) // the moment of death
		running[victim].kill()
		running[victim] = launch[victim]()
	}
	next(s, "a share is accepted after the last death", func(e events.Of[events.ShareAccepted]) bool {
		return e.Data.JudgedAt.After(time.Now().Add(-5 * time.Second))
	})
	for _, p := range running[1:] {
		if code := p.end(patience); code != 0 {
			t.Errorf("%s ended with %d", p.name, code)
		}
	}
	var a *account
	until(t, patience, "a verdict on every share", func() bool {
		a = s.account()
		return len(a.found) == len(a.verdicts)
	})
	if code := running[0].end(patience); code != 0 {
		t.Errorf("gateway ended with %d", code)
	}
	a = s.account()
	a.check(t)
	pool.mu.Lock()
	defer pool.mu.Unlock()
	for id := range pool.taken {
		if a.found[id] == 0 || a.rejected[id] > 0 {
			t.Errorf("the pool took share %s, which is found %d times and rejected %d times", id, a.found[id], a.rejected[id])
		}
	}
	for id := range a.won {
		if !pool.taken[id] {
			t.Errorf("share %s is accepted, and the pool has never seen it", id)
		}
	}
	// A session dies with its gateway, and the pool with it forgets the
	// extranonce under which its jobs were searched: what was found between the
	// death and the next start's work can be submitted nowhere. Nothing else is
	// rejected.
	for _, r := range a.refusals {
		if r.Reason != events.RejectStale || !strings.Contains(r.Detail, "started anew since the job") || a.submitted[r.ShareID] > 0 {
			t.Errorf("share %s of job %s is rejected as %s, %q; submitted %d times", r.ShareID, r.JobID, r.Reason, r.Detail, a.submitted[r.ShareID])
		}
	}
	t.Logf("%d deaths; %d shares found = %d accepted + %d worth less than the pool's + %d rejected + %d unknown; the pool took %d", died, len(a.found), len(a.won), len(a.local), len(a.rejected), len(a.unknown), len(pool.taken))
	if len(a.won) == 0 || len(a.submitted) < enough {
		t.Errorf("%d shares submitted, %d accepted: no load", len(a.submitted), len(a.won))
	}
}
