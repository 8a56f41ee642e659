// SPDX-License-Identifier: Apache-2.0

// Package rpc calls the JSON-RPC interface of a Bitcoin node over HTTP, in a
// way that both Bitcoin Core and btcd understand.
//
// # Usage
//
//	endpoint, err := rpc.ParseEndpoint("http://user:password@127.0.0.1:8332")
//	client, err := rpc.NewClient(endpoint)
//	defer client.Close()
//	var best string
//	err = client.Call(ctx, "getbestblockhash", nil, &best)
//
// # What differs between nodes
//
// btcd answers a request without a "jsonrpc" text with HTTP 200 and nothing
// else. Bitcoin Core sends errors under HTTP 500, 404 and 400 with a body, so
// the body is read first and the status counts only when there is no JSON in
// it. Errors of the node are [Error], with the node's own code and words;
// [NotReady] tells those that pass by themselves.
//
// # Concurrency
//
// A Client may be used from anywhere. Calls in parallel use connections of
// their own; idle ones are kept for the next call where the node allows it.
package rpc
