// SPDX-License-Identifier: Apache-2.0

//go:build (amd64 || arm64) && !race

package sha256d

import _ "unsafe" // for go:linkname

// A loop of assembly cannot be stopped half-way, and its thread, hashing at
// the lowest priority, may just then not be running at all. A goroutine that
// computes is waited for whenever the garbage collector stops the world; one
// in a system call is not: it can touch nothing of the collector's until it
// comes back. So the loops run as system calls do. That they can: they call
// nothing, allocate nothing, hold no locks, and write only to blocks that
// their callers keep alive. With it, pauses of others are those of an idle
// process; without, they were ten times as long on two processors that hash.
//
// The two functions are exported to the world by the runtime, which promises
// to keep them and their types (go.dev/issue/67401). Under their rules, a
// function that calls the first does not split its stack until it has called
// the second.

//go:linkname entersyscall runtime.entersyscall
//go:nosplit
func entersyscall()

//go:linkname exitsyscall runtime.exitsyscall
//go:nosplit
func exitsyscall()
