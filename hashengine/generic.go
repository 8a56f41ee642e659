// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"encoding/binary"
	"math/bits"
)

// genericEngine computes SHA-256d in plain Go. It is for machines on which
// crypto/sha256 has no assembly; there it wins by skipping what a header scan
// need not compute: the first three rounds of the header's second block, which
// the nonce does not reach, and the last three of the second hash, which do
// not touch the word that is compared with the target.
type genericEngine struct {
	cursor
	k genericCompressor
}

func newGeneric() (Engine, error) {
	return &genericEngine{cursor: newCursor()}, nil
}

func (e *genericEngine) Load(w *Work) error { return e.load(w) }

func (e *genericEngine) Scan(hits []Hit) Result { return scanSerial(&e.cursor, &e.k, hits) }

// roundK and initial are the constants of SHA-256 (FIPS 180-4, 4.2.2, 5.3.3).
var roundK = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

var initial = state{
	0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
}

// state holds the words a to h.
type state [8]uint32

func bsig0(x uint32) uint32 {
	return bits.RotateLeft32(x, -2) ^ bits.RotateLeft32(x, -13) ^ bits.RotateLeft32(x, -22)
}

func bsig1(x uint32) uint32 {
	return bits.RotateLeft32(x, -6) ^ bits.RotateLeft32(x, -11) ^ bits.RotateLeft32(x, -25)
}

func ssig0(x uint32) uint32 {
	return bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3
}

func ssig1(x uint32) uint32 {
	return bits.RotateLeft32(x, -17) ^ bits.RotateLeft32(x, -19) ^ x>>10
}

// expand fills the message schedule from word from up to but not including to.
func expand(w *[64]uint32, from, to int) {
	for t := from; t < to && t < 64; t++ {
		w[t] = ssig1(w[t-2]) + w[t-7] + ssig0(w[t-15]) + w[t-16]
	}
}

// rounds does the rounds from up to but not including to. The words are moved
// from place to place, which costs a processor that renames registers nothing;
// unrolling by eight without moves measured slower (578 against 480 ns a
// header), as the code outgrew the registers.
func (s *state) rounds(w *[64]uint32, from, to int) {
	a, b, c, d, e, f, g, h := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	for t := from; t < to && t < 64; t++ {
		t1 := h + bsig1(e) + (e&f ^ ^e&g) + roundK[t] + w[t]
		t2 := bsig0(a) + (a&b ^ a&c ^ b&c)
		h, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	*s = state{a, b, c, d, e, f, g, h}
}

// compress adds one block, whose 16 words are in w, to the state.
func (s *state) compress(w *[64]uint32) {
	expand(w, 16, 64)
	before := *s
	s.rounds(w, 0, 64)
	for i := range s {
		s[i] += before[i]
	}
}

type genericCompressor struct {
	mid   state      // after the header's first 64 bytes
	after state      // and after the first three rounds of its second block
	tail  [64]uint32 // schedule of the second block; word 3 is the nonce
	inner [64]uint32 // schedule of the second hash
}

func (k *genericCompressor) midstate(header *Header) {
	for i := range 16 {
		k.tail[i] = binary.BigEndian.Uint32(header[4*i:])
	}
	k.mid = initial
	k.mid.compress(&k.tail)

	k.tail = [64]uint32{4: 0x80000000, 15: 8 * HeaderSize}
	for i := range 3 {
		k.tail[i] = binary.BigEndian.Uint32(header[64+4*i:])
	}
	expand(&k.tail, 16, 18) // words 16 and 17 do not depend on the nonce
	k.after = k.mid
	k.after.rounds(&k.tail, 0, 3)
	k.inner = [64]uint32{8: 0x80000000, 15: 256}
}

func (k *genericCompressor) sweep(nonce uint32, n uint64, bound uint32) (hashed uint64, top uint32) {
	for hashed < n {
		// The header is little-endian, the words of SHA-256 are big-endian.
		k.tail[3] = bits.ReverseBytes32(nonce + uint32(hashed))
		expand(&k.tail, 18, 64)
		s := k.after
		s.rounds(&k.tail, 3, 64)
		for i := range s {
			k.inner[i] = s[i] + k.mid[i]
		}

		expand(&k.inner, 16, 61)
		s = initial
		s.rounds(&k.inner, 0, 61)
		hashed++
		// What is e after round 60 is h after round 63.
		top = bits.ReverseBytes32(s[4] + initial[7])
		if top <= bound {
			return hashed, top
		}
	}
	return hashed, top
}
