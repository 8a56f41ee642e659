// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"encoding/binary"
	"math/bits"

	"github.com/ballast-energy/ballast/hashengine/internal/sha256d"
)

// portableEngine computes SHA-256d in plain Go, one hash at a time. It is for machines on which
// crypto/sha256 has no assembly; there it wins by skipping what a header scan
// need not compute: the first three rounds of the header's second block, which
// the nonce does not reach, and the last three of the second hash, which do
// not touch the word that is compared with the target.
type portableEngine struct {
	cursor
	k portableCompressor
}

func newPortable() (Engine, error) {
	return &portableEngine{cursor: newCursor()}, nil
}

func (e *portableEngine) Load(w *Work) error { return e.load(w) }

func (e *portableEngine) Scan(hits []Hit) Result { return scanSerial(&e.cursor, &e.k, hits) }

type portableCompressor struct {
	mid   sha256d.State    // after the header's first 64 bytes
	after sha256d.State    // and after the first three rounds of its second block
	tail  sha256d.Schedule // schedule of the second block; word 3 is the nonce
	inner sha256d.Schedule // schedule of the second hash
}

func (k *portableCompressor) midstate(header *Header) {
	for i := range 16 {
		k.tail[i] = binary.BigEndian.Uint32(header[4*i:])
	}
	k.mid = sha256d.IV
	k.mid.Compress(&k.tail)

	k.tail = sha256d.Schedule{4: 0x80000000, 15: 8 * HeaderSize}
	for i := range 3 {
		k.tail[i] = binary.BigEndian.Uint32(header[64+4*i:])
	}
	k.tail.Expand(16, 18) // words 16 and 17 do not depend on the nonce
	k.after = k.mid
	k.after.Rounds(&k.tail, 0, 3)
	k.inner = sha256d.Schedule{8: 0x80000000, 15: 256}
}

func (k *portableCompressor) sweep(nonce uint32, n uint64, bound uint32) (hashed uint64, top uint32) {
	for hashed < n {
		// The header is little-endian, the words of SHA-256 are big-endian.
		k.tail[3] = bits.ReverseBytes32(nonce + uint32(hashed))
		k.tail.Expand(18, 64)
		s := k.after
		s.Rounds(&k.tail, 3, 64)
		for i := range s {
			k.inner[i] = s[i] + k.mid[i]
		}

		k.inner.Expand(16, 61)
		s = sha256d.IV
		s.Rounds(&k.inner, 0, 61)
		hashed++
		// What is e after round 60 is h after round 63.
		top = bits.ReverseBytes32(s[4] + sha256d.IV[7])
		if top <= bound {
			return hashed, top
		}
	}
	return hashed, top
}
