// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 && !arm64

package enginebench

// addsPerRound of 0: the clock is not known here, and figures have no cycles.
const addsPerRound = 0

// shaPerRound: see hasShaUnit.
const shaPerRound = 0

func addChain(uint64) {}

func hasShaUnit() bool { return false }

func shaChains(uint64) {}
