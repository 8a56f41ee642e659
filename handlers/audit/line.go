// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Line is one message of an export.
type Line struct {
	// Stream, Epoch (of the journal, 0 elsewhere), Sequence and Arrived are
	// where and when it was stored.
	Stream   string    `json:"stream"`
	Epoch    uint64    `json:"epoch,omitempty"`
	Sequence uint64    `json:"sequence"`
	Arrived  time.Time `json:"arrived"`
	// Subject and Headers as stored.
	Subject string              `json:"subject"`
	Headers map[string][]string `json:"headers,omitempty"`
	// JSON is the exact bytes of a payload that is JSON on one line; Payload
	// those of any other text; PayloadBase64 of what is no UTF-8.
	JSON          json.RawMessage `json:"json,omitempty"`
	Payload       string          `json:"payload,omitempty"`
	PayloadBase64 string          `json:"payload_base64,omitempty"`
}

// trailer is the last line: without it the file was cut off.
type trailer struct {
	Lines uint64 `json:"lines"`
}

func (l *Line) payload() ([]byte, error) {
	switch {
	case l.JSON != nil:
		return l.JSON, nil
	case l.PayloadBase64 == "":
		return []byte(l.Payload), nil
	}
	return base64.StdEncoding.DecodeString(l.PayloadBase64)
}

func (l *Line) raw() (*decider.Raw, error) {
	data, err := l.payload()
	if err != nil {
		return nil, fmt.Errorf("%w: payload of %s/%d: %w", ErrFile, l.Stream, l.Sequence, err)
	}
	return &decider.Raw{Subject: l.Subject, Header: nats.Header(l.Headers), Data: data, Sequence: l.Sequence, Arrived: l.Arrived.UTC()}, nil
}

// lineReader turns lines into messages, reusing its memory: those that Writer
// wrote by hand, any other with the library.
type lineReader struct {
	raw    decider.Raw
	stream string
	// shape of the newest header: its names in order, each with the one value
	// that the map of raw points to. Most lines have that of the line before.
	shape []headerSlot
	// cache of strings that come again: subjects, sources.
	cache *[slots]string
	seed  maphash.Seed
	// second of the newest time as text, and since 1970: those of the lines
	// behind it mostly differ in the fraction.
	second string
	unix   int64
}

// headerSlot is one header of a line.
type headerSlot struct {
	lead string // "name":["
	name string
	// unique: its value never comes again.
	unique bool
	value  []string
}

// slots of the cache of strings, a power of two: many more than a site has
// subjects, or two of them would drive each other out again and again.
const slots = 1 << 15

// read returns the message of a line, valid until the next call, and its
// stream, which is empty for a line that holds no message.
func (r *lineReader) read(line []byte) (string, *decider.Raw, error) {
	if stream, ok := r.quick(line); ok {
		return stream, &r.raw, nil
	}
	var l Line
	if err := json.Unmarshal(line, &l); err != nil {
		return "", nil, err
	}
	if l.Stream == "" {
		return "", nil, nil
	}
	m, err := l.raw()
	return l.Stream, m, err
}

// quick reads what appendLine writes and nothing else.
func (r *lineReader) quick(line []byte) (string, bool) {
	s := cursor{b: line, ok: true}
	s.take(`{"stream":"`)
	if t := s.text(); string(t) != r.stream {
		r.stream = string(t)
	}
	if s.has(`,"epoch":`) {
		s.number()
	}
	s.take(`,"sequence":`)
	r.raw.Sequence = s.number()
	s.take(`,"arrived":"`)
	r.raw.Arrived = r.time(&s)
	s.take(`,"subject":"`)
	r.raw.Subject = r.intern(s.text())
	r.headers(&s)
	s.take(`,"json":`)
	if !s.ok || len(s.b) < 3 || s.b[len(s.b)-1] != '}' {
		return "", false
	}
	r.raw.Data = s.b[:len(s.b)-1]
	return r.stream, r.stream != ""
}

// headers of a line, into the map of the line before when they have the same
// names.
func (r *lineReader) headers(s *cursor) {
	n := 0
	if s.has(`,"headers":{`) {
		for s.ok && !s.has("}") {
			if n > 0 {
				s.take(",")
			}
			if n == len(r.shape) || !s.has(r.shape[n].lead) {
				r.reshape(s, n)
			}
			v := s.text()
			s.take("]")
			if !s.ok {
				break
			}
			if slot := &r.shape[n]; string(v) != slot.value[0] {
				if slot.unique {
					slot.value[0] = string(v)
				} else {
					slot.value[0] = r.intern(v)
				}
			}
			n++
		}
	}
	if n != len(r.shape) {
		r.shape = r.shape[:n]
		r.remap()
	}
	if !s.ok {
		r.shape = nil // half read
		r.remap()
	}
}

