// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// blockBytes of lines stand in one compressed block. Only whole blocks are
// read, so this is what a read from the middle wastes.
const blockBytes = 4 << 20

// block is one compressed block of the index: lines of one stream.
type block struct {
	Stream string `json:"stream"`
	// Offset and Bytes in the file.
	Offset int64 `json:"offset"`
	Bytes  int64 `json:"bytes"`
	// First and Last sequence, and how many Lines.
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Lines uint64 `json:"lines"`
}

// index is the last frame of an export, one that decompressors skip.
type index struct {
	Lines  uint64  `json:"lines"`
	Blocks []block `json:"blocks"`
}

// The index frame: a skippable frame of zstd (RFC 8878 §3.1.2) whose content
// ends with its own length and a mark, so that it is found from the end.
const (
	skippableMagic = 0x184D2A5B
	indexMark      = "BLSTIDX2"
	indexTail      = 4 + len(indexMark)
	frameHead      = 8
)

// Writer writes an export. Streams may be written in turns; within a stream
// sequences rise. Memory is bounded: a block per stream. Not safe for
// concurrent use.
type Writer struct {
	w      io.Writer
	z      *zstd.Encoder
	at     int64
	lines  uint64
	open   map[string]*openBlock
	blocks []block
	packed []byte
}

// openBlock gathers lines of a stream.
type openBlock struct {
	block
	text []byte
}

// NewWriter begins an export. What is written is of no use until Close has
// returned without an error.
func NewWriter(w io.Writer, h FileHeader) (*Writer, error) {
	h.Format = Format
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	x := &Writer{w: w, z: z, open: make(map[string]*openBlock)}
	line, err := json.Marshal(&h)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return x, x.frame(append(line, '\n'))
}

// frame compresses text into a frame of its own.
func (x *Writer) frame(text []byte) error {
	x.packed = x.z.EncodeAll(text, x.packed[:0])
	n, err := x.w.Write(x.packed)
	x.at += int64(n)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

// Write adds a message of a stream; epoch is that of the journal, 0 elsewhere.
func (x *Writer) Write(stream string, epoch uint64, m *decider.Raw) error {
	o := x.open[stream]
	if o == nil {
		o = &openBlock{block: block{Stream: stream}}
		x.open[stream] = o
	}
	if o.Lines == 0 {
		o.First = m.Sequence
	} else if m.Sequence <= o.Last {
		return fmt.Errorf("export: %s/%d after %d", stream, m.Sequence, o.Last)
	}
	o.Last = m.Sequence
	o.Lines++
	o.text = appendLine(o.text, stream, epoch, m)
	if len(o.text) >= blockBytes {
		return x.flush(o)
	}
	return nil
}

func (x *Writer) flush(o *openBlock) error {
	if o.Lines == 0 {
		return nil
	}
	o.Offset = x.at
	if err := x.frame(o.text); err != nil {
		return err
	}
	o.Bytes = x.at - o.Offset
	x.lines += o.Lines
	x.blocks = append(x.blocks, o.block)
	*o = openBlock{block: block{Stream: o.Stream, Last: o.Last}, text: o.text[:0]}
	return nil
}

// Lines written so far, those that still wait in a block included.
func (x *Writer) Lines() uint64 {
	n := x.lines
	for _, o := range x.open {
		n += o.Lines
	}
	return n
}

// Close writes what waits, the trailer and the index. It does not close the
// file.
func (x *Writer) Close() error {
	for _, stream := range append([]string{streamSnapshots}, exported...) {
		if o := x.open[stream]; o != nil {
			if err := x.flush(o); err != nil {
				return err
			}
			delete(x.open, stream)
		}
	}
	for stream := range x.open {
		return fmt.Errorf("export: stream %q is none that is exported", stream)
	}
	line, err := json.Marshal(trailer{x.lines})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := x.frame(append(line, '\n')); err != nil {
		return err
	}
	data, err := json.Marshal(&index{x.lines, x.blocks})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	b := binary.LittleEndian.AppendUint32(nil, skippableMagic)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)+indexTail))
	b = append(b, data...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	if _, err := x.w.Write(append(b, indexMark...)); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return errors.Join(x.z.Close())
}

// headerOrder of a line. The others follow by name.
var headerOrder = [...]string{
	events.HeaderCESpecVersion, events.HeaderCEID, events.HeaderCEType, events.HeaderCESource, events.HeaderCETime,
	events.HeaderCausation, events.HeaderCorrelation, events.HeaderContentType, events.HeaderMsgID,
	events.HeaderOrigin, events.HeaderOriginTime,
}

// appendLine writes a Line as JSON: what is read a million times is not worth a
// reflecting encoder. A payload that is one JSON value on one line stands there
// as it is, byte for byte.
func appendLine(b []byte, stream string, epoch uint64, m *decider.Raw) []byte {
	b = append(b, `{"stream":`...)
	b = appendQuoted(b, stream)
	if epoch != 0 {
		b = append(b, `,"epoch":`...)
		b = strconv.AppendUint(b, epoch, 10)
	}
	b = append(b, `,"sequence":`...)
	b = strconv.AppendUint(b, m.Sequence, 10)
	b = append(b, `,"arrived":"`...)
	b = m.Arrived.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","subject":`...)
	b = appendQuoted(b, m.Subject)
	if len(m.Header) > 0 {
		b = append(b, `,"headers":{`...)
		b = appendHeaders(b, m.Header)
		b = append(b, '}')
	}
	switch {
	case plainJSON(m.Data):
		b = append(b, `,"json":`...)
		b = append(b, m.Data...)
	case utf8.Valid(m.Data):
		b = append(b, `,"payload":`...)
		b = appendQuoted(b, string(m.Data))
	default:
		b = append(b, `,"payload_base64":"`...)
		b = base64.StdEncoding.AppendEncode(b, m.Data)
		b = append(b, '"')
	}
	return append(b, "}\n"...)
}

// plainJSON reports whether data can stand in a line as it is.
func plainJSON(data []byte) bool {
	if len(data) == 0 || data[0] != '{' || data[len(data)-1] != '}' {
		return false
	}
	for _, c := range data {
		if c == '\n' || c == '\r' {
			return false
		}
	}
	return utf8.Valid(data) && json.Valid(data)
}

func appendHeaders(b []byte, h map[string][]string) []byte {
	first := true
	put := func(k string, values []string) {
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendQuoted(b, k)
		b = append(b, ":["...)
		for i, v := range values {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendQuoted(b, v)
		}
		b = append(b, ']')
	}
	known := 0
	for _, k := range headerOrder {
		if v, ok := h[k]; ok {
			known++
			put(k, v)
		}
	}
	if known == len(h) {
		return b
	}
	for _, k := range sortedOthers(h) {
		put(k, h[k])
	}
	return b
}

// appendQuoted writes s as a JSON string. Bytes that are no UTF-8 in a header or
// subject become U+FFFD, as every JSON writer has it.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			q, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...) // a string always marshals
			}
			return append(b, q...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
