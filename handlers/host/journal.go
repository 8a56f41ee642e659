// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// apiWait bounds one request to the stream API.
const apiWait = 10 * time.Second

// state of a stream, with the difference between the server's clock and ours.
type state struct {
	first, last uint64
	messages    uint64
	bytes       uint64
	duplicates  time.Duration
	// ahead is how much the server's clock is ahead of ours.
	ahead time.Duration
}

func streamState(ctx context.Context, b *bus.Bus, name string, now func() time.Time) (state, error) {
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	s, err := b.JetStream().Stream(ctx, name)
	if err != nil {
		return state{}, fmt.Errorf("stream %s: %w", name, err)
	}
	i := s.CachedInfo()
	return state{
		first: i.State.FirstSeq, last: i.State.LastSeq, messages: i.State.Msgs, bytes: i.State.Bytes,
		duplicates: i.Config.Duplicates, ahead: time.Duration(i.TimeStamp.UnixNano() - now().UnixNano()),
	}, nil
}

// message reads one stored message; ok is false when it is gone.
func message(ctx context.Context, b *bus.Bus, stream string, sequence uint64) (m decider.Raw, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	s, err := b.JetStream().Stream(ctx, stream)
	if err != nil {
		return m, false, fmt.Errorf("stream %s: %w", stream, err)
	}
	raw, err := s.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("message %d of %s: %w", sequence, stream, err)
	}
	return decider.Raw{Subject: raw.Subject, Header: raw.Header, Data: raw.Data, Sequence: raw.Sequence, Arrived: raw.Time}, true, nil
}

// openings reads every epoch of the site from INPUTS, oldest first.
func openings(ctx context.Context, b *bus.Bus, site string) ([]decider.Opening, error) {
	var out []decider.Opening
	for e, err := range events.Read[events.JournalOpened](ctx, b, events.AtSite(site)) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("epochs of site %s: %w", site, err)
		}
		out = append(out, decider.Opening{Epoch: e.Data.Epoch, After: e.Data.LastSequence})
	}
	return out, nil
}
