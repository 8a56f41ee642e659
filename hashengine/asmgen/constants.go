// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/big"
	"math/bits"
)

// roundConstants and initialState are computed, not copied: the first 32 bits
// of the fractional parts of the cube roots of the first 64 primes, and of the
// square roots of the first eight (FIPS 180-4). The generator may not import
// the package it writes, or a broken file there could never be written again.
var roundConstants, initialState = func() (k [64]uint32, iv [8]uint32) {
	found := 0
	for n := int64(2); found < len(k); n++ {
		if !big.NewInt(n).ProbablyPrime(0) { // exact below 2^64
			continue
		}
		k[found] = root(n, 3)
		if found < len(iv) {
			iv[found] = root(n, 2)
		}
		found++
	}
	return k, iv
}()

// root returns the first 32 bits of the fractional part of the root of n, by
// bisection: the largest x with x^degree ≤ n·2^(32·degree).
func root(n int64, degree int64) uint32 {
	scaled := new(big.Int).Lsh(big.NewInt(n), uint(32*degree))
	var x uint64
	for bit := uint64(1) << 40; bit > 0; bit >>= 1 {
		power := new(big.Int).SetUint64(x | bit)
		if power.Exp(power, big.NewInt(degree), nil).Cmp(scaled) <= 0 {
			x |= bit
		}
	}
	return uint32(x)
}

// roundZero returns a and e after the second hash's round 0 less that round's
// message word, which enters both by addition: everything else of the round is
// constant, since the round begins with the initial state.
func roundZero() (a, e uint32) {
	s := initialState
	sum1 := bits.RotateLeft32(s[4], -6) ^ bits.RotateLeft32(s[4], -11) ^ bits.RotateLeft32(s[4], -25)
	sum0 := bits.RotateLeft32(s[0], -2) ^ bits.RotateLeft32(s[0], -13) ^ bits.RotateLeft32(s[0], -22)
	t1 := s[7] + sum1 + (s[4]&s[5] ^ ^s[4]&s[6]) + roundConstants[0]
	t2 := sum0 + (s[0]&s[1] ^ s[0]&s[2] ^ s[1]&s[2])
	return t1 + t2, s[3] + t1
}
