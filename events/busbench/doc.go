// SPDX-License-Identifier: Apache-2.0

// Package busbench measures what our layers cost over the plain NATS client:
// the same messages, on the same server and connection, ours and raw in turn,
// so that the ratio means something on a busy machine, too.
//
// # Usage
//
//	results, err := busbench.Run(ctx, b, busbench.Config{Messages: 50_000, Runs: 5})
//	for _, r := range results {
//		fmt.Println(r)
//	}
//
// It needs a bus of its own with an embedded server: streams are created
// beside those of the contract and deleted again.
//
// # Concurrency
//
// One Run at a time per bus.
package busbench
