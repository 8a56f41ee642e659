// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Decode turns a message into an event. Headers are optional. It checks the
// payload's Validate; any failure is a *DecodeError.
func Decode(subject string, h nats.Header, data []byte) (*Event, error) {
	var d Decoder
	return d.Decode(subject, h, data)
}

// Decoder decodes message after message. The zero value is ready to use and
// not safe for concurrent use.
type Decoder struct{}

// Decode is like the function Decode; the event it returns is the caller's.
func (d *Decoder) Decode(subject string, h nats.Header, data []byte) (*Event, error) {
	a, err := ParseSubject(subject)
	if err != nil {
		return nil, &DecodeError{DeadSubject, subject, err}
	}
	e := &Event{Meta: Meta{Type: a.Type, Site: a.Site, Source: a.Source}}
	if err := readEnvelope(h, &e.Meta); err != nil {
		return nil, &DecodeError{DeadInvalid, subject, err}
	}
	p := typeTable[typeIndex[a.Type]].New()
	if err := UnmarshalPayload(data, p); err != nil {
		return nil, &DecodeError{DeadUnreadable, subject, err}
	}
	if err := p.Validate(); err != nil {
		return nil, &DecodeError{DeadInvalid, subject, err}
	}
	e.Data = p
	return e, nil
}

// UnmarshalPayload reads the JSON of a payload; unknown fields are ignored so
// that an older reader survives a newer writer, trailing bytes are refused.
func UnmarshalPayload(data []byte, p Payload) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(p); err != nil {
		return fmt.Errorf("not the JSON of %s: %w", p.EventType(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("not the JSON of %s: bytes after the first value", p.EventType())
	}
	return nil
}

func readEnvelope(h nats.Header, m *Meta) error {
	if len(h) == 0 {
		return nil
	}
	if m.ID = first(h, HeaderCEID); m.ID == "" {
		m.ID = first(h, HeaderMsgID)
	}
	if s := first(h, HeaderCETime); s != "" {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return fmt.Errorf("header %s: %w", HeaderCETime, err)
		}
		m.Time = t.UTC()
	}
	m.Causation = first(h, HeaderCausation)
	m.Correlation = first(h, HeaderCorrelation)
	if s := first(h, HeaderOrigin); s != "" {
		stream, seq, ok := strings.Cut(s, "/")
		n, err := strconv.ParseUint(seq, 10, 64)
		if !ok || err != nil {
			return fmt.Errorf("header %s: %q is not <stream>/<sequence>", HeaderOrigin, s)
		}
		m.OriginStream, m.OriginSequence = stream, n
	}
	if s := first(h, HeaderOriginTime); s != "" {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return fmt.Errorf("header %s: %w", HeaderOriginTime, err)
		}
		m.OriginArrived = t.UTC()
	}
	return nil
}

func first(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// DefaultID is the id of an event whose publisher gave none.
func DefaultID(stream string, epoch, sequence uint64) string {
	return stream + ":" + strconv.FormatUint(epoch, 10) + ":" + strconv.FormatUint(sequence, 10)
}
