// SPDX-License-Identifier: Apache-2.0

//go:build (amd64 || arm64) && race

package sha256d

// The race detector's hooks do not belong between the two: its builds go
// without.

func entersyscall() {}

func exitsyscall() {}
