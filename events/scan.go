// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"math"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest in fields that a reader
// skips, as in encoding/json.
const maxDepth = 10000

// scanner reads JSON strictly, front to back, without building a tree. After
// the first fault every method does nothing.
type scanner struct {
	data []byte
	pos  int
	err  error
	// field is the name of the field being read, for messages.
	field []byte
	// interned keeps strings that come again and again; nil keeps none.
	interned *internTable
	// scratch holds an unescaped string.
	scratch []byte
}

func (s *scanner) fail(format string, args ...any) {
	if s.err != nil {
		return
	}
	where := fmt.Sprintf("byte %d", s.pos)
	if len(s.field) > 0 {
		where = fmt.Sprintf("%s (byte %d)", ClipText(string(s.field)), s.pos)
	}
	s.err = fmt.Errorf("%s: %s", where, fmt.Sprintf(format, args...))
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// open takes the bracket that begins an object or array.
func (s *scanner) open(bracket byte, want string) bool {
	if s.err != nil {
		return false
	}
	if s.peek() != bracket {
		s.fail("want %s", want)
		return false
	}
	s.pos++
	return true
}

// more moves to the next member of an object or array; false at its end or
// after a fault. n counts the members already read.
func (s *scanner) more(n int, end byte) bool {
	if s.err != nil {
		return false
	}
	c := s.peek()
	if c == end {
		s.pos++
		return false
	}
	if n == 0 {
		return true
	}
	if c != ',' {
		s.fail("want , or %c", end)
		return false
	}
	s.pos++
	if s.peek() == end {
		s.fail("want another member after the comma")
		return false
	}
	return true
}

// key reads a field name and its colon. The name is valid until the next
// string is read.
func (s *scanner) key() []byte {
	k, ok := s.plain()
	if ok && s.pos < len(s.data) && s.data[s.pos] == ':' {
		s.pos++
		s.field = k
		return k
	}
	if !ok {
		k = s.stringBytes()
	}
	if s.err != nil {
		return nil
	}
	if s.peek() != ':' {
		s.fail("want : after a field name")
		return nil
	}
	s.pos++
	s.field = k
	return k
}

// null takes the word null if it is next.
func (s *scanner) null() bool {
	if s.err != nil || s.peek() != 'n' {
		return false
	}
	if !bytes.HasPrefix(s.data[s.pos:], []byte("null")) {
		s.fail("want a JSON value")
		return false
	}
	s.pos += 4
	return true
}

func (s *scanner) bool() bool {
	if s.err != nil {
		return false
	}
	switch s.peek() {
	case 't':
		if bytes.HasPrefix(s.data[s.pos:], []byte("true")) {
			s.pos += 4
			return true
		}
	case 'f':
		if bytes.HasPrefix(s.data[s.pos:], []byte("false")) {
			s.pos += 5
			return false
		}
	}
	s.fail("want true or false")
	return false
}

// digits reads the digits of an integer; a fraction, an exponent or a leading
// zero is a fault.
func (s *scanner) digits() uint64 {
	start := s.pos
	var n uint64
	for ; s.pos < len(s.data); s.pos++ {
		c := s.data[s.pos] - '0'
		if c > 9 {
			break
		}
		if n > (math.MaxUint64-uint64(c))/10 {
			s.fail("the number is too large")
			return 0
		}
		n = n*10 + uint64(c)
	}
	switch {
	case s.pos == start:
		s.fail("want an integer")
	case s.data[start] == '0' && s.pos > start+1:
		s.fail("a number must not begin with 0")
	case s.pos < len(s.data) && (s.data[s.pos] == '.' || s.data[s.pos]|0x20 == 'e'):
		s.fail("want an integer, without fraction or exponent")
	}
	return n
}

func (s *scanner) int64() int64 {
	if s.err != nil {
		return 0
	}
	negative := s.peek() == '-'
	if negative {
		s.pos++
	}
	n := s.digits()
	switch {
	case negative && n <= 1<<63:
		return -int64(n)
	case !negative && n <= math.MaxInt64:
		return int64(n)
	}
	s.fail("the number is too large")
	return 0
}

func (s *scanner) uint64() uint64 {
	if s.err != nil {
		return 0
	}
	if s.peek() == '-' {
		s.fail("want an integer that is not negative")
		return 0
	}
	return s.digits()
}

func (s *scanner) uint32() uint32 {
	n := s.uint64()
	if n > math.MaxUint32 {
		s.fail("the number is too large")
	}
	return uint32(n)
}

// rawString reads a string and returns what stands between the quotes, and
// whether it stands for itself: ASCII without escapes.
func (s *scanner) rawString() (raw []byte, plain bool) {
	if raw, plain = s.plain(); plain {
		return raw, true
	}
	if s.err != nil {
		return nil, false
	}
	if s.peek() != '"' {
		s.fail("want a string")
		return nil, false
	}
	s.pos++
	start := s.pos
	plain = true
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return s.data[start : s.pos-1], plain
		case c == '\\':
			plain = false
			s.pos += 2
		case c < 0x20:
			s.fail("control character in a string")
			return nil, false
		default:
			if c >= utf8.RuneSelf {
				plain = false
			}
			s.pos++
		}
	}
	s.pos = len(s.data)
	s.fail("the string does not end")
	return nil, false
}

