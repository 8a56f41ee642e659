// SPDX-License-Identifier: Apache-2.0

package enginebench

import "github.com/klauspost/cpuid/v2"

const (
	// addsPerRound are the additions of one round of addChain.
	addsPerRound = 64
	// shaPerRound are the SHA256RNDS2 of one round of shaChains.
	shaPerRound = 24
)

// addChain does rounds × addsPerRound additions, each of which needs the result
// of the one before. rounds is at least 1.
//
//go:noescape
func addChain(rounds uint64)

// shaChains does rounds × shaPerRound SHA256RNDS2 in twelve independent chains.
// rounds is at least 1. Only where hasShaUnit.
//
//go:noescape
func shaChains(rounds uint64)

// hasShaUnit reports whether the processor has the SHA instructions.
func hasShaUnit() bool { return cpuid.CPU.Supports(cpuid.SHA, cpuid.SSE2) }
