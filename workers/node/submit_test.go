// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"bytes"

	"github.com/btcsuite/btcd/wire/v2"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// lastBlock that the node got, as others read it.
func (f *fake) lastBlock() *wire.MsgBlock {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.submitted) == 0 {
		f.t.Fatal("no block was submitted")
	}
	raw, err := hex.DecodeString(f.submitted[len(f.submitted)-1])
	if err != nil {
		f.t.Fatal(err)
	}
	var b wire.MsgBlock
	r := bytes.NewReader(raw)
	if err := b.Deserialize(r); err != nil {
		f.t.Fatal(err)
	}
	if r.Len() != 0 {
		f.t.Errorf("%d bytes behind the block", r.Len())
	}
	return &b
}

func TestABlockAsItIsSent(t *testing.T) {
	f := newFake(t)
	tx := someTransaction(t)
	f.template["transactions"] = []any{tx}
	delete(f.template, "default_witness_commitment")
	n := newNode(t, config(f))
	e, _ := run(t, n)
	s := solve(t, e.number(1), 7)
	v := submit(t, n, s)
	if v.State != upstream.Accepted || v.Detail != "on the best chain" || v.Written.IsZero() || v.Answered.IsZero() {
		t.Errorf("%+v", v)
	}
	b := f.lastBlock()
	if b.BlockHash() != [32]byte(s.Hash) || len(b.Transactions) != 2 {
		t.Errorf("block %+v", b.Header)
	}
	cb := b.Transactions[0]
	if len(cb.TxIn[0].Witness) != 1 || !bytes.Equal(cb.TxIn[0].Witness[0], make([]byte, 32)) || len(cb.TxOut) != 2 || cb.TxOut[1].Value != 0 {
		t.Errorf("coinbase %+v", cb)
	}
	if b.Transactions[1].TxHash().String() != tx["txid"] || b.Transactions[1].WitnessHash().String() != tx["hash"] {
		t.Error("another transaction")
	}
	// Without a commitment the coinbase has no witness.
	f.set(func() {
		f.template = template(2, s.Hash.String())
		delete(f.template, "default_witness_commitment")
	})
	if v := submit(t, n, solve(t, e.number(2), 7)); v.State != upstream.Accepted {
		t.Errorf("%+v", v)
	}
	if cb := f.lastBlock().Transactions[0]; len(cb.TxIn[0].Witness) != 0 || len(cb.TxOut) != 1 {
		t.Errorf("coinbase %+v", cb)
	}
}

func TestVerdicts(t *testing.T) {
	tests := []struct {
		says   any
		known  int64 // confirmations afterwards, −2: the block is unknown
		state  upstream.State
		reason events.RejectReason
		detail string
	}{
		{nil, 1, upstream.Accepted, "", "on the best chain"},
		{nil, -1, upstream.Accepted, "", "not on the best chain"},
		{nil, -2, upstream.Unknown, "", "does not know it"},
		{"duplicate", 1, upstream.Accepted, "", `"duplicate"`},
		{"inconclusive", -1, upstream.Accepted, "", "not on the best chain"},
		{"rejected: already have block 00ff", 1, upstream.Accepted, "", "already have block"},
		{"duplicate-invalid", -2, upstream.Rejected, events.RejectInvalid, "duplicate-invalid"},
		{"high-hash", -2, upstream.Rejected, events.RejectLow, "high-hash"},
		{"rejected: block hash of 00 is higher than expected max of 00", -2, upstream.Rejected, events.RejectLow, "higher than"},
		{"bad-prevblk", -2, upstream.Rejected, events.RejectStale, "bad-prevblk"},
		{"stale-prevblk", -2, upstream.Rejected, events.RejectStale, "stale-prevblk"},
		{"rejected: previous block 00 is unknown", -2, upstream.Rejected, events.RejectStale, "previous block"},
		{"bad-cb-height", -2, upstream.Rejected, events.RejectInvalid, "bad-cb-height"},
		{"bad-txnmrklroot", -2, upstream.Rejected, events.RejectInvalid, "bad-txnmrklroot"},
		{"time-too-old", -2, upstream.Rejected, events.RejectInvalid, "time-too-old"},
		{"rejected: " + strings.Repeat("x", 1<<20), -2, upstream.Rejected, events.RejectInvalid, "…"},
		{&refusal{-22, "Block decode failed"}, -2, upstream.Rejected, events.RejectInvalid, "-22: Block decode failed"},
		{&refusal{-1, "CreateNewBlock"}, -2, upstream.Rejected, events.RejectInvalid, "CreateNewBlock"},
		{7, -2, upstream.Unknown, "", "form"},
	}
	f := newFake(t)
	n := newNode(t, config(f))
	e, _ := run(t, n)
	for i, tt := range tests {
		s := solve(t, e.number(1), uint64(i))
		f.set(func() {
			f.raw["submitblock"] = tt.says
			if tt.known != -2 {
				f.chain[s.Hash.String()] = tt.known
			}
		})
		v := submit(t, n, s)
		if v.State != tt.state || v.Reason != tt.reason || !strings.Contains(v.Detail, tt.detail) || len(v.Detail) > 1000 || v.Written.IsZero() {
			t.Errorf("node says %.80v: %+v", tt.says, v)
		}
	}
}

