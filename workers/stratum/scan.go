// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxDepth of nested arrays and objects; the deepest message of the protocol
// has four.
const maxDepth = 32

// The scanner checks JSON without building anything of it: values stay slices
// of the line. Its functions return the place after what they read, or -1.

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func skipSpace(b []byte, i int) int {
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	return i
}

// skipValue reads any value that begins at i.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch c := b[i]; c {
	case '"':
		return skipString(b, i)
	case '{':
		return skipObject(b, i, depth)
	case '[':
		return skipArray(b, i, depth)
	case 't':
		return skipWord(b, i, "true")
	case 'f':
		return skipWord(b, i, "false")
	case 'n':
		return skipWord(b, i, "null")
	default:
		return skipNumber(b, i)
	}
}

func skipWord(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < 0x20:
			return -1
		case c == '\\':
			if i++; i >= len(b) {
				return -1
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(b) || hexValue[b[i]] < 0 {
						return -1
					}
				}
			default:
				return -1
			}
		}
	}
	return -1
}

func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return -1
	case b[i] == '0':
		i++
	default:
		if i = skipDigits(b, i); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i] == '.' {
		if i = skipDigits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return skipDigits(b, i)
	}
	return i
}

// skipDigits reads at least one.
func skipDigits(b []byte, i int) int {
	from := i
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

func skipArray(b []byte, i, depth int) int {
	if depth == maxDepth {
		return -1
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		if i = skipValue(b, i, depth+1); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) {
			return -1
		}
		switch b[i] {
		case ']':
			return i + 1
		case ',':
			i = skipSpace(b, i+1)
		default:
			return -1
		}
	}
}

func skipObject(b []byte, i, depth int) int {
	end, err := eachMember(b, i, depth, nil)
	if err != nil {
		return -1
	}
	return end
}

// eachMember reads the object at i and calls visit for every member, when
// there is a visit.
func eachMember(b []byte, i, depth int, visit func(key, value []byte)) (end int, err error) {
	if i >= len(b) || b[i] != '{' || depth == maxDepth {
		return -1, ErrMalformed
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		if i >= len(b) || b[i] != '"' {
			return -1, ErrMalformed
		}
		after := skipString(b, i)
		if after < 0 {
			return -1, ErrMalformed
		}
		key := b[i:after]
		if i = skipSpace(b, after); i >= len(b) || b[i] != ':' {
			return -1, ErrMalformed
		}
		i = skipSpace(b, i+1)
		if after = skipValue(b, i, depth+1); after < 0 {
			return -1, ErrMalformed
		}
		if visit != nil {
			visit(key, b[i:after])
		}
		if i = skipSpace(b, after); i >= len(b) {
			return -1, ErrMalformed
		}
		switch b[i] {
		case '}':
			return i + 1, nil
		case ',':
			i = skipSpace(b, i+1)
		default:
			return -1, ErrMalformed
		}
	}
}

// elements splits the array raw, which has been scanned before, into at most
// cap(to) elements and says how many there are. Absent params are none.
func elements(raw []byte, to [][]byte) (first [][]byte, count int, err error) {
	to = to[:0]
	if isNull(raw) {
		return to, 0, nil
	}
	if raw[0] != '[' {
		return nil, 0, fmt.Errorf("%s is not a list", clip(raw))
	}
	i := skipSpace(raw, 1)
	if i < len(raw) && raw[i] == ']' {
		return to, 0, nil
	}
	for i < len(raw) {
		end := skipValue(raw, i, 1)
		if end < 0 {
			break
		}
		if len(to) < cap(to) {
			to = append(to, raw[i:end])
		}
		count++
		if i = skipSpace(raw, end); i >= len(raw) {
			break
		}
		if raw[i] == ']' {
			return to, count, nil
		}
		if raw[i] != ',' {
			break
		}
		i = skipSpace(raw, i+1)
	}
	return nil, 0, fmt.Errorf("%s: %w", clip(raw), ErrMalformed)
}

// members splits the object raw.
func members(raw []byte, visit func(key, value []byte)) error {
	if isNull(raw) || raw[0] != '{' {
		return fmt.Errorf("%s is not an object", clip(raw))
	}
	_, err := eachMember(raw, 0, 0, visit)
	return err
}

func isNull(raw []byte) bool { return len(raw) == 0 || string(raw) == "null" }

// text is the content of a JSON string. It aliases raw where nothing is
// escaped and the text is UTF-8.
func text(raw []byte) ([]byte, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	in := raw[1 : len(raw)-1]
	plain := true
	for _, c := range in {
		if c == '\\' || c >= utf8.RuneSelf {
			plain = false
			break
		}
	}
	if plain {
		return in, true
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return nil, false
	}
	return []byte(s), true
}

// boundedText is text of at most most bytes, copied.
func boundedText(raw []byte, what string, most int) (string, error) {
	t, ok := text(raw)
	if !ok {
		return "", fmt.Errorf("%s: %s is not a text", what, clip(raw))
	}
	if len(t) > most {
		return "", fmt.Errorf("%s: %d characters; at most %d", what, len(t), most)
	}
	return string(t), nil
}

// integer reads a whole number, quoted or not.
func integer(raw []byte) (int64, bool) {
	if t, ok := text(raw); ok {
		raw = t
	}
	if len(raw) == 0 || len(raw) > 20 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	return n, err == nil
}

// truth reads true and false, and the 1 and 0 that some send for them.
func truth(raw []byte) (value, ok bool) {
	switch string(raw) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

// clip quotes what came from outside, shortened.
func clip(raw []byte) string {
	const most = 80
	if len(raw) > most {
		return strconv.QuoteToASCII(string(raw[:most])) + "…"
	}
	return strconv.QuoteToASCII(string(raw))
}

// Clip shortens a peer's text before it goes into an error or a log.
func Clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
