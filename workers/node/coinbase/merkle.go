// SPDX-License-Identifier: Apache-2.0

package coinbase

import "github.com/ballast-energy/ballast/hashengine"

// Branches are the hashes with which the coinbase's is joined, step by step, to
// come to the merkle root: see [Climb]. The transactions are those behind the
// coinbase, by their ids in header order.
func Branches(ids []hashengine.Hash) []hashengine.Hash {
	var branches []hashengine.Hash
	// Place 0 of the level is unknown until there is an extranonce.
	level := append([]hashengine.Hash(nil), ids...)
	for len(level) > 0 {
		branches = append(branches, level[0])
		rest := level[1:]
		// An odd one out is joined with itself.
		if len(rest)%2 == 1 {
			rest = append(rest, rest[len(rest)-1])
		}
		next := make([]hashengine.Hash, 0, len(rest)/2)
		for i := 0; i < len(rest); i += 2 {
			next = append(next, join(rest[i], rest[i+1]))
		}
		level = next
	}
	return branches
}

// Climb is the merkle root over the hash of the coinbase.
func Climb(coinbase hashengine.Hash, branches []hashengine.Hash) hashengine.Hash {
	for _, b := range branches {
		coinbase = join(coinbase, b)
	}
	return coinbase
}

// Root of the whole tree, zero of nothing.
func Root(leaves []hashengine.Hash) hashengine.Hash {
	if len(leaves) == 0 {
		return hashengine.Hash{}
	}
	return Climb(leaves[0], Branches(leaves[1:]))
}

func join(a, b hashengine.Hash) hashengine.Hash {
	var pair [64]byte
	copy(pair[:32], a[:])
	copy(pair[32:], b[:])
	return hashengine.DoubleSHA256(pair[:])
}
