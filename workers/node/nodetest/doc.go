// SPDX-License-Identifier: Apache-2.0

// Package nodetest runs real Bitcoin nodes for tests: btcd on simnet, a private
// chain where a block takes two hashes. It is an ordinary package so that the
// tests of several packages can use it; the product does not.
//
// # Usage
//
//	b := nodetest.Start(t)        // skips the test if btcd cannot be built
//	n, err := node.New(node.Config{Nodes: []rpc.Endpoint{b.Endpoint()}, Network: nodetest.Network, Address: nodetest.Address, …})
//	hashes := b.Generate(5)       // blocks of the node's own
//	b.Stop(); b.Restart()         // same data, same ports
//
// btcd is built from the module in tools/btcd, once: the binary is kept in the
// user's cache directory.
//
// # Concurrency
//
// Methods may be called from anywhere but for Start, Stop and Restart, which
// belong to the test's goroutine. Everything ends with the test.
package nodetest
