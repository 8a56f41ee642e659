// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// Codes of errors.
const (
	CodeOther          = 20 // bad params, ntime or version bits out of range, another worker's name
	CodeStale          = 21 // job not found
	CodeDuplicate      = 22
	CodeLowDifficulty  = 23
	CodeUnauthorized   = 24
	CodeNotSubscribed  = 25
	CodeMethodNotFound = -32601
	CodeParse          = -32700
	CodeUnknownMethod  = -3 // old style of CodeMethodNotFound
)

// Error is what a reply refuses with.
type Error struct {
	// Code, one of the above or a pool's own; 0 when it gave none.
	Code int
	// Text in the peer's words, at most events.MaxText characters.
	Text string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Code == 0 {
		return e.Text
	}
	return fmt.Sprintf("%s (code %d)", e.Text, e.Code)
}

// Meaning is Code where that is one of the six above that concern shares. Pools
// with codes of their own say in words what they mean: it is the code that the
// text speaks of then, or Code when it speaks of none.
func (e *Error) Meaning() int {
	if e.Code >= CodeOther && e.Code <= CodeNotSubscribed {
		return e.Code
	}
	return codeOfText(e.Text, e.Code)
}

// ParseError reads the error of a reply in any of the shapes seen: [code,
// text, extra], {"code", "message"}, a bare text. It never fails: what is none
// of them becomes the text itself with code 0. It returns nil for null.
func ParseError(raw []byte) *Error {
	if isNull(raw) {
		return nil
	}
	e := &Error{}
	var code, words []byte
	switch raw[0] {
	case '[':
		var room [2][]byte
		if list, _, err := elements(raw, room[:0]); err == nil {
			for i, v := range list {
				if i == 0 {
					code = v
				} else {
					words = v
				}
			}
		}
	case '{':
		_ = members(raw, func(key, value []byte) { // scanned before, cannot fail
			switch string(key) {
			case `"code"`:
				code = value
			case `"message"`:
				words = value
			}
		})
	case '"':
		words = raw
	}
	if n, ok := integer(code); ok && n >= -1<<31 && n < 1<<31 {
		e.Code = int(n)
	}
	if t, ok := text(words); ok {
		e.Text = clipText(t)
	} else if t, ok := text(code); ok && e.Code == 0 {
		e.Text = clipText(t) // a list of texts only
	} else {
		e.Text = clipText(raw)
	}
	if e.Code == 0 {
		e.Code = codeOfText(e.Text, 0)
	}
	return e
}

// codeOfText guesses the code from what pools write where they give none.
func codeOfText(words string, otherwise int) int {
	words = strings.ToLower(words)
	for _, k := range []struct {
		part string
		code int
	}{
		{"stale", CodeStale}, {"job not found", CodeStale}, {"unknown job", CodeStale}, {"invalid job", CodeStale},
		{"job expired", CodeStale}, {"expired job", CodeStale}, {"no such job", CodeStale}, {"unknown-work", CodeStale},
		{"duplicate", CodeDuplicate}, {"above target", CodeLowDifficulty}, {"high-hash", CodeLowDifficulty},
		{"low difficulty", CodeLowDifficulty}, {"difficulty too low", CodeLowDifficulty},
		{"unauthorized", CodeUnauthorized}, {"unauthorised", CodeUnauthorized}, {"not authorized", CodeUnauthorized},
		{"not subscribed", CodeNotSubscribed},
	} {
		if strings.Contains(words, k.part) {
			return k.code
		}
	}
	return otherwise
}

// clipText bounds words of the peer's.
func clipText(t []byte) string {
	if len(t) > 4*events.MaxText {
		t = t[:4*events.MaxText]
	}
	return events.ClipText(string(t))
}

// paramError is a refusal of params with CodeOther.
func paramError(method string, err error) error {
	return fmt.Errorf("%s: %w", method, err)
}

// tooFew is the error of params that are not enough.
func tooFew(have, want int) error {
	return fmt.Errorf("%d params; want %s", have, strconv.Itoa(want))
}
