// SPDX-License-Identifier: Apache-2.0

// Package downstream joins a gateway with the Stratum server that its own
// miners connect to: jobs go down to the server, shares come up to the gateway.
//
// # Usage
//
//	joint := downstream.New(logger)
//	serverConfig.Sink, serverConfig.OnFull = joint, joint.Full
//	srv, err := server.Listen(serverConfig)
//	gatewayConfig.OnJob, gatewayConfig.OnSlice, gatewayConfig.OnClosed = joint.Job, joint.Slice, joint.Closed
//	gatewayConfig.Connections = joint.Connections
//	gw, err := gateway.New(gatewayConfig, bus)
//	joint.Join(srv, gw)
//	go joint.Run(ctx)
//	go srv.Run(ctx)
//	err = gw.Run(ctx)
//
// End the server before the gateway: the gateway then stores what is left.
//
// # Without an upstream
//
// Miners that connect wait for the first session. When a session is lost they
// go on with its work for server.Config.Outage. What they find in it is stored:
// below the upstream's difficulty it is proof of work as ever; what the upstream
// would have wanted is rejected as stale, and the miner hears that.
//
// # Concurrency
//
// A Joint's methods may be called from anywhere. Jobs that come faster than the
// server hands them out are left out, but for the newest of each session.
package downstream
