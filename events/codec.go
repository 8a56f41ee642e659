// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// DecodeError is why a message is no event of this contract; its Reason goes
// to the dead-letter stream.
type DecodeError struct {
	// Reason code.
	Reason DeadReason
	// Subject of the message.
	Subject string
	// Err is what went wrong.
	Err error
}

// Error implements error.
func (e *DecodeError) Error() string {
	return fmt.Sprintf("%s: %s: %v", e.Subject, e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *DecodeError) Unwrap() error { return e.Err }

// Encode turns an event into a message below prefix. It checks the envelope's
// tokens and the payload's Validate, and changes nothing in e.
func Encode(prefix string, e *Event) (*nats.Msg, error) {
	if e.Data == nil {
		return nil, fmt.Errorf("encode %s: no payload", e.Type)
	}
	t := e.Data.EventType()
	if err := CheckToken("site", e.Site); err != nil {
		return nil, fmt.Errorf("encode %s: %w", t, err)
	}
	if err := CheckToken("source", e.Source); err != nil {
		return nil, fmt.Errorf("encode %s: %w", t, err)
	}
	if err := checkEnvelope(&e.Meta); err != nil {
		return nil, fmt.Errorf("encode %s of %s/%s: %w", t, e.Site, e.Source, err)
	}
	if err := e.Data.Validate(); err != nil {
		return nil, fmt.Errorf("encode %s of %s/%s: %w", t, e.Site, e.Source, err)
	}
	if err := checkAddressee(e.Source, e.Data); err != nil {
		return nil, fmt.Errorf("encode %s of %s/%s: %w", t, e.Site, e.Source, err)
	}
	data, err := AppendPayload(make([]byte, 0, payloadRoom), e.Data)
	if err != nil {
		return nil, fmt.Errorf("encode %s of %s/%s: %w", t, e.Site, e.Source, err)
	}
	m := &nats.Msg{Data: data, Header: make(nats.Header, 8)}
	if t == TypeCommandCurtail && e.Source == BroadcastSource {
		m.Subject = BroadcastSubject(prefix, e.Site)
	} else {
		m.Subject = Subject(prefix, e.Site, t, e.Source)
	}
	putEnvelope(m.Header, t, &e.Meta)
	return m, nil
}

// payloadRoom holds the JSON of a reading or of one unit's status, so that it
// is not copied while it grows.
const payloadRoom = 320

// Header values that never change are shared by all messages. Nobody writes
// into the values of a header: nats.go copies them on the way out.
var (
	specVersionValue = []string{CESpecVersion}
	contentTypeValue = []string{ContentTypeJSON}
	typeValues       = func() map[Type][]string {
		m := make(map[Type][]string, len(typeTable))
		for _, t := range typeTable {
			m[t.Type] = []string{string(t.Type)}
		}
		return m
	}()
)

// putEnvelope writes the headers of an event. The values of one message stand
// in one array: an allocation, not seven.
func putEnvelope(h nats.Header, t Type, m *Meta) {
	h[HeaderCESpecVersion] = specVersionValue
	h[HeaderCEType] = typeValues[t]
	h[HeaderContentType] = contentTypeValue
	values := make([]string, 0, 5)
	put := func(key, value string) {
		values = append(values, value)
		h[key] = values[len(values)-1 : len(values) : len(values)]
	}
	put(HeaderCESource, m.Site+"/"+m.Source)
	if m.ID != "" {
		put(HeaderCEID, m.ID)
		if m.Dedup {
			h[HeaderMsgID] = h[HeaderCEID]
		}
	}
	if !m.Time.IsZero() {
		var b [len(time.RFC3339Nano)]byte
		put(HeaderCETime, string(m.Time.UTC().AppendFormat(b[:0], time.RFC3339Nano)))
	}
	if m.Causation != "" {
		put(HeaderCausation, m.Causation)
	}
	if m.Correlation != "" {
		put(HeaderCorrelation, m.Correlation)
	}
}

// AppendPayload appends the JSON of p to b, byte for byte what encoding/json
// writes. It does not check Validate. On failure it returns nil and b is as it
// was.
func AppendPayload(b []byte, p Payload) ([]byte, error) {
	if out, known, err := appendHot(b, p); known {
		return out, err
	}
	j, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	return append(b, j...), nil
}
