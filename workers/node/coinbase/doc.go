// SPDX-License-Identifier: Apache-2.0

// Package coinbase builds the first transaction of a block, which pays the
// miner: its script with the height (BIP 34), the outputs with the witness
// commitment (BIP 141), and the branches of the merkle tree that lead from it
// to the root.
//
// # Usage
//
//	network, err := coinbase.NetworkByName("main")
//	script, err := network.PayoutScript("bc1q…") // refused if of another network
//	parts, err := coinbase.Build(coinbase.Spec{Height: 840001, ValueSats: …, Payout: script, …})
//	tx := parts.Transaction(extranonce1, extranonce2)
//
// # Concurrency
//
// Everything here is a value or a pure function.
package coinbase
