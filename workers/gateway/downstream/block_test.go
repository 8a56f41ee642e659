// SPDX-License-Identifier: Apache-2.0

package downstream_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// simnet is a chain on which every second hash is a block.
type simnet struct{ pool }

func (p *simnet) Run(ctx context.Context, sink upstream.Sink) error {
	sink.Opened(upstream.Session{ID: "s1", Address: "http://node.example", Primary: true})
	now := uint32(time.Now().Unix())
	sink.Job(&upstream.Job{
		Session: "s1", ID: "1", Version: 0x20000000, PrevHash: hashengine.DoubleSHA256([]byte("prev")),
		Coinbase1: []byte(strings.Repeat("a", 60)), Coinbase2: []byte(strings.Repeat("b", 60)), Extranonce2Bytes: 8,
		NTime: now, MinTime: now - 600, MaxTime: now + 7200, Bits: 0x207fffff, Height: 7, Difficulty: "0.0000000004656542373906925", Clean: true,
		Terms: upstream.Terms{Scheme: events.SchemeSolo, RewardSats: 5_000_000_000, Basis: events.BasisLive}, Received: time.Now(),
	})
	<-ctx.Done()
	sink.Closed("s1", nil)
	return nil
}

// TestBlockOfATestChain: its difficulty has more digits than events hold, and
// the block is submitted and stored all the same.
func TestBlockOfATestChain(t *testing.T) {
	for name, lowest := range map[string]string{"miner at the network's difficulty": "0.0000000001", "miner far above it": "1"} {
		t.Run(name, func(t *testing.T) {
			p := new(simnet)
			_, _, srv, _ := stack(t, p, lowest, lowest)
			m := dial(t, srv)
			m.subscribe()
			m.ask("mining.authorize", "acct.r", "x")
			for m.notify == nil {
				m.next()
			}
			m.level = "0.00000000047"
			en2, ntime, nonce := m.solve(1)
			if v := m.ask("mining.submit", "acct.r", m.notify[0], en2, ntime, nonce); string(v.Result) != "true" {
				t.Fatalf("%s %v", v.Result, v.Error)
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.got) != 1 || !p.got[0].Block {
				t.Fatalf("the upstream got %+v", p.got)
			}
		})
	}
}
