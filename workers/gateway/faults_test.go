// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// slow holds batches back while it is shut, and fails some.
type slow struct {
	*bus.Bus
	shut  chan struct{} // nil: open
	fails atomic.Int64
}

func (s *slow) PublishBatch(ctx context.Context, stream string, evs ...*events.Event) (bus.BatchResult, error) {
	if s.shut != nil {
		select {
		case <-s.shut:
		case <-ctx.Done():
			return bus.BatchResult{}, ctx.Err()
		}
	}
	if n := s.fails.Add(-1); n >= 0 {
		if n%2 == 0 { // stored, and nobody knows
			if _, err := s.Bus.PublishBatch(ctx, stream, evs...); err != nil {
				return bus.BatchResult{}, err
			}
		}
		return bus.BatchResult{}, bus.ErrOutcomeUnknown
	}
	return s.Bus.PublishBatch(ctx, stream, evs...)
}

func TestBlocksDoNotWaitForTheStore(t *testing.T) {
	b := openBus(t)
	s := &slow{Bus: b, shut: make(chan struct{})}
	p := newPool("0.000001")
	p.bits = 0x1f0fffff
	run(t, newGateway(t, s, "gw-1", p).Run)
	r := newRig(t, b, "rig-1")
	w := r.any()
	target, err := hashengine.TargetFromBits(p.bits)
	if err != nil {
		t.Fatal(err)
	}
	var block, plain *events.ShareFound
	for from := 0; block == nil || plain == nil; from++ {
		f := solve(t, w, "rig-1", w.ShareDifficulty, from, 1)[0]
		if h, err := hashengine.ParseHash(f.ShareID); err == nil && target.Met(&h) {
			block = f
		} else {
			plain = f
		}
		if from > 2000 {
			t.Skip("every share of this target is a block")
		}
	}
	r.found(plain, block)
	until(t, b, nil, "the block at the pool", func() bool { return len(p.submissions()) > 0 })
	if got := p.submissions(); len(got) != 1 || got[0].Hash.String() != block.ShareID || !got[0].Block {
		t.Errorf("%d written while nothing could be stored", len(got))
	}
	close(s.shut)
	tally := await(t, b, "both verdicts", func(s tally) bool { return len(s.accepted) == 2 && len(s.blocks) == 1 })
	tally.balanced(t)
}

func TestHiccupsOfTheBusLoseAndDoubleNothing(t *testing.T) {
	b := openBus(t)
	s := &slow{Bus: b}
	p := newPool("0.0000015")
	run(t, newGateway(t, s, "gw-1", p).Run)
	r := newRig(t, b, "rig-1")
	w := r.any()
	s.fails.Store(7)
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 0, 80)...)
	tally := await(t, b, "verdicts", func(s tally) bool { return s.judged() >= 80 })
	tally.balanced(t)
	if len(tally.accepted) != 80 || len(p.submissions()) != len(tally.submitted) {
		t.Errorf("%d accepted, %d submitted, %d written", len(tally.accepted), len(tally.submitted), len(p.submissions()))
	}
}

func TestSharesLeftAreJudgedWhenTheGatewayEnds(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	// How many shares are judged within a drain time is the machine's affair.
	stop := run(t, newGateway(t, b, "gw-1", p, func(c *gateway.Config) { c.DrainTime = patience }).Run)
	r := newRig(t, b, "rig-1")
	w := r.any()
	hearsShares(t, b, r, w)
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 0, 300)...)
	stop()
	s := read(t, b)
	s.balanced(t)
	if len(s.accepted) != 301 {
		t.Errorf("%d of 301 accepted, rejected %v, %d unknown", len(s.accepted), s.rejected, len(s.unknown))
	}
}

func TestFloodOfJobsIsThinnedOut(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	run(t, newGateway(t, b, "gw-1", p).Run)
	r := newRig(t, b, "rig-1")
	r.any()
	var last *upstream.Job
	for range 5000 {
		last = p.job(false)
	}
	w := r.await("the newest job", func(w *events.WorkAssigned) bool {
		return strings.HasPrefix(w.Coinbase1, hexOf(last.Coinbase1))
	})
	r.mu.Lock()
	n := len(r.work)
	r.mu.Unlock()
	if n > 100 {
		t.Errorf("%d jobs reached the agent", n)
	}
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 0, 1)...)
	await(t, b, "the verdict", func(s tally) bool { return len(s.accepted) == 1 })
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, x := range b {
		s.WriteByte(digits[x>>4])
		s.WriteByte(digits[x&15])
	}
	return s.String()
}

// broken is an upstream that no retry mends.
type broken struct{ *pool }

func (broken) Run(context.Context, upstream.Sink) error {
	return errors.New("the address is of another network")
}

