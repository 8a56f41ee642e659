// SPDX-License-Identifier: Apache-2.0

package enginebench

// addsPerRound are the additions of one round of addChain.
const addsPerRound = 64

// shaPerRound: see hasShaUnit.
const shaPerRound = 0

// addChain does rounds × addsPerRound additions, each of which needs the result
// of the one before. rounds is at least 1.
//
//go:noescape
func addChain(rounds uint64)

// hasShaUnit: the limit of SHA256RNDS2 is that of amd64.
func hasShaUnit() bool { return false }

func shaChains(uint64) {}
