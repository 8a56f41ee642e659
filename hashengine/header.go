// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// HeaderSize is the length of a serialised Bitcoin block header in bytes.
const HeaderSize = 80

// Byte offsets of the header's fields. Every integer is little-endian.
const (
	offVersion    = 0
	offPrevHash   = 4
	offMerkleRoot = 36
	offTime       = 68
	offBits       = 72
	offNonce      = 76
)

// ErrBadLength is wrapped by the parsers of this package when a text or a byte
// slice has not the length that the thing it describes must have.
var ErrBadLength = errors.New("wrong length")

// Hash is a double SHA-256 in the byte order in which SHA-256 writes it and in
// which it travels in headers and messages. As a number it is little-endian:
// Hash[31] is the most significant byte.
type Hash [32]byte

// String returns the hash as explorers and RPC interfaces print it:
// 64 hexadecimal digits, most significant first.
func (h Hash) String() string {
	for i, j := 0, len(h)-1; i < j; i, j = i+1, j-1 {
		h[i], h[j] = h[j], h[i]
	}
	return hex.EncodeToString(h[:])
}

// ParseHash is the inverse of [Hash.String]: it reads 64 hexadecimal digits,
// most significant first.
func ParseHash(text string) (Hash, error) {
	var h Hash
	if len(text) != 2*len(h) {
		return h, fmt.Errorf("hash %q: %w: have %d digits, want %d", clip(text), ErrBadLength, len(text), 2*len(h))
	}
	if _, err := hex.Decode(h[:], []byte(text)); err != nil {
		return Hash{}, fmt.Errorf("hash %q: %w", text, err)
	}
	for i, j := 0, len(h)-1; i < j; i, j = i+1, j-1 {
		h[i], h[j] = h[j], h[i]
	}
	return h, nil
}

// top returns the most significant 32 bits of the hash.
func (h *Hash) top() uint32 { return binary.LittleEndian.Uint32(h[28:]) }

// DoubleSHA256 returns SHA-256 of SHA-256 of data. It is the plain definition
// that every kernel of this package is checked against.
func DoubleSHA256(data []byte) Hash {
	once := sha256.Sum256(data)
	return sha256.Sum256(once[:])
}

// Header is a Bitcoin block header as it is hashed: 80 bytes, integers
// little-endian.
type Header [HeaderSize]byte

// ParseHeader reads a header from 160 hexadecimal digits in wire order.
func ParseHeader(text string) (Header, error) {
	var h Header
	if len(text) != 2*len(h) {
		return h, fmt.Errorf("block header: %w: have %d hexadecimal digits, want %d", ErrBadLength, len(text), 2*len(h))
	}
	if _, err := hex.Decode(h[:], []byte(text)); err != nil {
		return Header{}, fmt.Errorf("block header: %w", err)
	}
	return h, nil
}

// String returns the header in wire order as 160 hexadecimal digits.
func (h Header) String() string { return hex.EncodeToString(h[:]) }

// Hash returns the double SHA-256 of the header: the block hash.
func (h *Header) Hash() Hash { return DoubleSHA256(h[:]) }

// Version returns the version field. Consensus reads it as a signed number;
// version rolling (BIP 320) treats it as 32 bits, as this package does.
func (h *Header) Version() uint32 { return binary.LittleEndian.Uint32(h[offVersion:]) }

// SetVersion sets the version field.
func (h *Header) SetVersion(v uint32) { binary.LittleEndian.PutUint32(h[offVersion:], v) }

// PrevHash returns the hash of the block before this one.
func (h *Header) PrevHash() Hash { return Hash(h[offPrevHash:offMerkleRoot]) }

// SetPrevHash sets the hash of the block before this one.
func (h *Header) SetPrevHash(p Hash) { copy(h[offPrevHash:offMerkleRoot], p[:]) }

// MerkleRoot returns the root of the block's transaction tree.
func (h *Header) MerkleRoot() Hash { return Hash(h[offMerkleRoot:offTime]) }

// SetMerkleRoot sets the root of the block's transaction tree.
func (h *Header) SetMerkleRoot(m Hash) { copy(h[offMerkleRoot:offTime], m[:]) }

// Time returns the block time (stratum: ntime) in seconds since 1970 UTC.
func (h *Header) Time() uint32 { return binary.LittleEndian.Uint32(h[offTime:]) }

// SetTime sets the block time in seconds since 1970 UTC.
func (h *Header) SetTime(t uint32) { binary.LittleEndian.PutUint32(h[offTime:], t) }

// Bits returns the compact network target, nBits; see [TargetFromBits].
func (h *Header) Bits() uint32 { return binary.LittleEndian.Uint32(h[offBits:]) }

// SetBits sets the compact network target.
func (h *Header) SetBits(b uint32) { binary.LittleEndian.PutUint32(h[offBits:], b) }

// Nonce returns the nonce.
func (h *Header) Nonce() uint32 { return binary.LittleEndian.Uint32(h[offNonce:]) }

// SetNonce sets the nonce.
func (h *Header) SetNonce(n uint32) { binary.LittleEndian.PutUint32(h[offNonce:], n) }

// clip shortens text that came from outside before it goes into an error.
func clip(text string) string {
	const most = 80
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
