// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/klauspost/compress/zstd"
)

// readIndex reads the index at the end of an export and checks that its blocks
// lie one behind the other: none can have been taken out.
func readIndex(r io.ReaderAt) (*index, error) {
	size := sizeOf(r)
	tail := make([]byte, indexTail)
	if size < int64(indexTail+frameHead) {
		return nil, fmt.Errorf("%w: it has no index: it was cut off", ErrFile)
	}
	if _, err := r.ReadAt(tail, size-int64(indexTail)); err != nil {
		return nil, fmt.Errorf("%w: index: %w", ErrFile, err)
	}
	if string(tail[4:]) != indexMark {
		return nil, fmt.Errorf("%w: it has no index: it was cut off", ErrFile)
	}
	length := int64(binary.LittleEndian.Uint32(tail))
	start := size - int64(indexTail) - length - frameHead
	if start < 0 || length > maxLine {
		return nil, fmt.Errorf("%w: its index of %d bytes does not fit", ErrFile, length)
	}
	b := make([]byte, frameHead+length)
	if _, err := r.ReadAt(b, start); err != nil {
		return nil, fmt.Errorf("%w: index: %w", ErrFile, err)
	}
	if binary.LittleEndian.Uint32(b) != skippableMagic || int64(binary.LittleEndian.Uint32(b[4:])) != length+int64(indexTail) {
		return nil, fmt.Errorf("%w: its index is damaged", ErrFile)
	}
	var x index
	if err := json.Unmarshal(b[frameHead:], &x); err != nil {
		return nil, fmt.Errorf("%w: index: %w", ErrFile, err)
	}
	return &x, x.check(start)
}

func (x *index) check(end int64) error {
	lines, at := uint64(0), int64(-1)
	last := make(map[string]uint64)
	for i, b := range x.Blocks {
		if b.Lines == 0 || b.First > b.Last || b.First <= last[b.Stream] || b.Bytes <= 0 || b.Bytes > maxBlock || b.Offset < 0 || at >= 0 && b.Offset != at || b.Offset+b.Bytes > end {
			return fmt.Errorf("%w: block %d of its index (%s/%d to %d) does not follow the one before it", ErrFile, i, b.Stream, b.First, b.Last)
		}
		at = b.Offset + b.Bytes
		last[b.Stream] = b.Last
		lines += b.Lines
	}
	if lines != x.Lines {
		return fmt.Errorf("%w: its index counts %d lines and says %d", ErrFile, lines, x.Lines)
	}
	return nil
}

// sizeOf what is read, by looking for its end.
func sizeOf(r io.ReaderAt) int64 {
	if f, ok := r.(io.Seeker); ok {
		if n, err := f.Seek(0, io.SeekEnd); err == nil {
			return n
		}
	}
	if b, ok := r.(*bytes.Reader); ok {
		return b.Size()
	}
	return 0
}

// unpacked is a block on its way from the decompressor to the reader.
type unpacked struct {
	text []byte
	b    *block
	err  error
}

// blocks yields the lines of the blocks that hold messages of a stream from a
// sequence on. The next block is decompressed while the last is being read.
func (f *file) blocks(in io.ReaderAt, stream string, from uint64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		ready, free, stop := make(chan unpacked), make(chan []byte, 2), make(chan struct{})
		free <- nil
		free <- nil
		go f.unpack(in, stream, from, ready, free, stop)
		defer func() {
			close(stop)
			for range ready { // until unpack is gone: it reads the file
			}
		}()
		for u := range ready {
			if u.err != nil {
				yield(nil, u.err)
				return
			}
			rest, n := u.text, uint64(0)
			for len(rest) > 0 {
				end := bytes.IndexByte(rest, '\n')
				if end < 0 {
					break
				}
				n++
				if !yield(rest[:end], nil) {
					return
				}
				rest = rest[end+1:]
			}
			if len(rest) > 0 || n != u.b.Lines {
				yield(nil, fmt.Errorf("%w: the block of %s/%d has %d lines, its index says %d", ErrFile, stream, u.b.First, n, u.b.Lines))
				return
			}
			free <- u.text
		}
	}
}

// unpack decompresses blocks until it is told to stop.
func (f *file) unpack(in io.ReaderAt, stream string, from uint64, ready chan<- unpacked, free <-chan []byte, stop <-chan struct{}) {
	defer close(ready)
	send := func(u unpacked) bool {
		select {
		case ready <- u:
			return u.err == nil
		case <-stop:
			return false
		}
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		send(unpacked{err: fmt.Errorf("%w: %w", ErrFile, err)})
		return
	}
	defer z.Close()
	var packed []byte
	for i := range f.index.Blocks {
		b := &f.index.Blocks[i]
		if b.Stream != stream || b.Last < from {
			continue
		}
		var text []byte
		select {
		case text = <-free:
		case <-stop:
			return
		}
		if int64(cap(packed)) < b.Bytes {
			packed = make([]byte, b.Bytes)
		}
		packed = packed[:b.Bytes]
		if _, err := in.ReadAt(packed, b.Offset); err != nil {
			send(unpacked{err: fmt.Errorf("%w: the block of %s/%d: %w", ErrFile, stream, b.First, err)})
			return
		}
		text, err := z.DecodeAll(packed, text[:0])
		if err != nil {
			send(unpacked{err: fmt.Errorf("%w: the block of %s/%d: %w", ErrFile, stream, b.First, err)})
			return
		}
		if !send(unpacked{text: text, b: b}) {
			return
		}
	}
}
