// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/workers/upstream"
)

// awaitCalls until a node has been called so often.
func (f *fake) awaitCalls(method string, n int) {
	f.t.Helper()
	deadline := time.After(patience)
	for f.count(method) < n {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			f.t.Fatalf("%d calls of %s, want %d", f.count(method), method, n)
		}
	}
}

// A block of another gateway is offered to every node, also when the caller
// goes away at the first acceptance.
func TestABlockOfAnotherGatewayGoesToAllNodes(t *testing.T) {
	first, second, third := newFake(t), newFake(t), newFake(t)
	n := newNode(t, config(first, second, third))
	e, _ := run(t, n)
	j := e.number(1)
	second.set(func() { second.raw["submitblock"] = &refusal{-28, "Loading block index…"} })
	third.set(func() { third.raw["submitblock"] = hang{} })
	ctx, cancel := context.WithCancel(t.Context())
	if err := n.SubmitBlock(ctx, solve(t, j, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	second.awaitCalls("submitblock", 2) // it is tried on
	second.set(func() { delete(second.raw, "submitblock") })
	deadline := time.After(patience)
	for got := 0; got == 0; {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatal("the second node never got the block")
		}
		second.mu.Lock()
		got = len(second.submitted)
		second.mu.Unlock()
	}
	if second.lastBlock().BlockHash() != first.lastBlock().BlockHash() {
		t.Error("another block")
	}
	third.awaitCalls("submitblock", 1) // and still waited for, until the end
}

// What goes on behind the caller's back ends with Close.
func TestCloseEndsWhatGoesOn(t *testing.T) {
	first, second := newFake(t), newFake(t)
	c := config(first, second)
	n := newNode(t, c)
	e, stop := run(t, n)
	j := e.number(1)
	stop()
	n = newNode(t, c) // never run
	second.set(func() { second.raw["submitblock"] = hang{} })
	if err := n.SubmitBlock(t.Context(), solve(t, j, 1)); err != nil {
		t.Fatal(err)
	}
	second.awaitCalls("submitblock", 1)
	n.Close()
	// Nothing of it is left (goleak), and a block is submitted all the same.
	if err := n.SubmitBlock(t.Context(), solve(t, j, 2)); err != nil {
		t.Fatal(err)
	}
	n.Close()
	if got := len(first.submitted); got != 2 {
		t.Errorf("%d blocks", got)
	}
}

// The verdict does not wait for the node that hangs, even when that one serves.
func TestTheVerdictAsksWhoTookTheBlock(t *testing.T) {
	first, second := newFake(t), newFake(t)
	n := newNode(t, config(first, second))
	e, _ := run(t, n)
	j := e.number(1)
	first.set(func() { first.raw["submitblock"], first.raw["getblockheader"] = hang{}, hang{} })
	if v := submit(t, n, solve(t, j, 1)); v.State != upstream.Accepted || v.Detail != "on the best chain" {
		t.Errorf("%+v", v)
	}
	if first.count("getblockheader") != 0 {
		t.Error("a node that has not answered was asked")
	}
}
