// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"context"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/agent"
)

func TestAgentObeys(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)

	s := d.status("rig")
	if !s.Announce || s.BootID != a.BootID() || s.Units[0].State != events.PermitBoot || s.Units[0].Reason != events.ReasonBoot || s.Units[0].Capabilities == nil {
		t.Fatalf("announcement: %+v", s)
	}
	d.ramp("rig", 3000, 12*time.Second, "rig")
	r.await(t, 3000)
	d.awaitUnit("rig", func(u events.UnitStatus) bool {
		return u.State == events.PermitRunning && u.SetpointWatts == 3000 && u.Reason == "" && u.Applied != nil && u.LeaseMilliseconds > 0
	})
	key := d.curtail("rig", 1000, "rig")
	r.await(t, 1000)
	d.awaitUnit("rig", func(u events.UnitStatus) bool {
		return u.Applied != nil && *u.Applied == key && u.SetpointWatts == 1000 && u.Reason == events.ReasonHeadroom
	})
	d.ramp("rig", 2000, 12*time.Second, "rig")
	r.await(t, 2000)
	d.say("rig", d.renewOf(d.status("rig"), 500, 12*time.Second, "rig"))
	r.await(t, 500)
	d.ramp("rig", 2000, 12*time.Second, "rig")
	r.await(t, 2000)
	d.curtail(events.BroadcastSource, 0)
	r.await(t, 0)
}

func TestAgentObeysRampsOnlyAsStored(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	ramp := d.rampOf(d.status("rig"), "rig", 3000, 12*time.Second, "rig")
	m, err := events.Encode(b.Prefix(), events.New(site, "rig", ramp))
	if err != nil {
		t.Fatal(err)
	}
	// A ramp that the stream refuses crosses the wire all the same.
	m.Header.Set("Nats-Expected-Stream", "NO-SUCH-STREAM")
	if _, err := b.Conn().RequestMsg(m, patience); err != nil {
		t.Fatal(err)
	}
	// What follows on the same connection is folded later.
	limit := int64(700)
	if err := a.SetLimit("rig", &limit); err != nil {
		t.Fatal(err)
	}
	d.curtail("rig", 10, "rig")
	d.awaitUnit("rig", func(u events.UnitStatus) bool { return u.Applied != nil })
	if got := r.highest(); got != 0 {
		t.Fatalf("an unstored ramp raised to %d W", got)
	}
}

func TestAgentFallsToFailsafeWithItsLeaseAndLeavesItOnRequestOnly(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	clock := newStopwatch()
	a, _ := start(t, agent.Config{Agent: "rig", Clock: clock.now}, b, r)
	awaitReady(t, a)
	before := d.status("rig")
	d.ramp("rig", 3000, time.Second, "rig")
	r.await(t, 3000)
	clock.release()
	r.await(t, 0) // nobody renews
	clock.hold()
	d.awaitUnit("rig", func(u events.UnitStatus) bool { return u.State == events.PermitFailsafe })
	r.reset()
	d.say("rig", d.renewOf(d.status("rig"), 3000, 12*time.Second, "rig"))
	d.say("rig", d.rampOf(before, "rig", 3000, 12*time.Second, "rig")) // does not know of the failsafe
	d.curtail("rig", 50, "rig")
	d.awaitUnit("rig", func(u events.UnitStatus) bool { return u.Applied != nil && u.Applied.Sequence == d.seq })
	if got := r.highest(); got != 0 {
		t.Fatalf("failsafe was left by itself: %d W", got)
	}
	d.ramp("rig", 3000, 12*time.Second, "rig")
	r.await(t, 3000)
}

func TestAgentSpeaksForManyUnitsInParts(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1201)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	d.await("all units", func() bool { return len(d.units) == 1201 })
	d.mu.Lock()
	for i, e := range d.statuses {
		s := e.Data.(*events.WorkerStatus)
		if len(s.Units) > agent.MaxUnitsPerStatus || s.Counter != uint64(i+1) {
			t.Errorf("status %d: %d units, counter %d", i, len(s.Units), s.Counter)
		}
	}
	d.mu.Unlock()
	var ids []string
	for _, u := range r.units {
		ids = append(ids, u.ID)
	}
	d.ramp("rig", 3000, 12*time.Second, ids...)
	r.await(t, 3000*1201)
	d.curtail(events.BroadcastSource, 0)
	r.await(t, 0)
}

