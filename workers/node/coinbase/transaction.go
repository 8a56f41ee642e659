// SPDX-License-Identifier: Apache-2.0

package coinbase

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/ballast-energy/ballast/hashengine"
)

// Bounds of the script of a coinbase input (consensus), bytes.
const (
	MinScript = 2
	MaxScript = 100
)

// maxPush is the longest datum that one length byte announces.
const maxPush = 75

// MaxMoney is more satoshi than there will ever be.
const MaxMoney = 21e14

// ErrSpec is wrapped by what Build refuses.
var ErrSpec = errors.New("no coinbase can be built")

// commitmentHeader opens the script of a witness commitment (BIP 141).
var commitmentHeader = []byte{opReturn, 36, 0xaa, 0x21, 0xa9, 0xed}

// Spec says what a coinbase holds.
type Spec struct {
	// Height of the block, from 0.
	Height int64
	// ValueSats that the payout gets: subsidy and fees.
	ValueSats int64
	// Payout script, see [Network.PayoutScript].
	Payout []byte
	// Commitment script of the witness commitment, nil without one.
	Commitment []byte
	// Aux are bytes that the node wants in the script, as they are. They are
	// left out when there is no room for them: nothing depends on them.
	Aux []byte
	// Tag that names the miner to who looks at the chain; may be empty.
	Tag string
	// Extranonce1Bytes and Extranonce2Bytes of room between the parts; 75 in
	// all at most.
	Extranonce1Bytes, Extranonce2Bytes int
}

// Parts of a coinbase transaction, serialised without witness, before and
// behind the extranonce.
type Parts struct {
	Before, After []byte
}

// Build builds the coinbase. Tag and extranonce are one push each, so that no
// byte of them counts as an opcode.
func Build(s Spec) (Parts, error) {
	fail := func(format string, args ...any) (Parts, error) {
		return Parts{}, fmt.Errorf("%w: "+format, append([]any{ErrSpec}, args...)...)
	}
	extranonce := s.Extranonce1Bytes + s.Extranonce2Bytes
	switch {
	case s.Height < 0 || s.Height > 1<<31-1:
		return fail("height %d", s.Height)
	case s.ValueSats < 0 || s.ValueSats > MaxMoney:
		return fail("value of %d satoshi", s.ValueSats)
	case len(s.Payout) == 0 || len(s.Payout) > 520:
		return fail("payout script of %d bytes", len(s.Payout))
	case s.Extranonce1Bytes < 0 || s.Extranonce2Bytes < 1 || extranonce > maxPush:
		return fail("extranonces of %d and %d bytes; %d in all at most", s.Extranonce1Bytes, s.Extranonce2Bytes, maxPush)
	case len(s.Tag) > maxPush:
		return fail("tag of %d bytes, %d at most", len(s.Tag), maxPush)
	case len(s.Commitment) > 10_000:
		return fail("commitment of %d bytes", len(s.Commitment))
	}
	script := HeightPush(s.Height)
	tag := push([]byte(s.Tag))
	whole := len(script) + len(tag) + 1 + extranonce
	if whole > MaxScript {
		return fail("script of %d bytes, %d at most: the tag is %d bytes too long", whole, MaxScript, whole-MaxScript)
	}
	if whole+len(s.Aux) <= MaxScript {
		script = append(script, s.Aux...)
	}
	script = append(script, tag...)
	script = append(script, byte(extranonce))

	var b bytes.Buffer
	b.Write([]byte{2, 0, 0, 0, 1}) // version 2, one input
	b.Write(make([]byte, 32))
	b.Write([]byte{0xff, 0xff, 0xff, 0xff})
	b.WriteByte(byte(len(script) + extranonce)) // at most 100
	b.Write(script)

	var a bytes.Buffer
	a.Write([]byte{0xff, 0xff, 0xff, 0xff}) // sequence
	outputs := 1
	if s.Commitment != nil {
		outputs = 2
	}
	a.WriteByte(byte(outputs))
	writeOutput(&a, s.ValueSats, s.Payout)
	if s.Commitment != nil {
		writeOutput(&a, 0, s.Commitment)
	}
	a.Write([]byte{0, 0, 0, 0}) // lock time
	return Parts{Before: b.Bytes(), After: a.Bytes()}, nil
}

func writeOutput(b *bytes.Buffer, sats int64, script []byte) {
	var value [8]byte
	binary.LittleEndian.PutUint64(value[:], uint64(sats))
	b.Write(value[:])
	b.Write(AppendVarInt(nil, uint64(len(script))))
	b.Write(script)
}

