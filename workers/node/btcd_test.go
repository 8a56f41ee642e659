// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/node/nodetest"
	"github.com/ballast-energy/ballast/workers/node/rpc"
	"github.com/ballast-energy/ballast/workers/upstream"
	"github.com/ballast-energy/ballast/workers/upstream/confirm"
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

// A block found while the node is away is not lost.
func TestTheNodeIsRestarted(t *testing.T) {
	b := nodetest.Start(t)
	n := onBTCD(t, b)
	e, _ := run(t, n)
	_, best := b.Best()
	first := solve(t, e.behind(best), 1)
	if v := submit(t, n, first); v.State != upstream.Accepted {
		t.Fatalf("%+v", v)
	}
	second := solve(t, e.behind(first.Hash.String()), 2)
	b.Stop()
	verdicts := make(chan upstream.Verdict, 1)
	n.Submit(second, func(v upstream.Verdict) { verdicts <- v })
	e.trouble("connect")
	b.Restart()
	if v := <-verdicts; v.State != upstream.Accepted {
		t.Errorf("%+v", v)
	}
	if height, hash := b.Best(); height != 2 || hash != second.Hash.String() {
		t.Errorf("best block %s at %d", hash, height)
	}
	e.behind(second.Hash.String())
	if len(e.closed) != 0 {
		t.Errorf("closed %v", e.causes)
	}
}

// Two valid blocks of one height: one loses, and comes back in the end.
func TestARaceOnBTCD(t *testing.T) {
	b := nodetest.Start(t)
	n := onBTCD(t, b)
	e, _ := run(t, n)
	_, best := b.Best()
	j := e.behind(best)
	first, second := solve(t, j, 1), solve(t, j, 2)
	if v := submit(t, n, first); v.State != upstream.Accepted || v.Detail != "on the best chain" {
		t.Errorf("%+v", v)
	}
	if v := submit(t, n, second); v.State != upstream.Accepted || !strings.Contains(v.Detail, "not on the best chain") {
		t.Errorf("%+v", v)
	}
	if v := submit(t, n, first); v.State != upstream.Accepted || !strings.Contains(v.Detail, "already have block") {
		t.Errorf("sent again: %+v", v)
	}
	var changes []string
	tracker, err := confirm.NewTracker(n, confirm.Config{OnChange: func(c confirm.Change) error {
		name := "second"
		if c.Hash == first.Hash {
			name = "first"
		}
		changes = append(changes, name+" "+string(c.Fate))
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	tracker.Add(confirm.Block{Hash: first.Hash, Height: 1}, false)
	tracker.Add(confirm.Block{Hash: second.Hash, Height: 1}, false)
	look := func(want ...string) {
		t.Helper()
		if err := tracker.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(changes, want) {
			t.Fatalf("changes %v, want %v", changes, want)
		}
	}
	b.Generate(4)
	look() // five deep
	b.Generate(1)
	look("second orphaned")
	b.Generate(3)
	look("second orphaned")
	if len(tracker.Open()) != 2 {
		t.Errorf("open %v", tracker.Open())
	}
	// The other branch wins after all.
	b.Call(nil, "invalidateblock", first.Hash.String())
	b.Generate(1)
	look("second orphaned", "second returned")
	b.Generate(98)
	look("second orphaned", "second returned", "first orphaned", "second matured")
	b.Generate(99)
	look("second orphaned", "second returned", "first orphaned", "second matured")
	b.Generate(1)
	look("second orphaned", "second returned", "first orphaned", "second matured", "first lost")
	if len(tracker.Open()) != 0 {
		t.Errorf("open %v", tracker.Open())
	}
}

// Transactions with a witness, which the block has to commit to.
func TestTransactionsOnBTCD(t *testing.T) {
	b := nodetest.Start(t)
	// Who may spend the coins is everybody: the script is "true".
	script := []byte{0x51}
	program := sha256.Sum256(script)
	payTo, err := address.NewAddressWitnessScriptHash(program[:], &chaincfg.SimNetParams)
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{ID: "solo", Network: nodetest.Network, Address: payTo.EncodeAddress(), Nodes: []rpc.Endpoint{b.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	e, _ := run(t, n)
	_, best := b.Best()
	s := solve(t, e.behind(best), 1)
	if v := submit(t, n, s); v.State != upstream.Accepted {
		t.Fatalf("%+v", v)
	}
	b.Generate(299) // coins mature, and witnesses are allowed
	_, best = b.Best()
	e.behind(best)

	var block wire.MsgBlock
	raw, err := hex.DecodeString(b.Block(s.Hash.String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := block.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	// A chain of transactions: their order in the block matters.
	spend, value := block.Transactions[0].TxHash(), block.Transactions[0].TxOut[0].Value
	output := append([]byte{0, 32}, program[:]...)
	var ids []string
	for range 3 {
		tx := wire.NewMsgTx(2)
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: spend}, Witness: wire.TxWitness{script}, Sequence: wire.MaxTxInSequenceNum})
		value -= 10_000
		tx.AddTxOut(&wire.TxOut{Value: value, PkScript: output})
		var buf bytes.Buffer
		if err := tx.Serialize(&buf); err != nil {
			t.Fatal(err)
		}
		var id string
		b.Call(&id, "sendrawtransaction", hex.EncodeToString(buf.Bytes()))
		ids, spend = append(ids, id), tx.TxHash()
	}
	// The node makes a template with them when its last is a minute old, or
	// the tip is another. One block of an earlier job makes it another.
	if v := submit(t, n, solve(t, e.behind(best), 2)); v.State != upstream.Accepted {
		t.Fatalf("%+v", v)
	}
	j := e.job("a job with the transactions", func(j *upstream.Job) bool { return len(j.Branches) > 0 })
	if j.Terms.RewardSats != 5_000_030_000 || len(j.Branches) != 2 {
		t.Errorf("reward %d, branches %d", j.Terms.RewardSats, len(j.Branches))
	}
	s = solve(t, j, 3)
	if v := submit(t, n, s); v.State != upstream.Accepted || v.Detail != "on the best chain" {
		t.Fatalf("%+v", v)
	}
	if raw, err = hex.DecodeString(b.Block(s.Hash.String())); err != nil {
		t.Fatal(err)
	}
	block = wire.MsgBlock{}
	if err := block.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, tx := range block.Transactions[1:] {
		got = append(got, tx.TxHash().String())
	}
	if !slices.Equal(got, ids) {
		t.Errorf("transactions %v, want %v", got, ids)
	}
}