func TestWhatIsNotSent(t *testing.T) {
	f := newFake(t)
	n := newNode(t, config(f))
	e, stop := run(t, n)
	j := e.number(1)
	block := solve(t, j, 1)
	spoil := func(change func(*upstream.Submission)) upstream.Submission {
		s := block
		change(&s)
		return s
	}
	for name, tt := range map[string]struct {
		s      upstream.Submission
		reason events.RejectReason
	}{
		"a share that is no block": {spoil(func(s *upstream.Submission) { s.Header.SetNonce(losing(s.Header)); s.Block = false }), events.RejectLow},
		"one that is said to be":   {spoil(func(s *upstream.Submission) { s.Header.SetNonce(losing(s.Header)) }), events.RejectLow},
		"no job":                   {spoil(func(s *upstream.Submission) { s.Job = nil }), events.RejectInvalid},
		"another extranonce":       {spoil(func(s *upstream.Submission) { s.Extranonce2 = make([]byte, 8) }), events.RejectInvalid},
		"a short extranonce":       {spoil(func(s *upstream.Submission) { s.Extranonce2 = s.Extranonce2[:7] }), events.RejectInvalid},
		"another block before": {spoil(func(s *upstream.Submission) {
			other := *j
			other.PrevHash[0]++
			s.Job = &other
		}), events.RejectInvalid},
		"outputs cut off": {func() upstream.Submission {
			other := *j
			other.Coinbase2 = other.Coinbase2[:20]
			return solve(t, &other, 1)
		}(), events.RejectInvalid},
	} {
		v := submit(t, n, tt.s)
		if v.State != upstream.Rejected || v.Reason != tt.reason || v.Detail == "" || !v.Written.IsZero() {
			t.Errorf("%s: %+v", name, v)
		}
	}
	// That it is a block is told by the hash, whatever else is said.
	if v := submit(t, n, spoil(func(s *upstream.Submission) { s.Block = false })); v.State != upstream.Accepted {
		t.Errorf("%+v", v)
	}
	stop()
	if v := submit(t, n, solve(t, j, 2)); v.State != upstream.Rejected || v.Reason != events.RejectStale || !v.Written.IsZero() {
		t.Errorf("after the end: %+v", v)
	}
	if got := f.count("submitblock"); got != 1 {
		t.Errorf("%d blocks sent", got)
	}
}

// losing is a nonce whose hash is no block.
func losing(h hashengine.Header) uint32 {
	for nonce := uint32(0); ; nonce++ {
		h.SetNonce(nonce)
		if hash := h.Hash(); hash[31] >= 0x80 {
			return nonce
		}
	}
}

func TestABlockIsSentUntilSomebodyAnswers(t *testing.T) {
	f := newFake(t)
	n := newNode(t, config(f))
	e, _ := run(t, n)
	s := solve(t, e.number(1), 1)
	f.set(func() { f.raw["submitblock"] = &refusal{-28, "Loading block index…"} })
	verdicts := make(chan upstream.Verdict, 1)
	n.Submit(s, func(v upstream.Verdict) { verdicts <- v })
	for f.count("submitblock") < 2 {
		time.Sleep(time.Millisecond)
	}
	f.set(func() { f.raw["submitblock"] = rawBody("") })
	for before := f.count("submitblock"); f.count("submitblock") < before+2; {
		time.Sleep(time.Millisecond)
	}
	f.set(func() { delete(f.raw, "submitblock") })
	if v := <-verdicts; v.State != upstream.Accepted {
		t.Errorf("%+v", v)
	}
}

func TestABlockGoesToAllNodes(t *testing.T) {
	first, second := newFake(t), newFake(t)
	n := newNode(t, config(first, second))
	e, _ := run(t, n)
	first.set(func() { first.raw["submitblock"] = "bad-prevblk" })
	v := submit(t, n, solve(t, e.number(1), 1))
	if v.State != upstream.Accepted || second.count("submitblock") != 1 {
		t.Errorf("%+v", v)
	}
	second.set(func() { second.raw["submitblock"] = "bad-txns" })
	if v := submit(t, n, solve(t, e.number(1), 2)); v.State != upstream.Rejected {
		t.Errorf("%+v", v)
	}
	// Who does not answer does not hold up who does.
	first.set(func() { first.raw["submitblock"] = hang{} })
	second.set(func() { delete(second.raw, "submitblock") })
	if v := submit(t, n, solve(t, e.number(1), 3)); v.State != upstream.Accepted {
		t.Errorf("%+v", v)
	}
}

