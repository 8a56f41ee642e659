// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"reflect"

	"github.com/nats-io/nats.go"
)

// Decode turns a message into an event that is the caller's to keep. Headers
// are optional. It checks the payload's Validate; any failure is a
// *DecodeError. Safe for concurrent use.
func Decode(subject string, h nats.Header, data []byte) (*Event, error) {
	e := new(Event)
	if err := addressOf(subject, e); err != nil {
		return nil, err
	}
	if err := readEnvelope(h, &e.Meta); err != nil {
		return nil, &DecodeError{DeadInvalid, subject, err}
	}
	p := typeTable[typeIndex[e.Type]].New()
	if err := finish(&scanner{data: data}, e, p, nil); err != nil {
		return nil, &DecodeError{err.reason, subject, err.cause}
	}
	return e, nil
}

// UnmarshalPayload reads the JSON of a payload into p, whose old content is
// lost. It takes what encoding/json takes, with the same result, except that
//
//   - a required field (one without omitempty) that is absent or null is
//     refused: a reading that forgot power_watts must not count as 0 W;
//   - a field that is there twice is refused, because readers of other
//     languages would not agree on which one counts;
//   - field names match exactly, not in any case;
//   - times come out in UTC, and bytes are base64, never an array of numbers;
//   - bytes after the first value are refused.
//
// Unknown fields are skipped, so that an older reader survives a newer writer;
// a null in an optional field is the same as no field. Numbers with a fraction
// or an exponent are refused, as encoding/json does for integer fields. It
// does not check Validate.
func UnmarshalPayload(data []byte, p Payload) error {
	return unmarshal(&scanner{data: data}, p, nil)
}

func unmarshal(s *scanner, p Payload, room *hotRoom) error {
	if !readHot(s, p, room) {
		v := reflect.ValueOf(p).Elem()
		v.SetZero()
		planFor(v.Type()).read(s, v)
	}
	s.end()
	if s.err != nil {
		return fmt.Errorf("not the JSON of %s: %w", p.EventType(), s.err)
	}
	return nil
}

// Decoder decodes message after message: what comes again and again (subjects,
// unit ids) costs less the second time. The zero value is ready to use; not
// safe for concurrent use.
type Decoder struct {
	// Reuse lends the event instead of giving it away: it and all that its
	// payload points to are valid until the next call only, strings may be
	// kept. For folds over millions of events; readings, statuses, ticks,
	// renewals and found shares are then decoded without allocating.
	Reuse bool

	event    Event
	room     hotRoom
	scan     scanner
	interned internTable
	// addresses remembers subjects, which come again and again.
	addresses map[string]Address
}

// Decode is like the function Decode. The event is the caller's unless Reuse
// is set.
func (d *Decoder) Decode(subject string, h nats.Header, data []byte) (*Event, error) {
	e, err := d.begin(subject)
	if err != nil {
		return nil, err
	}
	if err := readEnvelope(h, &e.Meta); err != nil {
		return nil, &DecodeError{DeadInvalid, subject, err}
	}
	return d.finish(e, subject, data)
}

// DecodeRaw is like Decode for the header block as it stands on the wire
// ("NATS/1.0\r\n…\r\n\r\n", empty when there is none), which need not be made
// into a map first.
func (d *Decoder) DecodeRaw(subject string, header, data []byte) (*Event, error) {
	e, err := d.begin(subject)
	if err != nil {
		return nil, err
	}
	if err := readRawEnvelope(header, &e.Meta); err != nil {
		return nil, &DecodeError{DeadInvalid, subject, err}
	}
	return d.finish(e, subject, data)
}

// begin prepares an event with what its subject says.
func (d *Decoder) begin(subject string) (*Event, error) {
	e := &d.event
	if d.Reuse {
		*e = Event{}
	} else {
		e = new(Event)
	}
	if a, ok := d.addresses[subject]; ok {
		e.Type, e.Site, e.Source = a.Type, a.Site, a.Source
		return e, nil
	}
	if err := addressOf(subject, e); err != nil {
		return nil, err
	}
	if d.addresses == nil || len(d.addresses) >= maxInterned {
		d.addresses = make(map[string]Address)
	}
	d.addresses[subject] = Address{Type: e.Type, Site: e.Site, Source: e.Source}
	return e, nil
}

func (d *Decoder) finish(e *Event, subject string, data []byte) (*Event, error) {
	var p Payload
	var room *hotRoom
	if d.Reuse {
		room = &d.room
		p = room.payload(e.Type)
	}
	if p == nil {
		p = typeTable[typeIndex[e.Type]].New()
	}
	d.scan = scanner{data: data, interned: &d.interned, scratch: d.scan.scratch}
	if err := finish(&d.scan, e, p, room); err != nil {
		return nil, &DecodeError{err.reason, subject, err.cause}
	}
	return e, nil
}

// fault is a DecodeError without its subject.
type fault struct {
	reason DeadReason
	cause  error
}

// finish reads and checks the payload of e.
func finish(s *scanner, e *Event, p Payload, room *hotRoom) *fault {
	if err := unmarshal(s, p, room); err != nil {
		return &fault{DeadUnreadable, err}
	}
	if err := p.Validate(); err != nil {
		return &fault{DeadInvalid, err}
	}
	if err := checkAddressee(e.Source, p); err != nil {
		return &fault{DeadInvalid, err}
	}
	e.Data = p
	return nil
}

func addressOf(subject string, e *Event) error {
	a, err := ParseSubject(subject)
	if err != nil {
		return &DecodeError{DeadSubject, subject, err}
	}
	e.Type, e.Site, e.Source = a.Type, a.Site, a.Source
	return nil
}

// checkAddressee makes sure that a command says for whom it is where its
// subject does: an agent obeys its own subject only.
func checkAddressee(source string, p Payload) error {
	var agent string
	switch k := p.(type) {
	case *CommandCurtail:
		broadcast := k.AllUnitsWatts != nil
		if broadcast != (source == BroadcastSource) {
			return fmt.Errorf("all_units_watts: belongs to the broadcast subject, and only there")
		}
		if broadcast {
			return nil
		}
		agent = k.Agent
	case *CommandRamp:
		agent = k.Agent
	case *CommandOutlet:
		if k.Controller != source {
			return fmt.Errorf("controller: %s is not the %s of the subject", quote(k.Controller), quote(source))
		}
		return nil
	default:
		return nil
	}
	if agent != source {
		return fmt.Errorf("agent: %s is not the %s of the subject", quote(agent), quote(source))
	}
	return nil
}
