// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/upstream"
)

const easyBits = 0x1f0fffff // a block in some thousand hashes

// node is a pool that confirms blocks and takes those of others.
type node struct {
	*pool
	mu2     sync.Mutex
	foreign []upstream.Submission
	tip     int64
	depth   map[string]int64 // confirmations; 0 beside the chain
	asked   map[string]int
	away    bool
}

func newNodeUpstream() *node {
	n := &node{pool: newPool("0.0000005"), depth: map[string]int64{}, asked: map[string]int{}}
	n.id, n.bits = "node-a", easyBits
	return n
}

func (n *node) Height(context.Context) (int64, error) {
	n.mu2.Lock()
	defer n.mu2.Unlock()
	if n.away {
		return 0, fmt.Errorf("connection refused")
	}
	return n.tip, nil
}

func (n *node) Confirmations(_ context.Context, h hashengine.Hash) (int64, error) {
	n.mu2.Lock()
	defer n.mu2.Unlock()
	n.asked[h.String()]++
	d, ok := n.depth[h.String()]
	if !ok {
		return 0, fmt.Errorf("asked: %w", upstream.ErrUnknownBlock)
	}
	return d, nil
}

func (n *node) SubmitBlock(_ context.Context, s upstream.Submission) error {
	n.mu2.Lock()
	defer n.mu2.Unlock()
	n.foreign = append(n.foreign, s)
	return nil
}

// eventually waits until ok holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// set changes what the node says.
func (n *node) set(change func()) {
	n.mu2.Lock()
	defer n.mu2.Unlock()
	change()
}

// looks waits until a block has been asked for n times more.
func (n *node) looks(t testing.TB, block string, more int) {
	t.Helper()
	from := -1
	eventually(t, "looks at a block", func() bool {
		n.mu2.Lock()
		defer n.mu2.Unlock()
		if from < 0 {
			from = n.asked[block]
		}
		return n.asked[block] >= from+more
	})
}

func quickLooks(c *gateway.Config) { c.ConfirmPeriod = 5 * time.Millisecond }

// history of blocks in SHARES: "matured gw-a 900001 detail" by hash.
func history(t testing.TB, b *bus.Bus) map[string][]string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out := map[string][]string{}
	for e, err := range b.Events(ctx, events.ReadRequest{Stream: events.StreamShares, Site: site, Types: []events.Type{events.TypeBlockFound, events.TypeBlockMatured, events.TypeBlockOrphaned}}) {
		if err != nil {
			t.Fatal(err)
		}
		var block events.Block
		switch d := e.Data.(type) {
		case *events.BlockFound:
			block = events.Block(*d)
		case *events.BlockMatured:
			block = events.Block(*d)
		case *events.BlockOrphaned:
			block = events.Block(*d)
		}
		out[block.BlockHash] = append(out[block.BlockHash], strings.TrimPrefix(string(e.Type), "block.")+" "+block.Detail)
	}
	return out
}

// said waits until the newest word of a block begins so, and returns all.
func said(t testing.TB, b *bus.Bus, block, word string) []string {
	t.Helper()
	var all []string
	eventually(t, word+" of a block", func() bool {
		all = history(t, b)[block]
		return len(all) > 0 && strings.HasPrefix(all[len(all)-1], word)
	})
	return all
}

// foundBy publishes that a gateway found a block.
func foundBy(t testing.TB, b *bus.Bus, gateway, pool string, n int, height int64, at time.Time) string {
	t.Helper()
	hash := hashengine.DoubleSHA256([]byte(fmt.Sprint("block ", n))).String()
	publish(t, b, events.New(site, gateway, &events.BlockFound{
		BlockHash: hash, Height: height, Pool: pool, JobID: "j", Agent: "rig-1", Unit: "rig-1",
		RewardSats: 317_500_000, Scheme: events.SchemeSolo, Basis: events.BasisPractice, SeenAt: at.UTC(),
	}).WithID(hash+"/block"))
	return hash
}

