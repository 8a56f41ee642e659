// SPDX-License-Identifier: Apache-2.0

package confirm_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/upstream"
	"github.com/ballast-energy/ballast/workers/upstream/confirm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	return 0, fmt.Errorf("asked: %w", upstream.ErrUnknownBlock)
}

func TestFatesOfBlocks(t *testing.T) {
	h := hashengine.Hash{1}
	const dayLater = -1 // a tip that stands for the time that goes by
	type step struct {
		tip, confirmations int64 // −1: unknown to the node
		want               confirm.Fate
	}
	for name, steps := range map[string][]step{
		"matures":            {{10, 1, ""}, {108, 99, ""}, {109, 100, confirm.Matured}},
		"never seen":         {{10, -1, ""}, {14, -1, ""}, {15, -1, confirm.Orphaned}, {16, -1, ""}, {208, -1, ""}, {209, -1, confirm.Lost}},
		"loses":              {{10, 0, ""}, {15, 0, confirm.Orphaned}, {209, 0, confirm.Lost}},
		"comes back":         {{15, 0, confirm.Orphaned}, {16, 7, confirm.Returned}, {17, 8, ""}, {109, 100, confirm.Matured}},
		"goes again":         {{15, 0, confirm.Orphaned}, {16, 7, confirm.Returned}, {17, 0, confirm.Orphaned}},
		"matures at once":    {{15, 0, confirm.Orphaned}, {120, 111, confirm.Matured}},
		"long after restart": {{5000, 0, confirm.Orphaned}, {5000, 0, confirm.Lost}},
		"node is loading":    {{3, -1, ""}, {9, -1, ""}, {10, 1, ""}},
		"never a depth":      {{3, -1, ""}, {dayLater, -1, ""}, {3, -1, confirm.Orphaned}, {3, -1, confirm.Lost}},
		"late after all":     {{3, -1, ""}, {dayLater, -1, ""}, {3, -1, confirm.Orphaned}, {10, 1, confirm.Returned}, {109, 100, confirm.Matured}},
		"known is not given": {{12, 0, ""}, {dayLater, 0, ""}, {12, 0, ""}, {15, 0, confirm.Orphaned}},
	} {
		t.Run(name, func(t *testing.T) {
			chain := &script{blocks: map[hashengine.Hash]int64{}}
			var got confirm.Fate
			fail := false
			began := time.Unix(1_700_000_000, 0)
			now := began
			tracker, err := confirm.NewTracker(chain, confirm.Config{Now: func() time.Time { return now }, OnChange: func(c confirm.Change) error {
				if fail {
					return errors.New("the bus is away")
				}
				got = c.Fate
				if _, known := chain.blocks[h]; c.Hash != h || c.Height != 10 || c.Tip != chain.height || c.Unknown == known {
					t.Errorf("change %+v", c)
				}
				return nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			tracker.Add(confirm.Block{Hash: h, Height: 10, Found: began}, false)
			for i, s := range steps {
				if s.tip == dayLater {
					now = began.Add(confirm.DefaultGiveUp)
					continue
				}
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
			if open := len(tracker.Open()); (open == 0) != (last == confirm.Matured || last == confirm.Lost) {
				t.Errorf("%d open after %q", open, last)
			}
		})
	}
}

func TestWhatOthersSayOfABlock(t *testing.T) {
	h := hashengine.Hash{1}
	chain := &script{height: 15, blocks: map[hashengine.Hash]int64{h: 0}}
	var tracker *confirm.Tracker
	var got []confirm.Fate
	tracker, err := confirm.NewTracker(chain, confirm.Config{OnChange: func(c confirm.Change) error {
		got = append(got, c.Fate)
		if c.Fate == confirm.Matured {
			tracker.Remove(c.Hash) // as a consumer may that hears of it meanwhile
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	look := func(want ...confirm.Fate) {
		t.Helper()
		got = nil
		if err := tracker.Look(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
	}
	b := confirm.Block{Hash: h, Height: 10}
	tracker.Add(b, false)
	tracker.Add(b, true) // somebody has called it an orphan
	look()
	chain.blocks[h] = 6
	look(confirm.Returned)
	chain.blocks[h] = 100
	look(confirm.Matured)
	if open := tracker.Open(); len(open) != 0 {
		t.Errorf("open: %v", open)
	}
	tracker.Add(b, false)
	tracker.Add(confirm.Block{Hash: hashengine.Hash{2}, Height: 12}, false)
	tracker.Remove(h)
	tracker.Remove(h)
	if open := tracker.Open(); len(open) != 1 || open[0].Height != 12 {
		t.Errorf("open: %v", open)
	}
	// A height that nobody knows has no depth.
	tracker.Remove(hashengine.Hash{2})
	tracker.Add(confirm.Block{Hash: hashengine.Hash{3}, Found: time.Now()}, false)
	look()
	tracker.Add(confirm.Block{Hash: hashengine.Hash{4}, Found: time.Now().Add(-confirm.DefaultGiveUp)}, false)
	look(confirm.Orphaned)
	look(confirm.Lost)
}

func TestTheTrackerRuns(t *testing.T) {
	chain := &script{height: 109, blocks: map[hashengine.Hash]int64{{1}: 100, {2}: 0}}
	heard := make(chan confirm.Fate)
	tracker, err := confirm.NewTracker(chain, confirm.Config{Every: time.Millisecond, OnChange: func(c confirm.Change) error { heard <- c.Fate; return nil }, OnTrouble: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tracker.Run(ctx) }()
	tracker.Add(confirm.Block{Hash: hashengine.Hash{1}, Height: 10}, false)
	tracker.Add(confirm.Block{Hash: hashengine.Hash{2}, Height: 10}, false)
	got := []confirm.Fate{<-heard, <-heard}
	slices.Sort(got)
	if !slices.Equal(got, []confirm.Fate{confirm.Matured, confirm.Orphaned}) {
		t.Errorf("%v", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, c := range []confirm.Config{{}, {OnChange: func(confirm.Change) error { return nil }, Forget: 5}, {OnChange: func(confirm.Change) error { return nil }, Mature: -1}} {
		if _, err := confirm.NewTracker(chain, c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