// Transaction with the extranonces, without witness.
func (p Parts) Transaction(extranonce1, extranonce2 []byte) []byte {
	tx := make([]byte, 0, len(p.Before)+len(extranonce1)+len(extranonce2)+len(p.After))
	tx = append(tx, p.Before...)
	tx = append(tx, extranonce1...)
	tx = append(tx, extranonce2...)
	return append(tx, p.After...)
}

// WithWitness adds marker, flag and the witness of a coinbase, one item of 32
// zero bytes, to a transaction serialised without: the form in which it stands
// in a block that commits to witnesses (BIP 141, 144).
func WithWitness(tx []byte) ([]byte, error) {
	if len(tx) < 10 {
		return nil, fmt.Errorf("coinbase of %d bytes is no transaction", len(tx))
	}
	out := make([]byte, 0, len(tx)+2+34)
	out = append(out, tx[:4]...)
	out = append(out, 0, 1)
	out = append(out, tx[4:len(tx)-4]...)
	out = append(out, 1, 32)
	out = append(out, make([]byte, 32)...)
	return append(out, tx[len(tx)-4:]...), nil
}

// HeightPush is the height as the script of a coinbase begins with it (BIP 34):
// the shortest push of the number.
func HeightPush(height int64) []byte {
	switch {
	case height == 0:
		return []byte{op0}
	case height >= 1 && height <= 16:
		return []byte{op1 - 1 + byte(height)}
	}
	var le []byte
	for v := height; v > 0; v >>= 8 {
		le = append(le, byte(v))
	}
	if le[len(le)-1]&0x80 != 0 { // else it would read as a negative number
		le = append(le, 0)
	}
	return push(le)
}

// push is a push of up to 75 bytes, nothing for no bytes.
func push(data []byte) []byte {
	if len(data) == 0 {
		return nil
	}
	return append([]byte{byte(len(data))}, data...)
}

// AppendVarInt appends a count as it stands in blocks and transactions.
func AppendVarInt(b []byte, v uint64) []byte {
	switch {
	case v < 0xfd:
		return append(b, byte(v))
	case v <= 0xffff:
		return binary.LittleEndian.AppendUint16(append(b, 0xfd), uint16(v))
	case v <= 0xffffffff:
		return binary.LittleEndian.AppendUint32(append(b, 0xfe), uint32(v))
	default:
		return binary.LittleEndian.AppendUint64(append(b, 0xff), v)
	}
}

// Commitment is the script that commits to the witnesses of a block: of the
// coinbase, which counts as zero, and of the transactions behind it by their
// hashes with witness, header order.
func Commitment(hashes []hashengine.Hash) []byte {
	root := Root(append([]hashengine.Hash{{}}, hashes...))
	var pair [64]byte // the second half is the coinbase's witness: zeros
	copy(pair[:], root[:])
	h := hashengine.DoubleSHA256(pair[:])
	return append(append([]byte(nil), commitmentHeader...), h[:]...)
}

// IsCommitment reports whether the script is a witness commitment. More bytes
// may follow the 38 that count.
func IsCommitment(script []byte) bool {
	return len(script) >= 38 && bytes.HasPrefix(script, commitmentHeader)
}

// Commits reports whether the second half of a coinbase, from the input's
// sequence on, has an output with a witness commitment: its witness then
// belongs into the block.
func Commits(after []byte) (bool, error) {
	cut := errors.New("the coinbase's outputs are cut off")
	take := func(n uint64) []byte {
		if n > uint64(len(after)) {
			return nil
		}
		b := after[:n]
		after = after[n:]
		return b
	}
	if take(4) == nil || len(after) == 0 {
		return false, cut
	}
	outputs := take(1)[0]
	if outputs >= 0xfd {
		return false, fmt.Errorf("a coinbase of more than %d outputs is none of ours", 0xfd-1)
	}
	found := false
	for range outputs {
		if take(8) == nil || len(after) == 0 {
			return false, cut
		}
		n := uint64(take(1)[0])
		if n == 0xfd && len(after) >= 2 {
			n = uint64(binary.LittleEndian.Uint16(take(2)))
		} else if n >= 0xfd {
			return false, cut
		}
		script := take(n)
		if script == nil {
			return false, cut
		}
		found = found || IsCommitment(script)
	}
	if len(after) != 4 {
		return false, cut
	}
	return found, nil
}
