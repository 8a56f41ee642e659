// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events/bus"
)

// StreamStatus says how far one stream is written.
type StreamStatus struct {
	// Stream named; Sequence is the last one written, 0 for none, and Arrived
	// when it reached the stream.
	Stream   string    `json:"stream"`
	Sequence uint64    `json:"sequence"`
	Arrived  time.Time `json:"arrived"`
	// Last is the newest sequence of the stream, Lag the messages not written.
	Last uint64 `json:"last"`
	Lag  uint64 `json:"lag"`
	// Other: the rows come from another stream than this one.
	Other bool `json:"other,omitempty"`
}

// TableStatus is the size of one table.
type TableStatus struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
}

// Status of a ledger.
type Status struct {
	Ledger  string         `json:"ledger"`
	Streams []StreamStatus `json:"streams"`
	Tables  []TableStatus  `json:"tables"`
}

// Status compares the ledger with the streams of b and counts the rows.
func (s *Store) Status(ctx context.Context, b *bus.Bus) (*Status, error) {
	out := &Status{Ledger: s.shown}
	for _, stream := range Streams {
		at, err := s.position(ctx, stream)
		if err != nil {
			return nil, fmt.Errorf("ledger %s: %w", s.shown, err)
		}
		state, err := sameStream(ctx, b, stream, at)
		if err != nil && !errors.Is(err, ErrOtherStream) {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		st := StreamStatus{Stream: stream, Sequence: at.sequence, Last: state.LastSeq, Other: err != nil}
		if at.arrived != 0 {
			st.Arrived = time.Unix(0, at.arrived).UTC()
		}
		if !st.Other {
			st.Lag = st.Last - st.Sequence
		}
		out.Streams = append(out.Streams, st)
	}
	for _, t := range tables {
		if t == positionTable {
			continue
		}
		n, err := s.rows(ctx, t)
		if err != nil {
			return nil, err
		}
		out.Tables = append(out.Tables, TableStatus{t.name, n})
	}
	return out, nil
}

func (s *Store) rows(ctx context.Context, t *table) (int64, error) {
	var n int64
	if err := s.db.QueryRowContext(ctx, "SELECT count(*) FROM "+t.name).Scan(&n); err != nil {
		return 0, fmt.Errorf("ledger %s: table %s: %w", s.shown, t.name, err)
	}
	return n, nil
}

// empty reports whether nothing was ever written.
func (s *Store) empty(ctx context.Context) (bool, error) {
	n, err := s.rows(ctx, positionTable)
	return n == 0, err
}