func TestUpstreamBrokenForGoodEndsTheGateway(t *testing.T) {
	b := openBus(t)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := newGateway(t, b, "gw-1", broken{newPool("1")}).Run(ctx)
	if err == nil || !strings.Contains(err.Error(), "another network") {
		t.Error(err)
	}
}

func TestHostileJobsAreRefused(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	run(t, newGateway(t, b, "gw-1", p).Run)
	r := newRig(t, b, "rig-1")
	r.any()
	for _, bend := range []func(*pool){
		func(p *pool) { p.difficulty = "0" }, func(p *pool) { p.difficulty = "-1" }, func(p *pool) { p.difficulty = "NaN" },
		func(p *pool) { p.difficulty = "1e300" }, func(p *pool) { p.bits = 0 }, func(p *pool) { p.en2 = 33 }, func(p *pool) { p.en2 = -1 },
	} {
		p.mu.Lock()
		difficulty, bits, en2 := p.difficulty, p.bits, p.en2
		bend(p)
		p.mu.Unlock()
		p.job(false)
		p.mu.Lock()
		p.difficulty, p.bits, p.en2 = difficulty, bits, en2
		p.mu.Unlock()
		<-time.After(20 * time.Millisecond) // each is looked at by itself
	}
	good := p.job(true)
	w := r.await("the next good job", func(w *events.WorkAssigned) bool { return w.Height == good.Height })
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 0, 1)...)
	await(t, b, "the verdict", func(s tally) bool { return len(s.accepted) == 1 })
}

// TestGoodAndBadJobsInTurnsDoNotFloodTheBus: the alert is told twice a minute at
// most, and in the end as it is.
func TestGoodAndBadJobsInTurnsDoNotFloodTheBus(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	began := time.Now()
	stop := run(t, newGateway(t, b, "gw-1", p).Run)
	newRig(t, b, "rig-1").any()
	for n := range 401 {
		p.mu.Lock()
		p.bits = hardBits
		if n%2 == 0 {
			p.bits = 0
		}
		p.mu.Unlock()
		p.job(false)
		<-time.After(time.Millisecond) // most are looked at by themselves
	}
	until(t, b, nil, "the alert", func() bool { _, n := alerts(t, b, "upstream-job/gw-1"); return n > 0 })
	stop()
	up, n := alerts(t, b, "upstream-job/gw-1")
	if most := 4 + 2*int(time.Since(began)/time.Minute); !up || n > most {
		t.Errorf("raised %v, %d events; at most %d", up, n, most)
	}
}

// TestAPoolThatRefusesTheAccountIsAnAlert until it takes a share.
func TestAPoolThatRefusesTheAccountIsAnAlert(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	run(t, newGateway(t, b, "gw-1", p).Run)
	r := newRig(t, b, "rig-1")
	r.any()
	p.end(&upstream.AccountError{Address: p.Address(), Err: errors.New("refuses shares of worker acct.rig1")})
	up := func(want bool) func() bool {
		return func() bool { is, n := alerts(t, b, "upstream-account/gw-1"); return n > 0 && is == want }
	}
	until(t, b, nil, "the alert", up(true))
	p.begin()
	j := p.job(true)
	w := r.await("work", func(w *events.WorkAssigned) bool { return w.Height == j.Height })
	if !up(true)() {
		t.Error("a session is no proof that the account is well")
	}
	r.found(solve(t, w, "rig-1", w.ShareDifficulty, 0, 1)...)
	until(t, b, nil, "the alert to be over", up(false))
}

// alerts counts the events of an alert and tells whether it is up.
func alerts(t testing.TB, b *bus.Bus, id string) (up bool, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for e, err := range b.Events(ctx, events.ReadRequest{
		Stream: events.StreamCommands, Types: []events.Type{events.TypeAlertRaised, events.TypeAlertCleared}, Site: site,
	}) {
		if err != nil {
			t.Fatal(err)
		}
		switch a := e.Data.(type) {
		case *events.AlertRaised:
			if a.Alert == id {
				up, n = true, n+1
			}
		case *events.AlertCleared:
			if a.Alert == id {
				up, n = false, n+1
			}
		}
	}
	return up, n
}

func TestConfigIsChecked(t *testing.T) {
	for name, bend := range map[string]func(*gateway.Config){
		"site":     func(c *gateway.Config) { c.Site = "A" },
		"gateway":  func(c *gateway.Config) { c.Gateway = "" },
		"upstream": func(c *gateway.Config) { c.Upstream = nil },
		"shares":   func(c *gateway.Config) { c.SharesPerSecond = -1 },
		"drain":    func(c *gateway.Config) { c.DrainTime = -1 },
		"alarm":    func(c *gateway.Config) { c.RejectAlarmPPM = 2_000_000 },
	} {
		c := gateway.Config{Site: site, Gateway: "gw-1", Upstream: newPool("1")}
		bend(&c)
		if _, err := gateway.New(c, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
