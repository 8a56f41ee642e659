// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// RelayedStreams keep facts that deciders read from the journal. Facts of one
// stream are relayed one at a time, each only when the one before is in the
// journal: deciders skip an origin below the highest they have folded.
func RelayedStreams() []string {
	var out []string
	seen := map[string]bool{}
	for _, t := range events.Types() {
		if t.Relayed && !seen[t.Stream] {
			seen[t.Stream] = true
			out = append(out, t.Stream)
		}
	}
	return out
}

// RelayedTypes of one stream.
func RelayedTypes(stream string) []events.Type {
	var out []events.Type
	for _, t := range events.Types() {
		if t.Relayed && t.Stream == stream {
			out = append(out, t.Type)
		}
	}
	return out
}

// OriginOf reads from the headers of a relayed copy which message of the stream
// it is of; ok is false when it is none.
func OriginOf(h nats.Header, stream string) (sequence uint64, ok bool) {
	s, ok := strings.CutPrefix(h.Get(events.HeaderOrigin), stream+"/")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

// OpeningOf decodes m if it opens an epoch. A relay that meets one it did not
// know finds its place again before it relays it: whatever the journal lost must
// be back before.
func OpeningOf(m *decider.Raw) (decider.Opening, bool) {
	a, err := events.ParseSubject(m.Subject)
	if err != nil || a.Type != events.TypeJournalOpened {
		return decider.Opening{}, false
	}
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return decider.Opening{}, false
	}
	p, ok := e.Data.(*events.JournalOpened)
	if !ok {
		return decider.Opening{}, false
	}
	return decider.Opening{Epoch: p.Epoch, After: p.LastSequence}, true
}

// Copy of a fact for the journal: payload and CloudEvents headers as they are,
// with its origin, and an id in every case. epochAt is asked for the epoch in
// force when the fact was stored if its publisher gave it no id; its errors come
// back as they are. Any number of relays give equal copies.
func Copy(stream string, m *decider.Raw, epochAt func() (uint64, error)) (*nats.Msg, error) {
	a, err := events.ParseSubject(m.Subject)
	if err != nil {
		return nil, fmt.Errorf("relay %s/%d: %w", stream, m.Sequence, err)
	}
	origin := stream + "/" + strconv.FormatUint(m.Sequence, 10)
	c := &nats.Msg{
		Subject: events.JournalSubject(a.Prefix, a.Site, a.Type, a.Source),
		Header:  make(nats.Header, len(m.Header)+4), Data: m.Data,
	}
	for k, v := range m.Header {
		// The server's own headers were about the original.
		if !strings.HasPrefix(k, "Nats-") {
			c.Header[k] = v
		}
	}
	if c.Header.Get(events.HeaderCEID) == "" {
		id := m.Header.Get(events.HeaderMsgID)
		if id == "" {
			epoch, err := epochAt()
			if err != nil {
				return nil, err
			}
			id = events.DefaultID(stream, epoch, m.Sequence)
		}
		c.Header[events.HeaderCEID] = []string{id}
	}
	c.Header[events.HeaderMsgID] = []string{origin}
	c.Header[events.HeaderOrigin] = []string{origin}
	c.Header[events.HeaderOriginTime] = []string{m.Arrived.UTC().Format(time.RFC3339Nano)}
	return c, nil
}

// StoredAlready reports whether what the journal has under the id of m is m: a
// relayed fact or a tick. Their ids can be foretold, and every worker and source
// writes into the same stream: one that used such an id before would make the
// server drop a curtailment as known. Where it is another message m is stored
// again, without an id. have is nil when it is gone.
func StoredAlready(have *decider.Raw, m *nats.Msg) bool {
	return have != nil && have.Subject == m.Subject
}

// TickComesAgain reports whether the tick of a second that the journal has at the
// sequence known must be stored again, without an id, because the newest tick is
// behind it and of an earlier second: it was of a clock that ran ahead and was
// set back, since when the same second comes again. Without its tick no permit
// would be renewed until all seconds known are over.
func TickComesAgain(known uint64, newest *decider.Raw, second int64) bool {
	var t events.ClockTick
	return newest.Sequence > known && json.Unmarshal(newest.Data, &t) == nil && t.Second < second
}
