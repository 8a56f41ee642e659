// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// Digest is a SHA-256 sum.
type Digest [sha256.Size]byte

// String is the digest as 64 hex digits.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// Raw is one message of the journal as stored. Readers may reuse its memory
// after the call that takes it.
type Raw struct {
	// Subject and Header of the message; Header may be nil.
	Subject string
	Header  nats.Header
	// Data is the payload.
	Data []byte
	// Sequence in JOURNAL and time of arrival there.
	Sequence uint64
	Arrived  time.Time
}

// chain hashes messages one onto the other. It reuses its buffer, so a chain
// of a million messages allocates once.
type chain struct {
	prev, sum Digest
	buf       []byte
}

// extend hashes (prev, epoch, sequence, arrival, subject, ids, data); lengths
// go before what varies, so that no two messages share a layout.
func (c *chain) extend(epoch uint64, m *Raw) {
	c.prev = c.sum
	b := append(c.buf[:0], c.prev[:]...)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = binary.BigEndian.AppendUint64(b, m.Sequence)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Arrived.UnixNano()))
	b = appendString(b, m.Subject)
	b = appendString(b, header(m.Header, events.HeaderCEID))
	b = appendString(b, header(m.Header, events.HeaderMsgID))
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.Data)))
	c.buf = append(b, m.Data...)
	c.sum = sha256.Sum256(c.buf)
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func header(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}
