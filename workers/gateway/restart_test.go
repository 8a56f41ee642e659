// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"github.com/ballast-energy/ballast/events"
	solo "github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/nodetest"
	"github.com/ballast-energy/ballast/workers/node/rpc"
)

// blockOf a real node, as other code reads it.
func blockOf(t *testing.T, n *nodetest.BTCD, hash string) *wire.MsgBlock {
	t.Helper()
	raw, err := hex.DecodeString(n.Block(hash))
	if err != nil {
		t.Fatal(err)
	}
	var b wire.MsgBlock
	if err := b.Deserialize(bytes.NewReader(raw)); err != nil {
		t.Fatal(err)
	}
	return &b
}

// Who may spend what everybody is paid is everybody: the script is "true".
var everybodysScript = []byte{0x51}

// everybody is the address of that.
func everybody(t *testing.T) string {
	t.Helper()
	program := sha256.Sum256(everybodysScript)
	payTo, err := address.NewAddressWitnessScriptHash(program[:], &chaincfg.SimNetParams)
	if err != nil {
		t.Fatal(err)
	}
	return payTo.EncodeAddress()
}

// spend sends the node a transaction that spends the coins of a block, paid to
// everybody, with a fee of 10,000 satoshi.
func spend(t *testing.T, n *nodetest.BTCD, block string) *wire.MsgTx {
	t.Helper()
	program := sha256.Sum256(everybodysScript)
	coins := blockOf(t, n, block).Transactions[0]
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(&wire.TxIn{PreviousOutPoint: wire.OutPoint{Hash: coins.TxHash()}, Witness: wire.TxWitness{everybodysScript}, Sequence: wire.MaxTxInSequenceNum})
	tx.AddTxOut(&wire.TxOut{Value: coins.TxOut[0].Value - 10_000, PkScript: append([]byte{0, 32}, program[:]...)})
	var text bytes.Buffer
	if err := tx.Serialize(&text); err != nil {
		t.Fatal(err)
	}
	n.Call(nil, "sendrawtransaction", hex.EncodeToString(text.Bytes()))
	return tx
}

// A block with transactions is found while the gateway is dead. The node has
// been restarted, too, and offers other transactions than before: the gateway
// that comes makes the block of what it had kept, and the node's chain shows it.
func TestABlockWithTransactionsFoundAfterAKillReachesTheChain(t *testing.T) {
	real := nodetest.Start(t)
	b := openBus(t)
	upstreamIn := func(dir string) *solo.Node {
		n, err := solo.New(solo.Config{ID: "node-a", Nodes: []rpc.Endpoint{real.Endpoint()}, Network: nodetest.Network, Address: everybody(t), Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m := &mortal{Bus: b, kill: cancel}
	m.left.Store(1 << 30)
	ended := make(chan error, 1)
	first := newGateway(t, m, "gw-a", upstreamIn(dir))
	go func() { ended <- first.Run(ctx) }()

	r := newRig(t, b, "rig-1")
	at := func(height int64) *events.WorkAssigned {
		t.Helper()
		return r.await("work", func(w *events.WorkAssigned) bool { return w.Height == height })
	}
	publish(t, b, r.status(true))
	w := at(1)
	coins := solve(t, w, "rig-1", w.ShareDifficulty, 0, 1)[0]
	r.found(coins)
	at(2)
	real.Generate(299) // the coins mature, and witnesses are allowed
	w = at(301)
	// The node offers the transaction with the next block.
	tx := spend(t, real, coins.ShareID)
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 0, 1)...)
	w = r.await("work with the transaction", func(w *events.WorkAssigned) bool { return len(w.MerkleBranches) > 0 })
	// What a share is worth comes from the template: subsidy and fees.
	worth := events.Payout{Pool: "node-a", NBits: "207fffff", RewardSats: 50_0000_0000 + 10_000, Scheme: events.SchemeSolo, Basis: events.BasisPractice}
	if w.Payout != worth {
		t.Errorf("work pays %+v, want %+v", w.Payout, worth)
	}
	await(t, b, "two blocks", func(s tally) bool { return len(s.accepted) == 2 })
	eventually(t, "the template to be kept", func() bool {
		kept, err := filepath.Glob(filepath.Join(dir, "templates", "*"))
		if err != nil || len(kept) == 0 {
			return false
		}
		info, err := os.Stat(kept[len(kept)-1])
		return err == nil && info.Size() > 100
	})
	// What a kill leaves: nothing that is done at the end counts.
	left := filepath.Join(t.TempDir(), "left")
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	_ = m.die()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	real.Stop()
	real.Restart() // what was to be confirmed is forgotten

	block := solve(t, w, "rig-1", w.ShareDifficulty, 0, 1)[0]
	r.found(block)
	run(t, newGateway(t, b, "gw-a", upstreamIn(left)).Run)
	s := await(t, b, "the verdict", func(s tally) bool { return s.judged() == 3 })
	s.balanced(t)
	if len(s.accepted) != 3 {
		t.Fatalf("unknown %v, refused %v, blocks %v", s.unknown, s.refused, s.blocks)
	}
	if a := s.accepted[2]; a.ShareID != block.ShareID || a.Payout != worth || !a.Block {
		t.Errorf("%+v", a)
	}
	if height, hash := real.Best(); height != w.Height || hash != block.ShareID {
		t.Fatalf("best block %s at %d, want %s at %d", hash, height, block.ShareID, w.Height)
	}
	if got := blockOf(t, real, block.ShareID).Transactions; len(got) != 2 || got[1].TxHash() != tx.TxHash() {
		t.Errorf("%d transactions", len(got))
	}
}