// alertsOf a kind that were raised, by id.
func alertsOf(t testing.TB, b *bus.Bus, kind string) map[string]*events.AlertRaised {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out := map[string]*events.AlertRaised{}
	for e, err := range events.Read[events.AlertRaised](ctx, b, events.AtSite(site)) {
		if err != nil {
			t.Fatal(err)
		}
		if a := e.Data; strings.HasPrefix(a.Alert, kind+"/") {
			out[a.Alert] = &a
		}
	}
	return out
}

func TestWhatBecomesOfBlocks(t *testing.T) {
	b := openBus(t)
	n := newNodeUpstream()
	run(t, newGateway(t, b, "gw-a", n, quickLooks).Run)
	r := newRig(t, b, "rig-1")
	w := r.any()
	var blocks []*events.ShareFound
	target, err := hashengine.TargetFromBits(easyBits)
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; len(blocks) < 3; from++ {
		for _, s := range solve(t, w, "rig-1", w.ShareDifficulty, from, 1) {
			if h, err := hashengine.ParseHash(s.ShareID); err == nil && target.Met(&h) {
				blocks = append(blocks, s)
			}
		}
	}
	n.set(func() {
		n.tip = w.Height
		for _, s := range blocks {
			n.depth[s.ShareID] = 1
		}
		n.depth[blocks[1].ShareID] = 0
	})
	r.found(blocks...)
	await(t, b, "three blocks", func(s tally) bool { return len(s.blocks) == 3 && s.judged() == 3 }).balanced(t)
	first, second, third := blocks[0].ShareID, blocks[1].ShareID, blocks[2].ShareID
	// However often it is off the chain, another block must bury it.
	n.set(func() { n.tip = w.Height + 4 })
	n.looks(t, second, 10)
	if got := history(t, b)[second]; len(got) != 1 {
		t.Fatalf("five deep: %q", got)
	}
	n.set(func() { n.tip, n.depth[first] = w.Height+5, 6 })
	if got := said(t, b, second, "orphaned"); len(got) != 2 || !strings.Contains(got[1], "6 deep") {
		t.Errorf("%q", got)
	}
	// It comes back, goes again and comes back for good: what is stored follows
	// once it is certain.
	for _, d := range []int64{7, 0, 8} {
		n.set(func() { n.depth[second] = d })
		n.looks(t, second, 2)
	}
	n.set(func() {
		n.tip = w.Height + 99
		n.depth[first], n.depth[second], n.depth[third] = 100, 100, 99
	})
	if got := said(t, b, second, "matured"); len(got) != 3 {
		t.Errorf("%q", got)
	}
	if got := said(t, b, first, "matured"); len(got) != 2 {
		t.Errorf("%q", got)
	}
	n.looks(t, third, 3)
	if got := history(t, b)[third]; len(got) != 1 {
		t.Errorf("99 confirmations: %q", got)
	}
	if got := alertsOf(t, b, "block-unknown"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestABlockThatNoNodeKnowsComesToAnEnd(t *testing.T) {
	b := openBus(t)
	n := newNodeUpstream()
	n.tip = 900_004
	lost := foundBy(t, b, "gw-gone", "node-a", 1, 900_000, time.Now())
	beyond := foundBy(t, b, "gw-a", "node-a", 2, 990_000, time.Now().Add(-25*time.Hour)) // of a chain that is no more
	waiting := foundBy(t, b, "gw-a", "node-a", 3, 990_000, time.Now())
	other := foundBy(t, b, "gw-a", "node-z", 4, 900_000, time.Now().Add(-25*time.Hour))
	stop := run(t, newGateway(t, b, "gw-a", n, quickLooks).Run)
	n.looks(t, lost, 5)
	if got := history(t, b)[lost]; len(got) != 1 {
		t.Errorf("%q", got)
	}
	n.set(func() { n.tip = 900_005 })
	if got := said(t, b, lost, "orphaned"); len(got) != 2 || !strings.Contains(got[1], "no node knows it") {
		t.Errorf("%q", got)
	}
	if got := said(t, b, beyond, "orphaned"); len(got) != 2 || !strings.Contains(got[1], "ends at height") {
		t.Errorf("%q", got)
	}
	eventually(t, "alerts", func() bool { return len(alertsOf(t, b, "block-unknown")) == 2 })
	for id, a := range alertsOf(t, b, "block-unknown") {
		if a.Severity != events.SeverityCritical || !strings.HasPrefix(id, "block-unknown/gw-a/") {
			t.Errorf("%s: %+v", id, a)
		}
	}
	// It is asked for until it lies 200 deep, and then no more.
	n.looks(t, lost, 3)
	n.set(func() { n.tip = 900_199 })
	n.looks(t, waiting, 3)
	n.mu2.Lock()
	asked, never := n.asked[lost], n.asked[other]
	n.mu2.Unlock()
	n.looks(t, waiting, 5)
	n.set(func() {
		if n.asked[lost] != asked || never != 0 {
			t.Errorf("asked for what is over: %d times, then %d; of another pool: %d", asked, n.asked[lost], never)
		}
	})
	stop()
	// After a restart nothing is said again.
	run(t, newGateway(t, b, "gw-a", n, quickLooks).Run)
	n.looks(t, waiting, 5)
	h := history(t, b)
	if got := []int{len(h[lost]), len(h[beyond]), len(h[waiting]), len(h[other])}; !slices.Equal(got, []int{2, 2, 1, 1}) {
		t.Errorf("%v: %v", got, h)
	}
	if got := alertsOf(t, b, "block-unknown"); len(got) != 2 {
		t.Errorf("%v", slices.Collect(maps.Keys(got)))
	}
}

func TestGatewaysOfASiteSayOnceWhatBecameOfABlock(t *testing.T) {
	b := openBus(t)
	na, nc := newNodeUpstream(), newNodeUpstream()
	na.tip, nc.tip = 899_999, 899_999 // until the nodes know the blocks
	run(t, newGateway(t, b, "gw-a", na, quickLooks).Run)
	run(t, newGateway(t, b, "gw-c", nc, quickLooks).Run)
	// The gateway that found them never comes back.
	matured := foundBy(t, b, "gw-gone", "node-a", 1, 900_000, time.Now())
	orphaned := foundBy(t, b, "gw-gone", "node-a", 2, 900_049, time.Now())
	last := foundBy(t, b, "gw-gone", "node-a", 3, 900_050, time.Now())
	for _, n := range []*node{na, nc} {
		n.set(func() { n.tip, n.depth[matured], n.depth[orphaned], n.depth[last] = 900_050, 51, 0, 1 })
	}
	na.looks(t, last, 2)
	nc.looks(t, last, 2)
	for _, n := range []*node{na, nc} {
		n.set(func() { n.tip, n.depth[matured], n.depth[last] = 900_099, 100, 50 })
	}
	said(t, b, matured, "matured")
	said(t, b, orphaned, "orphaned")
	na.looks(t, last, 5)
	nc.looks(t, last, 5)
	if h := history(t, b); len(h[matured]) != 2 || len(h[orphaned]) != 2 || len(h[last]) != 1 {
		t.Errorf("%v", h)
	}
}

func TestNodesThatDoNotTellLeaveBlocksAsTheyAre(t *testing.T) {
	b := openBus(t)
	n := newNodeUpstream()
	n.tip, n.away = 900_500, true
	block := foundBy(t, b, "gw-a", "node-a", 1, 900_000, time.Now().Add(-48*time.Hour))
	run(t, newGateway(t, b, "gw-a", n, quickLooks).Run)
	eventually(t, "an alert", func() bool { return len(alertsOf(t, b, "blocks-unwatched")) == 1 })
	if got := history(t, b)[block]; len(got) != 1 {
		t.Errorf("%q", got)
	}
	n.set(func() { n.away, n.depth[block] = false, 501 })
	said(t, b, block, "matured")
}
