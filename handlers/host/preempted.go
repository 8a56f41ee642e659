// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// storeInJournal stores m in JOURNAL under its id, once however many hosts do
// it.
//
// What the server calls a duplicate is looked at (replica.StoredAlready), and if
// it is none of ours, m is stored without an id. Deciders fold a fact and the
// tick of a second once, even if every host does that. known is the sequence of
// the copy where m was stored already, else 0.
func (h *Host) storeInJournal(ctx context.Context, journal jetstream.Stream, m *nats.Msg) (known uint64, err error) {
	js := h.cfg.Bus.JetStream()
	ack, err := js.PublishMsg(ctx, m)
	if err != nil || !ack.Duplicate {
		return 0, err
	}
	if ack.Sequence > 0 {
		have, err := journal.GetMsg(ctx, ack.Sequence)
		if err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return 0, fmt.Errorf("look at what is stored as %s: %w", m.Header.Get(events.HeaderMsgID), err)
		}
		if err == nil && replica.StoredAlready(&decider.Raw{Subject: have.Subject}, m) {
			return ack.Sequence, nil
		}
		if err == nil {
			h.cfg.Logger.Error("somebody used an id of the dispatchers: stored without one", "site", h.cfg.Site,
				"id", m.Header.Get(events.HeaderMsgID), "subject", m.Subject, "used_on", have.Subject, "sequence", ack.Sequence)
		}
	}
	return 0, storeAgain(ctx, js, m)
}

// storeAgain stores m without an id.
func storeAgain(ctx context.Context, js jetstream.JetStream, m *nats.Msg) error {
	m.Header.Del(events.HeaderMsgID)
	_, err := js.PublishMsg(ctx, m)
	return err
}
