// SPDX-License-Identifier: Apache-2.0

// Package collector lets several instances of one handler in a process share
// their Prometheus collectors.
//
// # Usage
//
//	folded := collector.Shared(reg, prometheus.NewCounterVec(opts, labels))
//
// # Concurrency
//
// Shared is safe for concurrent use, as registries are.
package collector
