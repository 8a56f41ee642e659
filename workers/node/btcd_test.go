// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/node/nodetest"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/upstream"
)

func onBTCD(t *testing.T, nodes ...*nodetest.BTCD) *node.Node {
	t.Helper()
	c := node.Config{ID: "solo", Network: nodetest.Network, Address: nodetest.Address, Tag: "/Ballast test/", ExtranoncePrefix: []byte{0xb1, 0x07}}
	for _, b := range nodes {
		e, err := rpc.ParseEndpoint(b.URL())
		if err != nil {
			t.Fatal(err)
		}
		c.Nodes = append(c.Nodes, e)
	}
	n, err := node.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// behind waits for a job that builds on the block.
func (e *ears) behind(hash string) *upstream.Job {
	e.t.Helper()
	want, err := hashengine.ParseHash(hash)
	if err != nil {
		e.t.Fatal(err)
	}
	return e.job("a job behind "+hash, func(j *upstream.Job) bool { return j.PrevHash == want })
}

func TestMinesOnBTCD(t *testing.T) {
	const blocks = 25
	b := nodetest.Start(t)
	n := onBTCD(t, b)
	e, _ := run(t, n)
	network, err := coinbase.NetworkByName(nodetest.Network)
	if err != nil {
		t.Fatal(err)
	}
	payout, err := network.PayoutScript(nodetest.Address)
	if err != nil {
		t.Fatal(err)
	}
	_, best := b.Best()
	for height := int64(1); height <= blocks; height++ {
		j := e.behind(best)
		if j.Height != height || !j.Clean && height > 1 {
			t.Fatalf("job %+v at height %d", j, height)
		}
		s := solve(t, j, uint64(height))
		if !s.Block {
			t.Fatalf("the job's difficulty %s lets through what is no block", j.Difficulty)
		}
		if s.Version == j.Version {
			t.Fatal("the version was not rolled")
		}
		v := submit(t, n, s)
		if v.State != upstream.Accepted || v.Written.IsZero() || v.Answered.Before(v.Written) {
			t.Fatalf("height %d: %+v", height, v)
		}
		best = s.Hash.String()
	}
	// What the node's own chain says, read by other code.
	height, tip := b.Best()
	if height != blocks || tip != best {
		t.Fatalf("best block %s at %d, want %s at %d", tip, height, best, blocks)
	}
	for h := int64(1); h <= blocks; h++ {
		raw, err := hex.DecodeString(b.Block(b.Hash(h)))
		if err != nil {
			t.Fatal(err)
		}
		var block wire.MsgBlock
		if err := block.Deserialize(bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		tx := block.Transactions[0]
		if out := tx.TxOut[0]; out.Value != network.Subsidy(h) || !bytes.Equal(out.PkScript, payout) {
			t.Errorf("block %d pays %d to %x", h, out.Value, out.PkScript)
		}
		if script := tx.TxIn[0].SignatureScript; !bytes.HasPrefix(script, coinbase.HeightPush(h)) || !bytes.Contains(script, []byte("/Ballast test/")) || !bytes.Contains(script, []byte{0xb1, 0x07}) {
			t.Errorf("script of block %d: %x", h, script)
		}
	}
	if c, err := n.Confirmations(t.Context(), mustHash(t, b.Hash(1))); err != nil || c != blocks {
		t.Errorf("first block has %d confirmations, %v", c, err)
	}
}

func mustHash(t *testing.T, text string) hashengine.Hash {
	t.Helper()
	h, err := hashengine.ParseHash(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

var _ = events.RejectLow
