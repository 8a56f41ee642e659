// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// DefaultLineLimit is the most bytes of one line unless told otherwise; a
// notify is 1 to 3 KiB.
const DefaultLineLimit = 64 << 10

const (
	firstBuffer = 1 << 10 // enough for every message of a machine
	keptBuffer  = 4 << 10 // a larger buffer is given back after its line
	emptyReads  = 100     // in a row before a reader counts as broken
)

// Errors of a Reader after which it may be used further; see Recoverable.
var (
	// ErrLineTooLong: a line is over the limit. Next skips the rest of it.
	ErrLineTooLong = errors.New("line too long")
	// ErrMalformed: a line is not a JSON object. Next goes on with the line
	// after it.
	ErrMalformed = errors.New("not a JSON object")
)

// Recoverable reports whether the line alone is at fault, so that a caller who
// wants to may call Next again.
func Recoverable(err error) bool {
	return errors.Is(err, ErrLineTooLong) || errors.Is(err, ErrMalformed)
}

// Reader takes messages out of a stream of bytes. It holds 1 KiB while lines
// are short and never more than the limit.
type Reader struct {
	r          io.Reader
	limit      int
	buf        []byte
	start, end int    // what has been read and not been returned
	rest       []byte // of the line last read: further objects
	skipping   bool   // inside a line that is too long
	err        error  // of the stream, reported once the lines are out
}

// NewReader reads from r lines of at most limit bytes, DefaultLineLimit when
// it is 0.
func NewReader(r io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = DefaultLineLimit
	}
	return &Reader{r: r, limit: limit}
}

// Next reads the next message into m, which aliases the reader's buffer until
// the call after. Errors are those of the stream (io.EOF at its end), or
// ErrLineTooLong or ErrMalformed, wrapped, after which Next may be called
// again. A caller bounds how long a line may take by deadlines of the
// connection.
func (r *Reader) Next(m *Message) error {
	rest := r.rest
	r.rest = nil
	if len(rest) == 0 {
		var err error
		if rest, err = r.line(); err != nil {
			return err
		}
	}
	rest, err := m.parse(rest)
	if err != nil {
		return err
	}
	r.rest = rest
	return nil
}

// Buffered reports whether a message may be had without reading from the
// stream: a writer that collects replies need not write yet.
func (r *Reader) Buffered() bool {
	return len(r.rest) > 0 || bytes.IndexByte(r.buf[r.start:r.end], '\n') >= 0
}

// line is the next line that is not empty, without its end.
func (r *Reader) line() ([]byte, error) {
	if r.start == r.end {
		r.start, r.end = 0, 0
		if cap(r.buf) > keptBuffer {
			r.buf = nil
		}
	}
	seen := r.start // before it there is no end of a line
	for empty := 0; ; {
		if n := bytes.IndexByte(r.buf[seen:r.end], '\n'); n >= 0 {
			line := r.buf[r.start : seen+n]
			r.start = seen + n + 1
			seen = r.start
			if r.skipping {
				r.skipping = false
				continue
			}
			if len(line) > r.limit {
				return nil, r.tooLong()
			}
			if line = trim(line); len(line) > 0 {
				return line, nil
			}
			continue
		}
		if r.skipping {
			r.start, r.end = 0, 0
		} else if r.end-r.start > r.limit {
			r.start, r.end, r.skipping = 0, 0, true
			return nil, r.tooLong()
		}
		if r.err != nil {
			// A peer that closes without ending its last line may still have
			// said something whole; if not, it does not parse.
			line := trim(r.buf[r.start:r.end])
			r.start, r.end = 0, 0
			if len(line) > 0 {
				return line, nil
			}
			return nil, r.err
		}
		r.makeRoom()
		seen = r.end
		n, err := r.r.Read(r.buf[r.end:])
		r.end += n
		if empty++; n > 0 {
			empty = 0
		}
		if err == nil && empty == emptyReads {
			err = io.ErrNoProgress
		}
		if err != nil && !r.keep(err) {
			return nil, err
		}
	}
}

// keep remembers the end of the stream. Other errors (a deadline) pass by, and
// what has been read waits for the next call.
func (r *Reader) keep(err error) bool {
	if errors.Is(err, io.EOF) {
		r.err = err
		return true
	}
	return false
}

func (r *Reader) tooLong() error {
	return fmt.Errorf("%w: over %d bytes", ErrLineTooLong, r.limit)
}

// makeRoom leaves at least one free byte at the end of the buffer.
func (r *Reader) makeRoom() {
	switch {
	case r.buf == nil:
		r.buf = make([]byte, min(firstBuffer, r.limit+2))
	case r.end < len(r.buf):
	case r.start > 0:
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	default:
		// One byte more than the longest line with its end, so that a line
		// over the limit shows.
		grown := make([]byte, min(2*len(r.buf), r.limit+2))
		r.end = copy(grown, r.buf[:r.end])
		r.buf = grown
	}
}

// trim takes white space of JSON off both ends, and the \r of \r\n with it.
func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
