// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"bytes"
	"fmt"
	"strconv"
)

// Methods of the protocol.
const (
	MethodConfigure           = "mining.configure"
	MethodSubscribe           = "mining.subscribe"
	MethodAuthorize           = "mining.authorize"
	MethodSuggestDifficulty   = "mining.suggest_difficulty"
	MethodExtranonceSubscribe = "mining.extranonce.subscribe"
	MethodSubmit              = "mining.submit"
	MethodSetDifficulty       = "mining.set_difficulty"
	MethodNotify              = "mining.notify"
	MethodSetExtranonce       = "mining.set_extranonce"
	MethodSetVersionMask      = "mining.set_version_mask"
	MethodReconnect           = "client.reconnect"
	MethodShowMessage         = "client.show_message"
	MethodGetVersion          = "client.get_version"
	MethodPing                = "mining.ping"
	MethodPong                = "pong"
)

// Kind of a message.
type Kind int

// Kinds.
const (
	// Reply has no method. It answers the request of its ID, whatever came in
	// between.
	Reply Kind = iota
	// Request has a method and an ID, and wants a reply.
	Request
	// Notification has a method and no ID.
	Notification
)

// Message is one object of the stream. Its slices are JSON text as it came,
// nil where absent or null, and alias the reader's buffer.
type Message struct {
	// ID of any JSON type, to be echoed as it is.
	ID []byte
	// Method, empty in a reply.
	Method string
	// Params, a list in every message known.
	Params []byte
	// Result and Error of a reply; see ParseError. An error that is empty or
	// false is none.
	Result, Error []byte
	// RejectReason is a text that some pools set beside a result of false
	// without an error.
	RejectReason []byte
}

// Kind of the message.
func (m *Message) Kind() Kind {
	switch {
	case m.Method == "":
		return Reply
	case m.ID == nil:
		return Notification
	default:
		return Request
	}
}

// Number is the ID of a reply as the number that the request had; some pools
// return it as a text, or written in another way, such as 9.0.
func (m *Message) Number() (id uint64, ok bool) {
	raw := m.ID
	if t, quoted := text(raw); quoted {
		raw = t
	}
	return whole(raw)
}

// whole is a number without a sign that has no fraction, however it is written.
func whole(raw []byte) (n uint64, ok bool) {
	const most = 40 // characters; 64 bits have 20 digits
	if len(raw) == 0 || len(raw) > most {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw), 10, 64)
	if err == nil {
		return n, true
	}
	mantissa, power := raw, 0
	if i := bytes.IndexAny(raw, "eE"); i >= 0 {
		mantissa = raw[:i]
		if power, err = strconv.Atoi(string(raw[i+1:])); err != nil || power < -most || power > most {
			return 0, false
		}
	}
	before, after, _ := bytes.Cut(mantissa, []byte("."))
	digits := append(append(make([]byte, 0, 2*most), before...), after...)
	point := len(before) + power
	for len(digits) > max(point, 0) {
		last := len(digits) - 1
		if digits[last] != '0' {
			return 0, false
		}
		digits = digits[:last]
	}
	if len(digits) == 0 {
		return 0, len(before)+len(after) > 0
	}
	for len(digits) < point && len(digits) < 2*most {
		digits = append(digits, '0')
	}
	n, err = strconv.ParseUint(string(digits), 10, 64)
	return n, err == nil
}

// Succeeded reports a result that is true, or anything but null and false,
// without an error.
func (m *Message) Succeeded() bool {
	return m.Error == nil && m.Result != nil && string(m.Result) != "false"
}

// Failure is the error of a reply: nil when it succeeded. A result of null or
// false without an error fails with CodeOther and the reject reason.
func (m *Message) Failure() *Error {
	if m.Error != nil {
		return ParseError(m.Error)
	}
	if m.Succeeded() {
		return nil
	}
	e := &Error{Code: CodeOther, Text: "refused without a reason"}
	if t, ok := text(m.RejectReason); ok && len(t) > 0 {
		e.Text = clipText(t)
		e.Code = codeOfText(e.Text, CodeOther)
	}
	return e
}

// ParseMessage reads one line that holds a single object. m aliases it.
func ParseMessage(line []byte, m *Message) error {
	rest, err := m.parse(trim(line))
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %s follows it", ErrMalformed, clip(rest))
	}
	return nil
}

// parse reads the object that line begins with and returns what follows it.
func (m *Message) parse(line []byte) (rest []byte, err error) {
	*m = Message{}
	end, err := eachMember(line, 0, 0, m.member)
	if err == nil && m.Method == badMethod {
		err = ErrMalformed
	}
	if err != nil {
		*m = Message{}
		return nil, fmt.Errorf("%w: %s", err, clip(line))
	}
	return line[skipSpace(line, end):], nil
}

// badMethod stands for a method that is not a text while a message is read.
const badMethod = "\x00"

func (m *Message) member(key, value []byte) {
	if string(value) == "null" {
		value = nil
	}
	name, ok := text(key)
	if !ok {
		return
	}
	switch string(name) {
	case "id":
		m.ID = value
	case "method":
		m.Method = ""
		if value != nil {
			m.Method = methodOf(value)
		}
	case "params":
		m.Params = value
	case "result":
		m.Result = value
	case "error":
		switch string(value) {
		case "false", "[]", "{}", `""`, "0": // says as little as null; the result tells
		default:
			m.Error = value
		}
	case "reject-reason":
		m.RejectReason = value
	}
}

// methodOf is the text of value; the methods known cost no allocation.
func methodOf(value []byte) string {
	t, ok := text(value)
	if !ok || len(t) == 0 {
		return badMethod
	}
	switch string(t) {
	case MethodSubmit:
		return MethodSubmit
	case MethodNotify:
		return MethodNotify
	case MethodSetDifficulty:
		return MethodSetDifficulty
	case MethodPing:
		return MethodPing
	case MethodPong:
		return MethodPong
	}
	return string(t)
}
