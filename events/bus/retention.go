// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// PurgeJournal removes every message of JOURNAL up to and including sequence
// upTo, and nothing behind it. The caller has made sure that a stored snapshot
// covers what goes: nothing else keeps it.
func (b *Bus) PurgeJournal(ctx context.Context, upTo uint64) error {
	if upTo == 0 {
		return nil
	}
	s, err := b.stream(ctx, events.StreamJournal)
	if err != nil {
		return fmt.Errorf("bus: purge %s: %w", events.StreamJournal, err)
	}
	if first := s.CachedInfo().State.FirstSeq; upTo < first {
		return nil
	}
	// The server removes what is below the sequence it is given.
	if err := s.Purge(ctx, jetstream.WithPurgeSequence(upTo+1)); err != nil {
		return fmt.Errorf("bus: purge %s up to %d: %w", events.StreamJournal, upTo, err)
	}
	return nil
}

// JournalBound is the newest sequence of JOURNAL that is beyond the retention
// configured, by age (seen from now) or by bytes; 0 when nothing is. The bound
// by bytes takes messages to be of the average size, so it may need a second
// round. What may really be purged also depends on the snapshots.
func (b *Bus) JournalBound(ctx context.Context, now time.Time) (uint64, error) {
	s, err := b.stream(ctx, events.StreamJournal)
	if err != nil {
		return 0, fmt.Errorf("bus: bound of %s: %w", events.StreamJournal, err)
	}
	state := s.CachedInfo().State
	if state.Msgs == 0 {
		return 0, nil
	}
	var bound uint64
	if age := b.cfg.Retention.JournalAge; age > 0 {
		if bound, err = lastBefore(ctx, s, b.prefix, state, now.Add(-age)); err != nil {
			return 0, fmt.Errorf("bus: bound of %s by age: %w", events.StreamJournal, err)
		}
	}
	if limit := b.cfg.Retention.JournalBytes; limit > 0 && state.Bytes > uint64(limit) {
		// Multiply in floating point: nothing exact hangs on it, and bytes
		// times messages leaves 64 bits.
		excess := float64(state.Bytes-uint64(limit)) / float64(state.Bytes) * float64(state.LastSeq-state.FirstSeq+1)
		bound = max(bound, min(state.FirstSeq+uint64(excess), state.LastSeq))
	}
	return bound, nil
}

// lastBefore is the newest sequence that arrived before t, 0 when none did.
// Arrival times rise with the sequence as far as the server's clock does.
func lastBefore(ctx context.Context, s jetstream.Stream, prefix string, state jetstream.StreamState, t time.Time) (uint64, error) {
	if !state.FirstTime.Before(t) {
		return 0, nil
	}
	if state.LastTime.Before(t) {
		return state.LastSeq, nil
	}
	// Below low everything is older than t, at high and above nothing is.
	low, high := state.FirstSeq, state.LastSeq
	for low+1 < high {
		mid := low + (high-low)/2
		// The message at mid, or the next one where it was deleted.
		m, err := s.GetMsg(ctx, mid, jetstream.WithGetMsgSubject(prefix+".>"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			high = mid
			continue
		}
		if err != nil {
			return 0, err
		}
		switch {
		case m.Sequence >= high:
			high = mid // a gap reaches from mid to high
		case m.Time.Before(t):
			low = m.Sequence
		default:
			high = mid
		}
	}
	return low, nil
}

// Filling says how a bounded stream fills up.
type Filling struct {
	// Stream named.
	Stream string
	// Messages, Bytes and the arrival of the Oldest message kept now.
	Messages, Bytes uint64
	Oldest          time.Time
	// BytesPerDay by which it grew over what it holds; 0 when unknown.
	BytesPerDay uint64
	// DropsAt is when its bounds drop the oldest message, at the present
	// rate; zero when no bound will.
	DropsAt time.Time
	// DroppedBy names that bound: "age" or "bytes"; empty when none.
	DroppedBy string
}

// fillingOf judges a stream by its state at now under bounds of its own or, for
// JOURNAL, of the hosts that purge it.
func fillingOf(name string, state jetstream.StreamState, age time.Duration, bytes int64, now time.Time) Filling {
	f := Filling{Stream: name, Messages: state.Msgs, Bytes: state.Bytes}
	if state.Msgs == 0 {
		return f
	}
	f.Oldest = state.FirstTime
	span := now.Sub(state.FirstTime)
	if span >= time.Minute {
		f.BytesPerDay = uint64(float64(state.Bytes) / span.Hours() * 24)
	}
	if age > 0 {
		f.DropsAt, f.DroppedBy = state.FirstTime.Add(age), "age"
	}
	if bytes > 0 && f.BytesPerDay > 0 {
		left := max(float64(bytes)-float64(state.Bytes), 0)
		days := left / float64(f.BytesPerDay)
		// Beyond a century the date says nothing and overflows a duration.
		if days < 36500 {
			at := now.Add(time.Duration(days * 24 * float64(time.Hour)))
			if f.DropsAt.IsZero() || at.Before(f.DropsAt) {
				f.DropsAt, f.DroppedBy = at, "bytes"
			}
		}
	}
	return f
}