// reshape takes another name for the header n, and forgets those behind it.
func (r *lineReader) reshape(s *cursor, n int) {
	s.take(`"`)
	name := r.intern(s.text())
	s.take(`:["`)
	r.shape = append(r.shape[:n:n], headerSlot{lead: `"` + name + `":["`, name: name, value: []string{""},
		unique: name == events.HeaderCEID || name == events.HeaderMsgID || name == events.HeaderCausation})
	r.remap()
}

func (r *lineReader) remap() {
	r.raw.Header = make(nats.Header, len(r.shape))
	for _, h := range r.shape {
		r.raw.Header[h.name] = h.value
	}
}

// intern returns the string of a subject, name or value, the same one as before
// where it came a while ago.
func (r *lineReader) intern(b []byte) string {
	if r.cache == nil {
		r.cache, r.seed = new([slots]string), maphash.MakeSeed()
	}
	s := &r.cache[maphash.Bytes(r.seed, b)&(slots-1)]
	if *s != string(b) {
		*s = string(b)
	}
	return *s
}

// cursor reads the fixed layout of a line.
type cursor struct {
	b  []byte
	ok bool
}

func (s *cursor) has(lead string) bool {
	if !s.ok || len(s.b) < len(lead) || string(s.b[:len(lead)]) != lead {
		return false
	}
	s.b = s.b[len(lead):]
	return true
}

func (s *cursor) take(lead string) { s.ok = s.has(lead) }

// text up to the closing quote; an escape is left to the library.
func (s *cursor) text() []byte {
	if !s.ok {
		return nil
	}
	if n := events.PlainLength(s.b); n >= 0 {
		t := s.b[:n]
		s.b = s.b[n+1:]
		return t
	}
	end := bytes.IndexByte(s.b, '"')
	if end < 0 || bytes.IndexByte(s.b[:end], '\\') >= 0 || !utf8.Valid(s.b[:end]) {
		s.ok = false
		return nil
	}
	t := s.b[:end]
	s.b = s.b[end+1:]
	return t
}

func (s *cursor) number() uint64 {
	n, i := uint64(0), 0
	for i < len(s.b) && i < 19 && s.b[i] >= '0' && s.b[i] <= '9' {
		n = n*10 + uint64(s.b[i]-'0')
		i++
	}
	if i == 0 || i == 19 || i > 1 && s.b[0] == '0' {
		s.ok = false
		return 0
	}
	s.b = s.b[i:]
	return n
}

// time of a line, UTC.
func (r *lineReader) time(s *cursor) time.Time {
	b := s.text()
	if !s.ok {
		return time.Time{}
	}
	n := len(b)
	utc := n >= 20 && n <= 30 && b[n-1] == 'Z'
	if utc && string(b[:19]) == r.second {
		if nanos, ok := fraction(b[19 : n-1]); ok {
			return time.Unix(r.unix, nanos).UTC()
		}
	}
	t, err := time.Parse(time.RFC3339Nano, string(b))
	if err != nil {
		s.ok = false
		return t
	}
	if utc && (n == 20 || b[19] == '.') {
		r.second, r.unix = string(b[:19]), t.Unix()
	}
	return t.UTC()
}

// fraction of a second, nothing or a point and up to nine digits, in ns.
func fraction(b []byte) (int64, bool) {
	if len(b) == 0 {
		return 0, true
	}
	if len(b) < 2 || b[0] != '.' {
		return 0, false
	}
	nanos := int64(0)
	for _, c := range b[1:] {
		if c -= '0'; c > 9 {
			return 0, false
		}
		nanos = nanos*10 + int64(c)
	}
	for i := len(b); i < 10; i++ {
		nanos *= 10
	}
	return nanos, true
}

// sortedOthers are the names of a header that have no fixed place.
func sortedOthers(h map[string][]string) []string {
	var out []string
	for k := range h {
		if !slices.Contains(headerOrder[:], k) {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// uintOf reads a number of a snapshot's name.
func uintOf(s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
