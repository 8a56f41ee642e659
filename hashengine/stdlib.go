// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math/bits"
)

// stdlibEngine drives the compression function of crypto/sha256, which uses
// the SHA instructions of amd64, arm64, ppc64, s390x and others.
//
// The package exports no compression function, but its hashes can be saved and
// restored, and they compress a block as soon as 64 bytes have been written.
// So the midstate of the header's first block is restored, the second block is
// written with its padding in place, and the digest is read from the saved
// state. Against restore, Write, Sum this saves the padding and a copy of the
// hash object: measured on a Xeon with SHA instructions 102 ns a header, where
// restore-and-Sum takes 141 ns and Sum256 twice 184 ns. Compression in pure Go
// (portable.go) takes several times as long there; it is kept for machines
// where crypto/sha256 has no assembly.
type stdlibEngine struct {
	cursor
	k stdlibCompressor
}

// savedHash is what crypto/sha256 documents of its hashes.
type savedHash interface {
	hash.Hash
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

// Layout of a saved SHA-256 state: an identifier, the eight state words
// big-endian, the unfinished block, the length.
const (
	savedWords = 4
	savedSize  = savedWords + sha256.Size + sha256.BlockSize + 8
)

type stdlibCompressor struct {
	// Two objects: the second hash never waits for the stores of the first.
	first, second savedHash
	mid           [savedSize]byte        // state after the header's first 64 bytes
	tail          [sha256.BlockSize]byte // last 16 bytes of the header and padding
	inner         [sha256.BlockSize]byte // digest of the first hash and padding
	state         [savedSize]byte        // scratch for saved states
}

var errSavedState = errors.New("crypto/sha256 of this Go build does not save its state as expected")

// newStdlib returns an engine on crypto/sha256. It fails if this build's
// crypto/sha256 (a FIPS or BoringCrypto variant, a later release) cannot be
// driven this way.
func newStdlib() (Engine, error) {
	first, ok1 := sha256.New().(savedHash)
	second, ok2 := sha256.New().(savedHash)
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("kernel stdlib: %w: use kernel portable", errSavedState)
	}
	e := &stdlibEngine{cursor: newCursor(), k: stdlibCompressor{first: first, second: second}}
	setPadding(e.k.tail[16:], 8*HeaderSize)
	setPadding(e.k.inner[sha256.Size:], 8*sha256.Size)

	// One hash against the plain definition; errors of save and restore,
	// ignored in the loop, show here.
	var header Header
	header.SetNonce(0x01020304)
	if _, err := first.Write(header[:sha256.BlockSize]); err != nil {
		return nil, fmt.Errorf("kernel stdlib: %w: use kernel portable", err)
	}
	saved, err := first.AppendBinary(nil)
	if err == nil && len(saved) != savedSize {
		err = errSavedState
	}
	if err == nil {
		err = first.UnmarshalBinary(saved)
	}
	if err != nil {
		return nil, fmt.Errorf("kernel stdlib: %w: use kernel portable", err)
	}
	e.k.midstate(&header)
	_, top := e.k.sweep(header.Nonce(), 1, 0)
	want := header.Hash()
	if top != want.top() || !bytes.Equal(e.k.state[savedWords:savedWords+sha256.Size], want[:]) {
		return nil, fmt.Errorf("kernel stdlib: %w: use kernel portable", errSavedState)
	}
	return e, nil
}

// setPadding writes SHA-256's padding for a message of the given number of
// bits into the rest of its last block.
func setPadding(rest []byte, messageBits uint64) {
	clear(rest)
	rest[0] = 0x80
	binary.BigEndian.PutUint64(rest[len(rest)-8:], messageBits)
}

func (e *stdlibEngine) Load(w *Work) error { return e.load(w) }

func (e *stdlibEngine) Scan(hits []Hit) Result { return scanSerial(&e.cursor, &e.k, hits) }

func (k *stdlibCompressor) midstate(header *Header) {
	k.first.Reset()
	_, _ = k.first.Write(header[:sha256.BlockSize])
	_, _ = k.first.AppendBinary(k.mid[:0])
	copy(k.tail[:16], header[sha256.BlockSize:])
}

func (k *stdlibCompressor) sweep(nonce uint32, n uint64, bound uint32) (hashed uint64, top uint32) {
	for hashed < n {
		binary.LittleEndian.PutUint32(k.tail[12:], nonce+uint32(hashed))
		_ = k.first.UnmarshalBinary(k.mid[:])
		_, _ = k.first.Write(k.tail[:])
		_, _ = k.first.AppendBinary(k.state[:0])
		copy(k.inner[:sha256.Size], k.state[savedWords:])
		k.second.Reset()
		_, _ = k.second.Write(k.inner[:])
		_, _ = k.second.AppendBinary(k.state[:0])
		hashed++
		top = bits.ReverseBytes32(binary.BigEndian.Uint32(k.state[savedWords+sha256.Size-4:]))
		if top <= bound {
			return hashed, top
		}
	}
	return hashed, top
}
