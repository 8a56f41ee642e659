// SPDX-License-Identifier: Apache-2.0

package decider

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// MessageID is the id of a stored output:
// <site>/<decider>/<epoch>/<causing sequence>/<ordinal>. It is the same at
// every replica, so the server keeps one copy.
func MessageID(site, decider string, k events.OrderKey) string {
	b := make([]byte, 0, len(site)+len(decider)+44)
	b = append(b, site...)
	b = append(b, '/')
	b = append(b, decider...)
	b = append(b, '/')
	b = strconv.AppendUint(b, k.Epoch, 10)
	b = append(b, '/')
	b = strconv.AppendUint(b, k.Sequence, 10)
	b = append(b, '/')
	b = strconv.AppendUint(b, uint64(k.Ordinal), 10)
	return string(b)
}

// ParseMessageID splits an id made by MessageID; ok is false for any other.
func ParseMessageID(id string) (site, decider string, k events.OrderKey, ok bool) {
	parts := strings.Split(id, "/")
	if len(parts) != 5 {
		return "", "", k, false
	}
	epoch, err1 := strconv.ParseUint(parts[2], 10, 64)
	seq, err2 := strconv.ParseUint(parts[3], 10, 64)
	ord, err3 := strconv.ParseUint(parts[4], 10, 32)
	if err1 != nil || err2 != nil || err3 != nil {
		return "", "", k, false
	}
	k = events.OrderKey{Epoch: epoch, Sequence: seq, Ordinal: uint32(ord)}
	// Leading zeros or signs would give one key two spellings.
	if MessageID(parts[0], parts[1], k) != id {
		return "", "", events.OrderKey{}, false
	}
	return parts[0], parts[1], k, true
}

// Message writes the output o of cause as it goes on the wire and into a
// stream. Everything in it follows from the journal (its time is the arrival
// of the cause), so an audit can compare it byte for byte.
func Message(prefix, decider string, cause *events.Event, o *Output) (*nats.Msg, error) {
	e := events.Event{
		Meta: events.Meta{Site: cause.Site, Source: o.Source, Time: cause.Arrived},
		Data: o.Data,
	}
	e.CausedBy(cause)
	if o.Stored {
		e.WithID(MessageID(cause.Site, decider, events.OrderKey{
			Epoch: cause.Epoch, Sequence: cause.Sequence, Ordinal: o.Ordinal,
		}))
	}
	m, err := events.Encode(prefix, &e)
	if err != nil {
		return nil, fmt.Errorf("decider %s, cause %d/%d, ordinal %d: %w", decider, cause.Epoch, cause.Sequence, o.Ordinal, err)
	}
	return m, nil
}
