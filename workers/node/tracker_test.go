// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node"
)

// script is a chain as a test says it is.
type script struct {
	mu     sync.Mutex
	height int64
	blocks map[hashengine.Hash]int64 // confirmations
	err    error
}

func (s *script) Height(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.height, s.err
}

func (s *script) Confirmations(_ context.Context, h hashengine.Hash) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.blocks[h]; ok || s.err != nil {
		return c, s.err
	}
	return 0, fmt.Errorf("asked: %w", node.ErrUnknownBlock)
}

func TestFatesOfBlocks(t *testing.T) {
	h := hashengine.Hash{1}
	type step struct {
		tip, confirmations int64 // −1: unknown to the node
		want               node.Fate
	}
	for name, steps := range map[string][]step{
		"matures":            {{10, 1, ""}, {108, 99, ""}, {109, 100, node.Matured}},
		"never seen":         {{10, -1, ""}, {14, -1, ""}, {15, -1, node.Orphaned}, {16, -1, ""}, {208, -1, ""}, {209, -1, node.Lost}},
		"loses":              {{10, 0, ""}, {15, 0, node.Orphaned}, {209, 0, node.Lost}},
		"comes back":         {{15, 0, node.Orphaned}, {16, 7, node.Returned}, {17, 8, ""}, {109, 100, node.Matured}},
		"goes again":         {{15, 0, node.Orphaned}, {16, 7, node.Returned}, {17, 0, node.Orphaned}},
		"matures at once":    {{15, 0, node.Orphaned}, {120, 111, node.Matured}},
		"long after restart": {{5000, 0, node.Orphaned}, {5000, 0, node.Lost}},
		"node is loading":    {{3, -1, ""}, {9, -1, ""}, {10, 1, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			chain := &script{blocks: map[hashengine.Hash]int64{}}
			var got node.Fate
			fail := false
			tracker, err := node.NewTracker(chain, node.TrackerConfig{OnChange: func(c node.Change) error {
				if fail {
					return errors.New("the bus is away")
				}
				got = c.Fate
				if c.Hash != h || c.Height != 10 || c.Tip != chain.height {
					t.Errorf("change %+v", c)
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			tracker.Add(node.Found{Hash: h, Height: 10}, false)
			tracker.Add(node.Found{Hash: h, Height: 10}, true) // changes nothing
			for i, s := range steps {
				chain.height = s.tip
				delete(chain.blocks, h)
				if s.confirmations >= 0 {
					chain.blocks[h] = s.confirmations
				}
				// A change that is not heard is made again; an error of the node
				// changes nothing.
				chain.err = errors.New("away")
				if err := tracker.Look(t.Context()); !errors.Is(err, chain.err) {
					t.Errorf("%v", err)
				}
				chain.err, got, fail = nil, "", true
				if err := tracker.Look(t.Context()); (err != nil) != (s.want != "") {
					t.Errorf("step %d: %v", i, err)
				}
				fail = false
				if err := tracker.Look(t.Context()); err != nil || got != s.want {
					t.Errorf("step %d: %q, %v; want %q", i, got, err, s.want)
				}
			}
			last := steps[len(steps)-1].want
			if open := len(tracker.Open()); (open == 0) != (last == node.Matured || last == node.Lost) {
				t.Errorf("%d open after %q", open, last)
			}
		})
	}
}

func TestTheTrackerRuns(t *testing.T) {
	chain := &script{height: 109, blocks: map[hashengine.Hash]int64{{1}: 100, {2}: 0}}
	heard := make(chan node.Fate)
	tracker, err := node.NewTracker(chain, node.TrackerConfig{Every: time.Millisecond, OnChange: func(c node.Change) error { heard <- c.Fate; return nil }, OnTrouble: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tracker.Run(ctx) }()
	tracker.Add(node.Found{Hash: hashengine.Hash{1}, Height: 10}, false)
	tracker.Add(node.Found{Hash: hashengine.Hash{2}, Height: 10}, false)
	got := []node.Fate{<-heard, <-heard}
	slices.Sort(got)
	if !slices.Equal(got, []node.Fate{node.Matured, node.Orphaned}) {
		t.Errorf("%v", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, c := range []node.TrackerConfig{{}, {OnChange: func(node.Change) error { return nil }, Forget: 5}, {OnChange: func(node.Change) error { return nil }, Mature: -1}} {
		if _, err := node.NewTracker(chain, c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
