// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// following hears whose work each agent got last.
type following struct {
	mu   sync.Mutex
	last map[string]*events.WorkAssigned
	all  map[string][]string // prefixes by gateway
}

func follow(t testing.TB, b *bus.Bus) *following {
	t.Helper()
	f := &following{last: map[string]*events.WorkAssigned{}, all: map[string][]string{}}
	sub, err := b.Conn().Subscribe(events.Subject(b.Prefix(), site, events.TypeWorkAssigned, "*"), func(m *nats.Msg) {
		e, err := events.Decode(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Errorf("garbage: %v", err)
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		w := e.Data.(*events.WorkAssigned)
		f.last[e.Source] = w
		f.all[w.Gateway] = append(f.all[w.Gateway], w.ExtranoncePrefix)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return f
}

func (f *following) count(gateway string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.last {
		if w.Gateway == gateway {
			n++
		}
	}
	return n
}

// until lets agents speak until ok holds.
func until(t testing.TB, b *bus.Bus, rigs []*rig, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		var evs []*events.Event
		for _, r := range rigs {
			evs = append(evs, r.status(true))
		}
		publish(t, b, evs...)
		<-time.After(50 * time.Millisecond)
	}
}

func manyRigs(t testing.TB, b *bus.Bus, n int) []*rig {
	var rigs []*rig
	for i := range n {
		rigs = append(rigs, &rig{t: t, b: b, id: fmt.Sprint("rig-", i), boot: "b1"})
	}
	return rigs
}

func TestAgentsFollowOneGatewayAndMoveWhenItIsLost(t *testing.T) {
	b := openBus(t)
	f := follow(t, b)
	rigs := manyRigs(t, b, 40)
	pa, pc := newPool("0.000001"), newPool("0.000001")
	pc.id = "pool-c"
	stopA := run(t, newGateway(t, b, "gw-a", pa).Run)
	run(t, newGateway(t, b, "gw-c", pc).Run)
	until(t, b, rigs, "both gateways to have agents, together all", func() bool {
		return f.count("gw-a") > 5 && f.count("gw-c") > 5 && f.count("gw-a")+f.count("gw-c") == 40
	})
	stopA()
	until(t, b, rigs, "the other to take all", func() bool { return f.count("gw-c") == 40 })
	run(t, newGateway(t, b, "gw-a", pa).Run)
	until(t, b, rigs, "the first to take its own again", func() bool { return f.count("gw-a") > 5 })
	// One that loses its upstream hands its agents over, too.
	pc.end(errors.New("connection reset"))
	until(t, b, rigs, "the first to take all", func() bool { return f.count("gw-a") == 40 })
	noDoubles(t, f)
}

// noDoubles fails when two agents' work had the same prefix within a session.
func noDoubles(t testing.TB, f *following) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	by := map[string]string{}
	for agent, w := range f.last {
		key := w.Gateway + w.ExtranoncePrefix + w.PrevHash
		if other := by[key]; other != "" {
			t.Errorf("%s and %s search the same space", agent, other)
		}
		by[key] = agent
	}
}

func TestSmallSpaceIsSaidAndWidened(t *testing.T) {
	b := openBus(t)
	alerts := make(chan *events.AlertRaised, 100)
	sub, err := b.Conn().Subscribe(events.Subject(b.Prefix(), site, events.TypeAlertRaised, "*"), func(m *nats.Msg) {
		if e, err := events.Decode(m.Subject, m.Header, m.Data); err == nil {
			alerts <- e.Data.(*events.AlertRaised)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	f := follow(t, b)
	rigs := manyRigs(t, b, 600)
	p := newPool("0.000001")
	p.en2 = 2
	run(t, newGateway(t, b, "gw-a", p, func(c *gateway.Config) {
		c.MaxConnections = 2
		c.Another = func(n int) (upstream.Upstream, error) {
			q := newPool("0.000001")
			q.en2, q.number = 2, 100*n
			q.id = "pool-a"
			return q, nil
		}
	}).Run)
	until(t, b, rigs, "512 agents with work", func() bool { return f.count("gw-a") == 512 })
	noDoubles(t, f)
	for {
		select {
		case a := <-alerts:
			if strings.HasPrefix(a.Alert, "search-space/") {
				// How many had spoken by then is a matter of timing.
				if !strings.Contains(a.Message, "agents have no work") {
					t.Errorf("%+v", a)
				}
				return
			}
		case <-time.After(patience):
			t.Fatal("nobody said that the space is too small")
		}
	}
}

func TestSlicesAreNeverHandedOutAgain(t *testing.T) {
	b := openBus(t)
	f := follow(t, b)
	rigs := manyRigs(t, b, 5)
	p := newPool("0.000001")
	start := func(w *events.WorkAssigned) string {
		of, _, _ := strings.Cut(w.JobID, "-")
		return of
	}
	before := ""
	for range 3 { // a pool that resumes the session at each start
		p.number = 6
		p.jobs, p.height = 0, 1
		stop := run(t, newGateway(t, b, "gw-a", p).Run)
		// Agents that it knows have work at once, others when they have spoken.
		until(t, b, rigs, "work of this start", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			n := 0
			for _, w := range f.last {
				if start(w) != before {
					n++
				}
			}
			return n == len(rigs)
		})
		rigs[0].boot += "x" // starts anew: not the slice that it had
		f.mu.Lock()
		had := f.last["rig-0"].ExtranoncePrefix
		f.mu.Unlock()
		until(t, b, rigs, "another slice", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.last["rig-0"].ExtranoncePrefix != had
		})
		stop()
		f.mu.Lock()
		before = start(f.last["rig-0"])
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[string]int{}
	for _, p := range f.all["gw-a"] {
		seen[p]++
	}
	if len(seen) != 3*6 {
		t.Errorf("%d slices for 18 starts: %v", len(seen), seen)
	}
}

func TestWorkIsHeldBackUntilItsRewardIsKnown(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	p.reward = 0
	run(t, newGateway(t, b, "gw-a", p).Run)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for e, err := range events.Read[events.AlertRaised](ctx, b, events.AtSite(site), events.Follow()) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(e.Data.Alert, "reward-unknown/") {
			break
		}
	}
	r := newRig(t, b, "rig-1")
	publish(t, b, r.status(true), events.New(site, "market", &events.MarketQuote{NBits: "17034219", SubsidySats: 300, FeesSats: 20, QuotedAt: time.Now().UTC()}))
	if w := r.any(); w.Payout.RewardSats != 320 {
		t.Errorf("%+v", w.Payout)
	}
}

// ready waits until gateways have work to hand out.
func ready(t testing.TB, b *bus.Bus, gateways ...string) {
	t.Helper()
	said := make(chan *nats.Msg, 64)
	sub, err := b.Conn().ChanSubscribe(events.Subject(b.Prefix(), site, events.TypeGatewayStatus, "*"), said)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	deadline := time.After(patience)
	for missing := slices.Clone(gateways); len(missing) > 0; {
		select {
		case m := <-said:
			e, err := events.Decode(m.Subject, m.Header, m.Data)
			if err != nil {
				t.Fatal(err)
			}
			if e.Data.(*events.GatewayStatus).State == events.UpstreamReady {
				missing = slices.DeleteFunc(missing, func(id string) bool { return id == e.Source })
			}
		case <-deadline:
			t.Fatalf("waited in vain for %q to be ready", missing)
		}
	}
}

func TestBlocksGoToEveryNode(t *testing.T) {
	b := openBus(t)
	simple := func(id string) *node {
		n := newNodeUpstream()
		n.id = id
		return n
	}
	na, nc := simple("node-a"), simple("node-c")
	run(t, newGateway(t, b, "gw-a", na).Run)
	run(t, newGateway(t, b, "gw-c", nc).Run)
	ready(t, b, "gw-a", "gw-c")
	r := newRig(t, b, "rig-1")
	w := r.any()
	target, err := hashengine.TargetFromBits(0x1f0fffff)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []*events.ShareFound
	for from := 0; len(blocks) < 3; from++ {
		for _, s := range solve(t, w, "rig-1", w.ShareDifficulty, from, 1) {
			if h, err := hashengine.ParseHash(s.ShareID); err == nil && target.Met(&h) {
				blocks = append(blocks, s)
			}
		}
	}
	other := nc
	if w.Gateway == "gw-c" {
		other = na
	}
	r.found(blocks...)
	s := await(t, b, "verdicts", func(s tally) bool { return len(s.accepted) == 3 && len(s.blocks) == 3 })
	s.balanced(t)
	for _, a := range s.accepted {
		if !a.Block || a.Local || s.submitted[a.ShareID] == nil {
			t.Errorf("%+v", a)
		}
	}
	until(t, b, []*rig{r}, "the other node to have the blocks", func() bool {
		other.mu2.Lock()
		defer other.mu2.Unlock()
		return len(other.foreign) == 3
	})
	for _, x := range other.foreign {
		if x.Header.Hash() != x.Hash || string(append(append([]byte(nil), x.Job.Extranonce1...), x.Extranonce2...)) == "" {
			t.Errorf("%+v", x)
		}
	}
}
