// SPDX-License-Identifier: Apache-2.0

package decider

// Mix folds one more value into a running digest of a state: for deciders that
// keep one over everything they write, so that their StateHash costs nothing.
// It is quick, and no protection against anyone who looks for collisions.
func Mix(digest, v uint64) uint64 {
	h := (digest ^ v) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// TextHash of a text, to be mixed in: FNV-1a, as package hash/fnv has it, without
// allocating.
func TextHash(s string) uint64 {
	var v uint64 = 0xcbf29ce484222325
	for i := range len(s) {
		v = (v ^ uint64(s[i])) * 0x100000001b3
	}
	return v
}
