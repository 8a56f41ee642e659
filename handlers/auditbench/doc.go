// SPDX-License-Identifier: Apache-2.0

// Package auditbench makes journals of any length, with what deciders say to
// them, as an export that an audit can verify, and measures the audit of one.
//
// # Usage
//
//	n, err := auditbench.Write(ctx, file, auditbench.Config{Events: 10_000_000, Workers: 1000, Deciders: factories}, nil)
//	r, err := auditbench.Measure(ctx, path, factories, nil)
//
// The same Config gives the same file, byte for byte. Nothing is kept in
// memory: a journal of ten million events needs no more than a short one.
//
// # Concurrency
//
// Functions may be called concurrently; a measurement wants the machine for
// itself.
package auditbench