func TestABlockThatNobodyAnswers(t *testing.T) {
	f := newFake(t)
	c := config(f)
	c.SubmitFor = 5 * time.Second // in which it is written, though nobody answers
	n := newNode(t, c)
	e, stop := run(t, n)
	f.set(func() { f.raw["submitblock"] = hang{} })
	if v := submit(t, n, solve(t, e.number(1), 1)); v.State != upstream.Unknown || v.Written.IsZero() || !v.Answered.IsZero() {
		t.Errorf("%+v", v)
	}
	stop()
	// A node that is not there at all cannot have got it.
	gone := newFake(t)
	n = newNode(t, func() node.Config { c := config(gone); c.SubmitFor = 300 * time.Millisecond; return c }())
	e, _ = run(t, n)
	j := e.number(1)
	gone.srv.CloseClientConnections()
	gone.srv.Listener.Close()
	gone.srv.CloseClientConnections()
	if v := submit(t, n, solve(t, j, 1)); v.State != upstream.Rejected || v.Reason != events.RejectStale || !v.Written.IsZero() {
		t.Errorf("%+v", v)
	}
}

func TestTheEndGivesEveryBlockItsVerdict(t *testing.T) {
	f := newFake(t)
	n := newNode(t, config(f))
	e, stop := run(t, n)
	s := solve(t, e.number(1), 1)
	f.set(func() { f.raw["submitblock"] = &refusal{-28, "Loading"} })
	verdicts := make(chan upstream.Verdict, 1)
	n.Submit(s, func(v upstream.Verdict) { verdicts <- v })
	for f.count("submitblock") < 1 {
		time.Sleep(time.Millisecond)
	}
	stop()
	select {
	case v := <-verdicts:
		if v.State != upstream.Unknown {
			t.Errorf("%+v", v)
		}
	default:
		t.Error("no verdict at the end")
	}
}

func TestABlockOfAnotherGateway(t *testing.T) {
	f := newFake(t)
	f.template["transactions"] = []any{someTransaction(t)}
	delete(f.template, "default_witness_commitment")
	finder := newNode(t, config(f))
	e, stop := run(t, finder)
	s := solve(t, e.number(1), 1)
	stop()

	other := newNode(t, func() node.Config { c := config(f); c.ExtranoncePrefix = []byte{9}; return c }())
	if err := other.SubmitBlock(t.Context(), s); !errors.Is(err, node.ErrNoTransactions) {
		t.Errorf("without a template: %v", err)
	}
	e, stop = run(t, other)
	e.number(1)
	if err := other.SubmitBlock(t.Context(), s); err != nil {
		t.Errorf("%v", err)
	}
	if b := f.lastBlock(); b.BlockHash() != [32]byte(s.Hash) || len(b.Transactions) != 2 {
		t.Errorf("block %+v", b.Header)
	}
	f.set(func() { f.raw["submitblock"] = "bad-txns" })
	if err := other.SubmitBlock(t.Context(), s); err == nil || !strings.Contains(err.Error(), "bad-txns") {
		t.Errorf("%v", err)
	}
	f.set(func() { f.raw["submitblock"] = hang{} })
	ctx, cancel := context.WithCancel(t.Context())
	before := f.count("submitblock")
	go func() { // once it is written
		for f.count("submitblock") == before && t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	if err := other.SubmitBlock(ctx, s); err == nil || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("%v", err)
	}
	stop()
	// Without transactions no template is needed.
	f.set(func() { clear(f.raw); f.template = template(2, blockHash(1)) })
	e, _ = run(t, finder)
	s = solve(t, e.job("height 2", func(j *upstream.Job) bool { return j.Height == 2 }), 1)
	if err := newNode(t, config(f)).SubmitBlock(t.Context(), s); err != nil {
		t.Errorf("%v", err)
	}
}

func TestTemplatesAreForgottenInTheEnd(t *testing.T) {
	f := newFake(t)
	f.template["transactions"] = []any{someTransaction(t)}
	delete(f.template, "default_witness_commitment")
	c := config(f)
	c.Keep = 2
	n := newNode(t, c)
	e, _ := run(t, n)
	s := solve(t, e.number(1), 1)
	for i := 2; i <= 3; i++ {
		f.set(func() { f.template = template(int64(i), blockHash(i)) })
		e.number(i)
	}
	if v := submit(t, n, s); v.State != upstream.Rejected || v.Reason != events.RejectUnknown || !strings.Contains(v.Detail, "no template") {
		t.Errorf("%+v", v)
	}
}