func TestAgentIgnoresGarbage(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	nc := b.Conn()
	for _, body := range []string{"", "{", "null", "[]", `{"units":[{"unit":"rig","setpoint_watts":1e99}]}`, `{"decider":1}`, "\xff\xfe"} {
		for _, subject := range []string{
			events.Subject(b.Prefix(), site, events.TypeCommandCurtail, "rig"),
			events.StoredSubject(b.Prefix(), site, events.TypeCommandRamp, "rig"),
			events.Subject(b.Prefix(), site, events.TypePermitRenewed, "rig"),
			events.Subject(b.Prefix(), site, events.TypeWorkAssigned, "rig"),
			events.BroadcastSubject(b.Prefix(), site),
		} {
			if err := nc.Publish(subject, []byte(body)); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.ramp("rig", 3000, 12*time.Second, "rig")
	r.await(t, 3000)
}

func TestAgentLocalLimit(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	d.ramp("rig", 3000, 12*time.Second, "rig")
	r.await(t, 3000)
	limit := int64(800)
	if err := a.SetLimit("rig", &limit); err != nil {
		t.Fatal(err)
	}
	r.await(t, 800)
	d.awaitUnit("rig", func(u events.UnitStatus) bool {
		return u.State == events.PermitLocal && u.LocalLimitWatts != nil && *u.LocalLimitWatts == 800
	})
	if err := a.SetLimit("rig", nil); err != nil {
		t.Fatal(err)
	}
	r.await(t, 3000)
	if err := a.SetLimit("other", nil); err == nil {
		t.Fatal("no error for a unit that is not there")
	}
}

func TestAgentHandsOutWork(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig"}, b, r)
	awaitReady(t, a)
	d.say("rig", &events.WorkAssigned{
		JobID: "j1", Gateway: "pool", Version: "20000000", VersionMask: "1fffe000",
		PrevHash:  "0000000000000000000000000000000000000000000000000000000000000000",
		Coinbase1: "01", Coinbase2: "00", ExtranoncePrefix: "00000001", ExtranonceBytes: 4,
		NTime: 1700000000, NBits: "1d00ffff", Height: 1, ShareDifficulty: "0.01",
		Payout: events.Payout{Pool: "pool", NBits: "1d00ffff", RewardSats: 1, Scheme: events.SchemePPS, Basis: events.BasisPractice},
	})
	select {
	case w := <-r.jobs:
		if w.JobID != "j1" {
			t.Fatalf("%+v", w)
		}
	case <-time.After(patience):
		t.Fatal("no work came")
	}
}

func TestAgentSaysGoodbye(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 2)
	a, stop := start(t, agent.Config{Agent: "rig", DrainTimeout: patience}, b, r)
	awaitReady(t, a)
	d.ramp("rig", 3000, 12*time.Second, "rig-0", "rig-1")
	r.await(t, 6000)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	r.await(t, 0)
	if !r.drained {
		t.Error("the driver was not drained")
	}
	d.await("a goodbye", func() bool {
		s := d.newest["rig"]
		return s.Leaving && len(s.Units) == 2 && s.Units[0].SetpointWatts == 0
	})
	if err := a.SetLimit("rig-0", nil); err == nil {
		t.Error("a stopped agent took a limit")
	}
	if err := a.Run(context.Background()); err == nil {
		t.Error("ran twice")
	}
}

func TestNewRefuses(t *testing.T) {
	b := openBus(t, t.TempDir())
	double := newRack("rig", 2)
	double.units[1].ID = double.units[0].ID
	for name, c := range map[string]struct {
		cfg agent.Config
		r   *rack
	}{
		"no site":       {agent.Config{Agent: "rig"}, newRack("rig", 1)},
		"bad agent":     {agent.Config{Site: site, Agent: "Rig 1"}, newRack("rig", 1)},
		"no units":      {agent.Config{Site: site, Agent: "rig"}, newRack("rig", 0)},
		"bad unit":      {agent.Config{Site: site, Agent: "rig"}, newRack("RIG", 1)},
		"twin units":    {agent.Config{Site: site, Agent: "rig"}, double},
		"negative time": {agent.Config{Site: site, Agent: "rig", StatusPeriod: -1}, newRack("rig", 1)},
	} {
		if _, err := agent.New(c.cfg, b, c.r); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAgentSpeaksWhenAsked(t *testing.T) {
	b := openBus(t, t.TempDir())
	d := newDispatcher(t, b)
	r := newRack("rig", 1)
	a, _ := start(t, agent.Config{Agent: "rig", StatusPeriod: time.Hour, AnnouncePeriod: time.Hour}, b, r)
	awaitReady(t, a)
	first := d.status("rig").Counter
	a.Report()
	d.await("a report", func() bool { s := d.newest["rig"]; return s.Counter == first+1 && !s.Announce })
	a.Announce()
	d.await("an announcement", func() bool { s := d.newest["rig"]; return s.Counter == first+2 && s.Announce })
}
