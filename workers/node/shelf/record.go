// SPDX-License-Identifier: Apache-2.0

package shelf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Bounds of a record: what a block can hold, with room to spare.
const (
	maxTransactions = 20_000
	maxRecord       = 16 << 20
)

// magic begins every file. Its last byte tells the form of what follows.
const magic = "BALTPL\x00\x01"

// headBytes of a record: the length of the body, a checksum of key and body,
// and the key. All numbers are little endian.
const headBytes = 4 + 4 + len(Key{})

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("damaged")

// appendRecord makes a record of a compressed body.
func appendRecord(b []byte, k Key, body []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, checksum(k, body))
	b = append(b, k[:]...)
	return append(b, body...)
}

func checksum(k Key, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(k[:], castagnoli), castagnoli, body)
}

// readHead reads the head of a record. io.EOF says that there is none, other
// errors that it is cut short or makes no sense.
func readHead(r io.Reader) (k Key, length int64, sum uint32, err error) {
	var head [headBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return k, 0, 0, err
	}
	length = int64(binary.LittleEndian.Uint32(head[:4]))
	if length > maxRecord {
		return k, 0, 0, fmt.Errorf("%w: a record of %d bytes", errDamaged, length)
	}
	copy(k[:], head[8:])
	return k, length, binary.LittleEndian.Uint32(head[4:8]), nil
}

// appendBody lists transactions: how many, and of each its place among those
// that the file has already, counted from 1, or 0, its length and its data.
func appendBody(b []byte, places []int, data [][]byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(data)))
	for i, d := range data {
		b = binary.AppendUvarint(b, uint64(places[i]))
		if places[i] == 0 {
			b = binary.AppendUvarint(b, uint64(len(d)))
			b = append(b, d...)
		}
	}
	return b
}

// parseBody reads a list; known are the transactions of the file so far, and
// are returned with those that the list adds. What is returned is part of b.
func parseBody(b []byte, known [][]byte) (data, all [][]byte, err error) {
	number := func(most int) int {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > uint64(most) {
			err = fmt.Errorf("%w: a number is missing or too large", errDamaged)
			return 0
		}
		b = b[n:]
		return int(v)
	}
	count := number(maxTransactions)
	if count > len(b) { // each takes a byte at least
		return nil, nil, fmt.Errorf("%w: it is too short for %d transactions", errDamaged, count)
	}
	data = make([][]byte, 0, count)
	for range count {
		place := number(len(known))
		if err == nil && place == 0 {
			size := number(len(b))
			if size > len(b) {
				err = fmt.Errorf("%w: a transaction is cut short", errDamaged)
			}
			if err == nil {
				known, b = append(known, b[:size:size]), b[size:]
				place = len(known)
			}
		}
		if err != nil {
			return nil, nil, err
		}
		data = append(data, known[place-1])
	}
	if err == nil && len(b) != 0 {
		err = fmt.Errorf("%w: %d bytes behind the transactions", errDamaged, len(b))
	}
	if err != nil {
		return nil, nil, err
	}
	return data, known, nil
}

// codec compresses and expands bodies.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (*codec, error) {
	// Fast: most of a transaction is random numbers.
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxRecord), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	return &codec{enc, dec}, nil
}

func (c *codec) pack(body []byte) []byte { return c.enc.EncodeAll(body, nil) }

func (c *codec) unpack(body []byte) ([]byte, error) {
	b, err := c.dec.DecodeAll(body, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	return b, nil
}

func (c *codec) close() {
	_ = c.enc.Close() // it has written nothing
	c.dec.Close()
}
