// SPDX-License-Identifier: Apache-2.0

// Package sha256d holds the kernels: the loops that compute the double SHA-256
// of Bitcoin block headers on one instruction set each, many at a time, and
// the plain code that they are compared with.
//
// A kernel knows midstates, nonces and the top word of a target, and nothing
// of work, hits or threads; package hashengine makes engines of them. Each
// implements [Kernel]. The assembly is printed by the program in
// hashengine/asmgen, whose documentation explains how it works; go generate
// reproduces it byte for byte.
//
// # Concurrency properties
//
// A kernel belongs to one goroutine at a time; different kernels share
// nothing. The assembly has no safepoint, so its loops run as system calls do
// (aside.go): the garbage collector does not wait for them. A call of
// [Kernel.Scan] cannot be ended early, so tiles are kept to some tens of
// microseconds.
package sha256d

//go:generate go run ../../asmgen -out .
