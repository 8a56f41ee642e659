// SPDX-License-Identifier: Apache-2.0

package pubsub

import (
	"errors"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/ballast-energy/ballast/events"
)

// Delivery is where a received message came from.
type Delivery struct {
	// Subject and Header as stored.
	Subject string
	Header  nats.Header
	// Stream, Sequence and Arrived are its place there (UTC).
	Stream   string
	Sequence uint64
	Arrived  time.Time
	// Attempt counts the deliveries of the message to a handler, from 1.
	Attempt uint64
	// Pending messages of the subscription behind this one.
	Pending uint64
}

type deliveryKey struct{}

// DeliveryOf returns where m came from; false for a message that no Subscriber
// of this package delivered.
func DeliveryOf(m *message.Message) (Delivery, bool) {
	h, ok := m.Context().Value(deliveryKey{}).(*held)
	if !ok {
		return Delivery{}, false
	}
	return h.delivery(), true
}

// Encode turns a Watermill message into one for the bus: metadata become
// headers, the UUID becomes the id of the event (ce-id), and with dedup also
// the id by which the server refuses duplicates.
func Encode(subject string, m *message.Message, dedup bool) *nats.Msg {
	n := len(m.Metadata)
	h := make(nats.Header, n+2)
	// One array holds all values: a header costs one allocation.
	values := make([]string, n+1)
	i := 0
	for k, v := range m.Metadata {
		values[i] = v
		h[k] = values[i : i+1 : i+1]
		i++
	}
	if m.UUID != "" {
		values[i] = m.UUID
		id := values[i : i+1 : i+1]
		h[events.HeaderCEID] = id
		if dedup {
			h[events.HeaderMsgID] = id
		}
	}
	return &nats.Msg{Subject: subject, Header: h, Data: m.Payload}
}

// Decode turns a message of the bus into a Watermill message: the reverse of
// Encode. Of a header with several values the first is taken.
func Decode(n *nats.Msg) *message.Message {
	m := message.NewMessage("", n.Data)
	for k, v := range n.Header {
		switch {
		case len(v) == 0:
		case k == events.HeaderCEID:
			m.UUID = v[0]
		case k == events.HeaderMsgID:
			if m.UUID == "" {
				m.UUID = v[0]
			}
		default:
			m.Metadata[k] = v[0]
		}
	}
	return m
}

// FromEvent turns an event into a Watermill message and the topic to publish
// it to. A message of an event without an id gets one.
func FromEvent(prefix string, e *events.Event) (string, *message.Message, error) {
	n, err := events.Encode(prefix, e)
	if err != nil {
		return "", nil, err
	}
	m := Decode(n)
	if m.UUID == "" {
		m.UUID = nuid.Next()
	}
	return n.Subject, m, nil
}

// EventOf decodes the event in a received message, with its place in the
// stream. A failure is an *events.DecodeError, or an error about a message
// that no Subscriber of this package delivered.
func EventOf(m *message.Message) (*events.Event, error) {
	h, ok := m.Context().Value(deliveryKey{}).(*held)
	if !ok {
		return nil, errors.New("pubsub: message was not delivered by a Subscriber of this package")
	}
	e, err := events.Decode(h.msg.Subject, h.msg.Header, m.Payload)
	if err != nil {
		return nil, err
	}
	e.Stream, e.Sequence, e.Arrived = h.stream, h.place.Sequence, time.Unix(0, h.place.Arrived).UTC()
	if e.ID == "" {
		e.ID = m.UUID
	}
	return e, nil
}
