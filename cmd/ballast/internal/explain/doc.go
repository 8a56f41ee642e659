// SPDX-License-Identifier: Apache-2.0

// Package explain tells people why dispatch decided as it did, from the record:
// the causal chain of a command, and why a site mines as much as it does.
//
// # Usage
//
//	x := explain.New(b)
//	ref, err := explain.ParseRef("tx1/dispatch/3/81250/0")
//	chain, err := x.Chain(ctx, ref)
//	chain.Tree().Print(os.Stdout, nil)
//
// A chain is what was stored: the command, the dispatch.decided of its cause with
// the reasons in it, the cause itself in the journal, and what the agents and the
// meters made of it. What the record does not carry is folded again in memory
// (Replay, Now): the deciders are pure, so that is what was decided, and it
// changes nothing.
//
// # Concurrency
//
// An Explainer may be used by several goroutines; what it returns belongs to the
// caller.
package explain
