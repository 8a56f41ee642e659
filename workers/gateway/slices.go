// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/workers/upstream"
)

// errSpaceUsedUp: every slice of a session has been handed out.
var errSpaceUsedUp = errors.New("the session's search space is used up")

// claimTime bounds one claim.
const claimTime = 5 * time.Second

// many is how many of agents' slices make one of downstream miners: its number
// is a byte shorter.
const many = 256

// space is the extranonce2 of a session, handed out in slices: the first bytes
// are the slice's number, the rest is the agent's. Agents take slices from the
// bottom up. Downstream miners are given others, each as large as 256 of those,
// from the top down and as many as it takes; their server divides each among
// them. So what neither needs is the other's to have. Of an extranonce2 of 4
// bytes, 65,536 agents and miners together have 2 bytes each; of 3, agents have
// one byte each, miners 2, and a miner takes the place of 256 agents; of 2, a
// miner takes the whole session.
//
// What is taken is kept on the bus under the session's extranonce1 and changed
// by compare-and-set: two gateways that a pool gave the same extranonce1, or
// one that resumes a session after a restart, never hand out the same slice.
type space struct {
	key         string
	extranonce1 []byte
	// size of extranonce2, and width of an agent's slice within it, bytes.
	size, width int
	// next free slice from below, and the first one taken from above: what
	// this process knows.
	next, top uint64
	// downstream slices, all of one length, and how many of them the
	// gateway's own server has been told.
	downstream [][]byte
	told       int
}

// newSpace of a job's session. Some of what is left to an agent is always
// worth more than many slices: with version rolling one extranonce is 2^48
// hashes.
func newSpace(site, pool string, j *upstream.Job) *space {
	s := &space{extranonce1: j.Extranonce1, size: j.Extranonce2Bytes}
	switch {
	case s.size >= 3:
		s.width = 2
	case s.size >= 1:
		s.width = 1
	}
	s.top = 1 << (8 * s.width)
	en1 := hex.EncodeToString(j.Extranonce1)
	if en1 == "" {
		en1 = "-"
	}
	s.key = fmt.Sprintf("%s.%s.%s.%d", site, pool, en1, s.size)
	return s
}

// of reports whether a job's extranonces are those of the space.
func (s *space) of(j *upstream.Job) bool {
	return s.size == j.Extranonce2Bytes && string(s.extranonce1) == string(j.Extranonce1)
}

// left is how many slices can still be claimed.
func (s *space) left() uint64 { return s.top - s.next }

// slice makes the bytes of a slice's number.
func (s *space) slice(n uint64) []byte {
	b := make([]byte, s.width)
	for i := range b {
		b[len(b)-1-i] = byte(n >> (8 * i))
	}
	return b
}

// claim takes up to n slices for agents; fewer when no more are left, and
// errSpaceUsedUp when none is.
func (s *space) claim(ctx context.Context, kv jetstream.KeyValue, n int) ([][]byte, error) {
	var out [][]byte
	err := s.change(ctx, kv, func() error {
		out = nil
		if s.left() == 0 {
			return errSpaceUsedUp
		}
		for range min(uint64(n), s.left()) {
			out = append(out, s.slice(s.next))
			s.next++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// leftDownstream is how many slices for downstream miners can still be claimed.
// A miner needs two bytes.
func (s *space) leftDownstream() uint64 {
	if s.size < 2 {
		return 0
	}
	return s.left() / many
}

// claimDownstream takes up to n slices for downstream miners; errSpaceUsedUp
// when there is none.
func (s *space) claimDownstream(ctx context.Context, kv jetstream.KeyValue, n uint64) error {
	var out [][]byte
	err := s.change(ctx, kv, func() error {
		out = nil
		if n = min(n, s.leftDownstream()); n == 0 {
			return fmt.Errorf("no slice for downstream miners: %w", errSpaceUsedUp)
		}
		for range n {
			s.top -= many
			out = append(out, s.slice(s.top)[:s.width-1])
		}
		return nil
	})
	s.downstream = append(s.downstream, out...)
	return err
}

// change reads what is taken, lets take change it and writes it back if nobody
// else did meanwhile; else it starts over. On an error nothing is taken.
func (s *space) change(ctx context.Context, kv jetstream.KeyValue, take func() error) error {
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(time.Millisecond),
		backoff.WithMaxInterval(250*time.Millisecond), backoff.WithMaxElapsedTime(0))
	known := *s
	return backoff.Retry(func() error {
		*s = known
		var revision uint64
		have, err := kv.Get(ctx, s.key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
		case err != nil:
			return fmt.Errorf("look at what is taken of %s: %w", s.key, err)
		default:
			revision = have.Revision()
			next, top, err := parseTaken(string(have.Value()))
			if err != nil {
				return backoff.Permanent(fmt.Errorf("bucket of slices, key %s: %w", s.key, err))
			}
			// Never back behind what this process has handed out.
			s.next, s.top = max(s.next, next), min(s.top, top)
		}
		if err := take(); err != nil {
			*s = known
			return backoff.Permanent(err)
		}
		if _, err := kv.Update(ctx, s.key, fmt.Appendf(nil, "%d %d", s.next, s.top), revision); err != nil {
			// Somebody was faster, or nobody knows: what was taken now is
			// left unused should it have been written.
			*s = known
			return fmt.Errorf("claim of %s: %w", s.key, err)
		}
		return nil
	}, backoff.WithContext(bo, ctx))
}

func parseTaken(text string) (next, top uint64, err error) {
	a, b, ok := strings.Cut(text, " ")
	if ok {
		next, err = strconv.ParseUint(a, 10, 32)
	}
	if ok && err == nil {
		top, err = strconv.ParseUint(b, 10, 32)
	}
	if !ok || err != nil || next > top {
		return 0, 0, fmt.Errorf("%q is not two numbers in order: delete the key once the session is over", text)
	}
	return next, top, nil
}
