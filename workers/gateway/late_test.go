// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// solveBlock finds a share of a job that is a block.
func solveBlock(t testing.TB, w *events.WorkAssigned) *events.ShareFound {
	t.Helper()
	target, err := hashengine.TargetFromBits(easyBits)
	if err != nil {
		t.Fatal(err)
	}
	for from := 0; ; from++ {
		s := solve(t, w, "rig-1", w.ShareDifficulty, from, 1)[0]
		if h, err := hashengine.ParseHash(s.ShareID); err == nil && target.Met(&h) {
			return s
		}
	}
}

func TestABlockFoundWhileNoGatewayRanReachesTheNode(t *testing.T) {
	b := openBus(t)
	r := newRig(t, b, "rig-1")
	stop := run(t, newGateway(t, b, "gw-a", newNodeUpstream()).Run)
	w := r.any()
	stop()
	block := solveBlock(t, w)
	r.found(block)
	again := newNodeUpstream()
	run(t, newGateway(t, b, "gw-a", again).Run)
	s := await(t, b, "a verdict", func(s tally) bool { return s.judged() == 1 })
	s.balanced(t)
	if len(s.accepted) != 1 || !s.accepted[0].Block || len(s.blocks) != 1 {
		t.Errorf("%+v, %v unknown, blocks %v", s.accepted, s.unknown, s.blocks)
	}
	again.mu2.Lock()
	defer again.mu2.Unlock()
	if len(again.foreign) != 1 || again.foreign[0].Hash.String() != block.ShareID || again.foreign[0].Header.Hash() != again.foreign[0].Hash {
		t.Errorf("submitted: %+v", again.foreign)
	}
}

// away is a node that answers late.
type away struct {
	*node
	until chan time.Duration
}

func (a *away) SubmitBlock(ctx context.Context, s upstream.Submission) error {
	left := time.Duration(0)
	if at, ok := ctx.Deadline(); ok {
		left = time.Until(at)
	}
	a.until <- left
	<-ctx.Done()
	return errors.Join(errors.New("nobody answered"), ctx.Err())
}

func TestABlockOfAClosedSessionIsTriedAsLongAsTheGatewayRuns(t *testing.T) {
	b := openBus(t)
	r := newRig(t, b, "rig-1")
	up := &away{node: newNodeUpstream(), until: make(chan time.Duration, 1)}
	stop := run(t, newGateway(t, b, "gw-a", up, func(c *gateway.Config) { c.DrainTime = 10 * time.Second }).Run) // as long twice more for the verdict to be stored
	w := r.any()
	hearsShares(t, b, r, w)
	up.end(errors.New("the node has gone"))
	up.begin()
	up.job(true)
	r.await("the work of the next session", func(x *events.WorkAssigned) bool { return x.JobID != w.JobID && x.PrevHash != w.PrevHash })
	r.found(solveBlock(t, w))
	if left := <-up.until; left < 5*time.Minute {
		t.Errorf("the node has %s to come back", left)
	}
	stop() // and it does not hold up the end
	s := await(t, b, "a verdict", func(s tally) bool { return s.judged() == 2 })
	s.balanced(t)
	if len(s.unknown) != 1 {
		t.Errorf("%+v %+v", s.accepted, s.refused)
	}
}

func TestANodeGatewayKnowsWorkHandedOutBeforeItStarted(t *testing.T) {
	b := openBus(t)
	r := newRig(t, b, "rig-1")
	run(t, newGateway(t, b, "gw-a", newNodeUpstream()).Run)
	w := r.any()
	other := newNodeUpstream()
	other.id = "node-c"
	heard := make(chan *nats.Msg, 64)
	sub, err := b.Conn().ChanSubscribe(events.Subject(b.Prefix(), site, events.TypeGatewayStatus, "gw-c"), heard)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	run(t, newGateway(t, b, "gw-c", other).Run)
	for m := range heard { // its blocks are listened for by then
		if strings.Contains(string(m.Data), `"ready"`) {
			break
		}
	}
	r.found(solveBlock(t, w))
	until(t, b, []*rig{r}, "the other node to have the block", func() bool {
		other.mu2.Lock()
		defer other.mu2.Unlock()
		return len(other.foreign) == 1
	})
}
