// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package enginebench

// stay does nothing: threads have no affinity that is worth relying on here.
func stay() bool { return false }

// yieldTo does nothing: threads have no priority of their own here.
func yieldTo(int) {}