// stringBytes reads a string; the result is valid until the next string is
// read.
func (s *scanner) stringBytes() []byte {
	raw, plain := s.rawString()
	if plain || s.err != nil {
		return raw
	}
	s.scratch = s.unescape(s.scratch[:0], raw)
	return s.scratch
}

// string reads a string that is rarely the same twice.
func (s *scanner) string() string { return string(s.stringBytes()) }

// name reads a string that comes again and again.
func (s *scanner) name() string {
	b := s.stringBytes()
	if s.interned == nil {
		return string(b)
	}
	return s.interned.get(b)
}

// unescape resolves escapes; what is not UTF-8 becomes U+FFFD, as in
// encoding/json.
func (s *scanner) unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		c := raw[i]
		if c != '\\' {
			if c < utf8.RuneSelf {
				dst = append(dst, c)
				i++
				continue
			}
			r, n := utf8.DecodeRune(raw[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
		if i >= len(raw) {
			s.fail("the string does not end")
			return dst
		}
		switch c := raw[i]; c {
		case '"', '\\', '/':
			dst = append(dst, c)
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(raw[i+1:])
			if r < 0 {
				s.fail(`want four hex digits after \u`)
				return dst
			}
			i += 4
			if utf16.IsSurrogate(r) {
				// A pair needs its second half; half a pair is U+FFFD.
				r2 := rune(-1)
				if i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
					r2 = hex4(raw[i+3:])
				}
				if r = utf16.DecodeRune(r, r2); r != utf8.RuneError {
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			s.fail("unknown escape in a string")
			return dst
		}
		i++
	}
	return dst
}

func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// time reads an RFC 3339 time and turns it into UTC.
func (s *scanner) time() time.Time {
	raw, _ := s.rawString()
	if s.err != nil {
		return time.Time{}
	}
	t, err := parseTime(raw)
	if err != nil {
		s.fail("%s", err)
	}
	return t
}

// bytes reads base64.
func (s *scanner) bytes() []byte {
	b := s.stringBytes()
	if s.err != nil {
		return nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Decode(out, b)
	if err != nil {
		s.fail("not base64")
	}
	return out[:n]
}

// skip passes over a value that the reader does not know, checking that it is
// JSON.
func (s *scanner) skip(depth int) {
	if s.err != nil {
		return
	}
	if depth > maxDepth {
		s.fail("nested more than %d deep", maxDepth)
		return
	}
	switch s.peek() {
	case '{':
		s.pos++
		for n := 0; s.more(n, '}'); n++ {
			s.checkString()
			if s.err == nil && s.peek() != ':' {
				s.fail("want : after a field name")
			}
			s.pos++
			s.skip(depth + 1)
		}
	case '[':
		s.pos++
		for n := 0; s.more(n, ']'); n++ {
			s.skip(depth + 1)
		}
	case '"':
		s.checkString()
	case 't', 'f':
		s.bool()
	case 'n':
		s.null()
	default:
		s.skipNumber()
	}
}

func (s *scanner) checkString() {
	if raw, plain := s.rawString(); !plain && s.err == nil {
		s.scratch = s.unescape(s.scratch[:0], raw)
	}
}

func (s *scanner) skipNumber() {
	run := func() bool {
		start := s.pos
		for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
			s.pos++
		}
		return s.pos > start
	}
	at := func(set string) bool {
		if s.pos < len(s.data) && bytes.IndexByte([]byte(set), s.data[s.pos]) >= 0 {
			s.pos++
			return true
		}
		return false
	}
	at("-")
	zero := s.pos < len(s.data) && s.data[s.pos] == '0'
	start := s.pos
	ok := run() && (!zero || s.pos == start+1)
	if ok && at(".") {
		ok = run()
	}
	if ok && at("eE") {
		at("+-")
		ok = run()
	}
	if !ok {
		s.fail("want a JSON value")
	}
}

// end makes sure that nothing but white space follows.
func (s *scanner) end() {
	if s.err == nil && (s.peek() != 0 || s.pos < len(s.data)) {
		s.field = nil
		s.fail("bytes after the first value")
	}
}
