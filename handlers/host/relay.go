// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// relayWait bounds one publish of the relay.
const relayWait = 5 * time.Second

// errRelayAgain makes the relay find its place in the journal anew.
var errRelayAgain = errors.New("the journal may have lost its end")

// relay copies the facts of the site that other streams keep into JOURNAL, for
// as long as ctx lives. Any number of hosts do the same; ids make one copy of
// it.
//
// The relay looks for its place again after every outage: what an earlier
// acknowledgement said may have been cut off, and facts must not overtake each
// other.
func (h *Host) relay(ctx context.Context) {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		began := time.Now()
		err := h.relayRound(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > 10*time.Second || errors.Is(err, errRelayAgain) {
			bo.Reset()
		}
		wait := bo.NextBackOff()
		h.cfg.Logger.Info("relay looks for its place again", "site", h.cfg.Site, "reason", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// relayRound relays every stream until one of them must begin anew, and
// returns the reason.
func (h *Host) relayRound(ctx context.Context) error {
	known, err := openings(ctx, h.cfg.Bus, h.cfg.Site)
	if err != nil {
		return err
	}
	var epochs decider.Epochs // touched by the relay of INPUTS only
	for _, o := range known {
		epochs.Add(o)
		h.epochs.add(o)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, stream := range replica.RelayedStreams() {
		wg.Go(func() { cancel(h.relayStream(ctx, stream, &epochs)) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (h *Host) relayStream(ctx context.Context, stream string, epochs *decider.Epochs) error {
	nc := h.cfg.Bus.Conn()
	// Before the place is looked up: a reconnect after this counts.
	connection := nc.Stats().Reconnects
	at, err := h.relayedUpTo(ctx, stream)
	if err != nil {
		return err
	}
	journal, err := h.cfg.Bus.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		return fmt.Errorf("relay of %s: stream %s: %w", stream, events.StreamJournal, err)
	}
	r := events.ReadRequest{Stream: stream, Site: h.cfg.Site, Types: replica.RelayedTypes(stream), FromSequence: at + 1, Follow: true}
	for m, err := range h.cfg.Bus.RawEvents(ctx, r) {
		if err != nil {
			return fmt.Errorf("relay of %s behind %d: %w", stream, at, err)
		}
		raw := rawOf(m)
		if o, ok := replica.OpeningOf(&raw); ok && epochs.Add(o) {
			// The seats hear of it before its copy can be in the journal. And
			// whoever relays it first must have brought back before it
			// whatever the journal lost.
			h.epochs.add(o)
			return fmt.Errorf("epoch %d was opened: %w", o.Epoch, errRelayAgain)
		}
		if _, err := events.ParseSubject(m.Subject); err != nil {
			// No decider could be told of it, and the inspector says so. To
			// stop here would keep every later fact from the deciders.
			h.cfg.Logger.Debug("not relayed", "stream", stream, "sequence", m.Sequence, "reason", err)
			continue
		}
		msg, err := replica.Copy(stream, &raw, func() (uint64, error) { return h.epochAt(ctx, m) })
		if err != nil {
			return err
		}
		if nc.Stats().Reconnects != connection {
			return fmt.Errorf("the connection broke: %w", errRelayAgain)
		}
		pctx, cancel := context.WithTimeout(ctx, relayWait)
		_, err = h.storeInJournal(pctx, journal, msg)
		cancel()
		if errors.Is(err, nats.ErrMaxPayload) {
			h.tooLarge(ctx, stream, m)
			continue
		}
		if err != nil {
			return fmt.Errorf("relay %s/%d: %w", stream, m.Sequence, err)
		}
		at = m.Sequence
		h.m.relayed.WithLabelValues(h.cfg.Site, stream).Inc()
	}
	return ctx.Err()
}

// tooLarge says that a fact fits its own stream but not the journal, where the
// headers of a copy come on top. Facts behind it are relayed all the same.
func (h *Host) tooLarge(ctx context.Context, stream string, m *bus.Raw) {
	if _, err := events.Decode(m.Subject, m.Header, m.Data); err != nil {
		return // nobody could have used it anyway, and the inspector says so
	}
	h.raise(ctx, strconv.FormatUint(m.Sequence, 10), &events.AlertRaised{
		Alert: "relay-too-large/" + stream, Severity: events.SeverityCritical,
		Message: fmt.Sprintf("%s/%d of %d bytes is too large to be copied into the journal: no decider knows of it", stream, m.Sequence, len(m.Data)),
		Remedy:  "Publish it smaller, or raise max_payload of the bus.",
	})
}

// relayedUpTo is the highest sequence of stream that the journal has a copy
// of.
func (h *Host) relayedUpTo(ctx context.Context, stream string) (uint64, error) {
	s, err := h.cfg.Bus.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		return 0, fmt.Errorf("relay of %s: stream %s: %w", stream, events.StreamJournal, err)
	}
	var highest uint64
	for _, t := range replica.RelayedTypes(stream) {
		m, err := s.GetLastMsgForSubject(ctx, events.JournalSubject(h.cfg.Bus.Prefix(), h.cfg.Site, t, "*"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("relay of %s: newest %s in %s: %w", stream, t, events.StreamJournal, err)
		}
		if seq, ok := replica.OriginOf(m.Header, stream); ok {
			highest = max(highest, seq)
		}
	}
	return highest, nil
}

// epochAt is the epoch in force when m was stored, for the id of a fact whose
// publisher gave none.
func (h *Host) epochAt(ctx context.Context, m *bus.Raw) (uint64, error) {
	var epoch uint64
	r := events.ReadRequest{Stream: events.StreamInputs, Site: h.cfg.Site, Types: []events.Type{events.TypeJournalOpened}}
	for o, err := range h.cfg.Bus.RawEvents(ctx, r) {
		if err != nil {
			return 0, fmt.Errorf("epoch of %s/%d: %w", m.Stream, m.Sequence, err)
		}
		if o.Arrived.After(m.Arrived) {
			break
		}
		raw := rawOf(o)
		if p, ok := replica.OpeningOf(&raw); ok {
			epoch = max(epoch, p.Epoch)
		}
	}
	return epoch, nil
}
