// SPDX-License-Identifier: Apache-2.0

package software

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/agent"
	"github.com/ballast-energy/ballast/workers/job"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The client library starts it on a connection that was closed before:
		// its channel is nil then and it waits for ever. Only kills do that.
		goleak.IgnoreTopFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

// patience bounds every wait; nothing is timed.
const patience = 60 * time.Second

// shelf keeps what is published.
type shelf struct {
	mu  sync.Mutex
	evs []*events.Event
	new chan struct{}
}

func newShelf() *shelf { return &shelf{new: make(chan struct{}, 1)} }

func (s *shelf) Publish(_ context.Context, evs ...*events.Event) error {
	s.mu.Lock()
	s.evs = append(s.evs, evs...)
	s.mu.Unlock()
	select {
	case s.new <- struct{}{}:
	default:
	}
	return nil
}

func (s *shelf) all() []*events.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*events.Event(nil), s.evs...)
}

// await waits for n events.
func (s *shelf) await(t *testing.T, n int) []*events.Event {
	t.Helper()
	deadline := time.After(patience)
	for {
		if evs := s.all(); len(evs) >= n {
			return evs
		}
		select {
		case <-s.new:
		case <-deadline:
			t.Fatalf("%d of %d events", len(s.all()), n)
		}
	}
}

// bench is a unit with its outbox.
func newBench(t *testing.T, cfg Config) (*unit, *shelf) {
	t.Helper()
	cfg.Site, cfg.Agent = "demo", "cpu"
	if cfg.EnergyCounters == "" {
		cfg.EnergyCounters = "none"
	}
	if cfg.Threads == 0 {
		cfg.Threads = 1
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := newShelf()
	o := agent.NewOutbox(s, 0, nil)
	u, err := newUnit(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	t.Cleanup(func() {
		_ = u.miner.Close()
		cancel()
		<-done
	})
	return u, s
}

// await looks again and again until ok holds.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	again, deadline := time.NewTicker(time.Millisecond), time.After(patience)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func work(id, difficulty string, extranonceBytes int) *events.WorkAssigned {
	return &events.WorkAssigned{
		JobID: id, Gateway: "pool", Version: "20000000", VersionMask: "1fffe000", PrevHash: strings.Repeat("ab", 32),
		Coinbase1: "0100", ExtranoncePrefix: "00000001", ExtranonceBytes: extranonceBytes, Coinbase2: "ff",
		MerkleBranches: []string{strings.Repeat("cd", 32)}, NTime: 1_700_000_000, NBits: "1703ffff", Height: 1, ShareDifficulty: difficulty,
	}
}

func set(u *unit, watts int64) { u.Drive([]agent.Order{{Unit: 0, Watts: watts}}) }

func measure(u *unit) events.UnitStatus {
	var s events.UnitStatus
	u.Measure(0, &s)
	return s
}

func TestSharesAreTrue(t *testing.T) {
	u, s := newBench(t, Config{})
	u.Work(work("j1", "0.00001", 4))
	set(u, u.caps.NameplateWatts)
	seen := map[string]bool{}
	for _, e := range s.await(t, 20) {
		f := e.Data.(*events.ShareFound)
		if err := f.Validate(); err != nil {
			t.Fatal(err)
		}
		if seen[f.ShareID] || e.ID != f.ShareID || !e.Dedup || f.Modelled || f.JobID != "j1" || f.Unit != "cpu" {
			t.Fatalf("%+v", f)
		}
		seen[f.ShareID] = true
		tmpl, err := job.Parse(work("j1", "0.00001", 4))
		if err != nil {
			t.Fatal(err)
		}
		x, err := hex.DecodeString(f.Extranonce)
		if err != nil {
			t.Fatal(err)
		}
		h, err := tmpl.Header(x)
		if err != nil {
			t.Fatal(err)
		}
		version, err1 := job.Word(f.Version)
		nonce, err2 := job.Word(f.Nonce)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		h.SetVersion(version)
		h.SetNonce(nonce)
		h.SetTime(uint32(f.NTime))
		hash := h.Hash()
		if hash.String() != f.ShareID || !tmpl.ShareTarget.Met(&hash) {
			t.Fatalf("%s does not solve its job", f.ShareID)
		}
	}
}

func TestNoHashWithoutPowerOrWork(t *testing.T) {
	u, _ := newBench(t, Config{})
	set(u, u.caps.NameplateWatts)
	if s := measure(u); s.Healthy || s.PowerWatts != 0 {
		t.Fatalf("without work: %+v", s)
	}
	u.Work(work("j1", "1", 4))
	await(t, "hashes", func() bool { return u.miner.Stats().Hashes > 0 })
	if s := measure(u); !s.Healthy || s.PowerWatts != u.caps.NameplateWatts || s.Modelled {
		t.Fatalf("hashing: %+v", s)
	}
	for _, watts := range []int64{0, u.caps.MinWatts - 1} {
		set(u, watts)
		before := u.miner.Stats().Hashes
		if s := measure(u); s.PowerWatts != 0 || s.HashrateMHs != 0 || s.Hashes != fmt.Sprint(before) {
			t.Fatalf("stopped at %d W: %+v", watts, s)
		}
		u.Work(work("j2", "1", 4)) // new work must not start it
		if after := u.miner.Stats(); after.Hashes != before || after.Active != 0 {
			t.Fatalf("%d hashes after the stop", after.Hashes-before)
		}
		set(u, u.caps.NameplateWatts)
		await(t, "hashes", func() bool { return u.miner.Stats().Hashes > before })
	}
}

func TestDutyFollowsTheSetpoint(t *testing.T) {
	u, _ := newBench(t, Config{WattsPerThread: 100})
	for watts, duty := range map[int64]int{0: 0, 4: 0, 5: 50, 37: 370, 100: 1000, 5000: 1000} {
		set(u, watts)
		if u.duty != duty || u.miner.Stopped() != (duty == 0) || duty > 0 && u.miner.Duty() != duty {
			t.Errorf("%d W: duty %d ‰, want %d", watts, u.duty, duty)
		}
		if got := u.modelled(); got > watts {
			t.Errorf("%d W: draws %d W", watts, got)
		}
	}
}

func TestExtranoncesAndTimeRoll(t *testing.T) {
	u, _ := newBench(t, Config{})
	w := work("j", "1", 1)
	u.Work(w)
	seen := map[string]bool{}
	spent := hashengine.Work{Tag: &piece{work: w}}
	for range 600 {
		next, err := u.next(context.Background(), spent)
		if err != nil {
			t.Fatal(err)
		}
		id := next.Header.String()
		if seen[id] {
			t.Fatal("the same space twice")
		}
		seen[id] = true
		spent = next
	}
	if got := spent.Header.Time(); got != 1_700_000_002 {
		t.Errorf("time %d after 601 spaces of 256 extranonces", got)
	}
	if _, err := u.next(context.Background(), hashengine.Work{Tag: &piece{work: work("older", "1", 1)}}); err == nil {
		t.Error("more of a job that was replaced")
	}
	// Without an extranonce there is nothing but time, and an end.
	a := &assignment{work: w, template: &job.Template{ShareTarget: hashengine.MaxTarget, NTime: 5}, used: 1, rolled: maxRolled}
	if _, err := a.next(); err == nil {
		t.Error("no end of the space")
	}
}

func TestEfficiencyIsLearned(t *testing.T) {
	u, _ := newBench(t, Config{WattsPerThread: 20})
	asked := 0
	u.relearned = func() { asked++ }
	stats := hashengine.Stats{Active: 1}
	u.duty, u.dutyFrom = 500, time.Now().Add(-time.Minute)
	u.rate = u.fullRate() / 2 * 1.1
	u.learn(time.Now(), stats)
	if asked != 0 {
		t.Fatal("ten percent are announced")
	}
	u.rate = 5_000_000_000 // beyond any core of today
	u.learn(time.Now(), stats)
	// 20 W at 10 GH/s.
	if want := int64(2_000_000); asked != 1 || u.caps.MillijoulesPerTerahash != want {
		t.Fatalf("%d mJ/TH announced %d times, want %d", u.caps.MillijoulesPerTerahash, asked, want)
	}
	u.learn(time.Now(), stats)
	if asked != 1 {
		t.Fatal("announced again without news")
	}
	if got := millijoules(1_000_000_000, 0.001); got != events.MaxInteger {
		t.Errorf("no hash rate: %d", got)
	}
}

// zones writes energy counters as Linux shows them.
func zones(t *testing.T, dir string, microjoules uint64) {
	t.Helper()
	for zone, name := range map[string]string{"intel-rapl:0": "package-0", "intel-rapl:0:0": "core", "intel-rapl:1": "psys"} {
		if err := os.MkdirAll(filepath.Join(dir, zone), 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{"name": name, "energy_uj": fmt.Sprint(microjoules), "max_energy_range_uj": "262143328850"} {
			if err := os.WriteFile(filepath.Join(dir, zone, file), []byte(text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestEnergyMeter(t *testing.T) {
	dir := t.TempDir()
	if _, err := openEnergyMeter(dir); err == nil {
		t.Fatal("measures without counters")
	}
	zones(t, dir, 262_143_000_000)
	m, err := openEnergyMeter(dir)
	if err != nil {
		t.Fatal(err)
	}
	at := m.from
	step := func(add uint64) {
		at = at.Add(2 * time.Second)
		zones(t, dir, add)
	}
	if got := m.read(at.Add(time.Millisecond), true, 7); got != 7 {
		t.Errorf("too short a window: %d W", got)
	}
	step(262_143_100_000)
	if got := m.read(at, true, 7); got != 7 {
		t.Errorf("unknown base: %d W", got)
	}
	step(262_143_200_000) // 0.1 J in 2 s
	if got := m.read(at, false, 7); got != 0 {
		t.Errorf("not hashing: %d W", got)
	}
	step(100_000_000 - 328_850 + 200_000 - 200_000) // over the end of the counter
	if got := m.read(at, true, 7); got < 49 || got > 51 {
		t.Errorf("hashing: %d W, want about 50 W", got)
	}
	step(0)
	m.restart(at)
	step(1_000) // less than the base
	if got := m.read(at, true, 7); got != 0 {
		t.Errorf("below the base: %d W", got)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	at = at.Add(2 * time.Second)
	if got := m.read(at, true, 7); got != 7 {
		t.Errorf("unreadable: %d W", got)
	}
}

func TestStatusSaysWhetherPowerIsModelled(t *testing.T) {
	dir := t.TempDir()
	zones(t, dir, 1)
	u, _ := newBench(t, Config{EnergyCounters: dir})
	u.Work(work("j1", "1", 4))
	check := func(what string, modelled bool) {
		t.Helper()
		if s := measure(u); s.PowerModelled != modelled || s.Modelled || u.caps.Class != "cpu" {
			t.Errorf("%s: power modelled %v, want %v; modelled %v, class %s", what, s.PowerModelled, modelled, s.Modelled, u.caps.Class)
		}
	}
	age := func() { u.meter.from = u.meter.from.Add(-2 * rateWindow) }
	check("before the first window", true)
	age()
	check("idle, measured", false)
	set(u, u.caps.NameplateWatts)
	check("just started", true)
	age()
	check("hashing, measured", false)
	check("within the next window", false)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	age()
	check("the last measurement still stands", false)
	set(u, 0)
	check("stopped, nothing to measure with", true)

	u, _ = newBench(t, Config{EnergyCounters: "none"})
	check("no counters", true)
}

func TestNewRefuses(t *testing.T) {
	b := openBus(t)
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"threads":    {Config{Threads: -1}, "threads -1"},
		"watts":      {Config{Threads: 1, WattsPerThread: -1}, "watts per thread -1"},
		"failsafe":   {Config{Threads: 1, FailsafeWatts: 11}, "failsafe 11 W"},
		"timeout":    {Config{Threads: 1, WorkTimeout: -1}, "work timeout"},
		"agent":      {Config{Threads: 1, Agent: "CPU 1"}, "CPU 1"},
		"kernel":     {Config{Threads: 1, Kernel: "quantum"}, "choose one of auto"},
		"nice":       {Config{Threads: 1, Nice: 20}, "nice 20: 1 to 19"},
		"processors": {Config{CPUs: []int{hashengine.MaxCPU}}, ""},
		"placement":  {Config{Threads: 1, CPUs: []int{hashengine.MaxCPU}}, ""},
		"pinned":     {Config{Threads: 4096, Pin: true}, ""},
	} {
		if c.cfg.Agent == "" {
			c.cfg.Agent = "cpu"
		}
		c.cfg.Site, c.cfg.EnergyCounters = "demo", "none"
		w, err := New(c.cfg, b)
		if err == nil {
			w.Close()
			t.Errorf("%s: no error", name)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestHashesAsConfigured: every kernel of this machine can be chosen, and what
// is chosen takes effect.
func TestHashesAsConfigured(t *testing.T) {
	for _, k := range hashengine.Kernels() {
		if _, err := k.New(); err != nil {
			continue // not on this machine
		}
		u, s := newBench(t, Config{Kernel: k.Name, Nice: 7})
		if u.kernel.Name != k.Name || u.calibrated <= 0 {
			t.Errorf("kernel %s at %.0f hashes/s, want %s", u.kernel.Name, u.calibrated, k.Name)
		}
		if st := u.miner.Stats(); st.LowerErr == nil && st.Nice != 7 {
			t.Errorf("nice %d, want 7", st.Nice)
		}
		u.Work(work("j1", "0.00001", 4))
		set(u, u.caps.NameplateWatts)
		s.await(t, 1)
		set(u, 0)
	}
	fastest, err := hashengine.Fastest()
	if err != nil {
		t.Fatal(err)
	}
	if u, _ := newBench(t, Config{}); u.kernel.Name != fastest.Name {
		t.Errorf("kernel %s without a choice, the fastest is %s", u.kernel.Name, fastest.Name)
	}
	cores := hashengine.Cores()
	pinned, err := New(Config{Site: "demo", Agent: "cpu", Threads: 1, CPUs: cores[0].CPUs, Pin: true, EnergyCounters: "none"}, openBus(t))
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer pinned.Close()
	if st := pinned.Stats(); st.Bound != 1 || pinned.Threads() != 1 || pinned.Kernel().Name != fastest.Name || pinned.HashesPerSecond() <= 0 {
		t.Errorf("%d of %d threads bound, kernel %s, %.0f hashes/s", st.Bound, pinned.Threads(), pinned.Kernel().Name, pinned.HashesPerSecond())
	}
}

func openBus(t *testing.T) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: t.TempDir(), Durability: bus.ProcessCrash, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = b.Close(ctx)
	})
	return b
}

func TestWorkerDrains(t *testing.T) {
	b := openBus(t)
	w, err := New(Config{Site: "demo", Agent: "cpu", Threads: 1, EnergyCounters: "none", DrainTimeout: patience}, b)
	if err != nil {
		t.Fatal(err)
	}
	last := make(chan *events.WorkerStatus, 1000)
	sub, err := b.Conn().Subscribe(events.Subject(b.Prefix(), "demo", events.TypeWorkerStatus, "cpu"), func(m *nats.Msg) {
		e, err := events.Decode(m.Subject, m.Header, m.Data)
		if err != nil {
			t.Error(err)
			return
		}
		last <- e.Data.(*events.WorkerStatus)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	s := <-last
	if s.Units[0].Healthy {
		t.Error("healthy without work")
	}
	pub := func(p events.Payload) {
		if err := b.Publish(context.Background(), events.New("demo", "cpu", p)); err != nil {
			t.Error(err)
		}
	}
	j := work("j1", "0.00002", 4)
	j.Payout = events.Payout{Pool: "pool", NBits: "1703ffff", RewardSats: 1, Scheme: events.SchemePPS, Basis: events.BasisPractice}
	pub(j)
	for s = range last {
		if s.Units[0].Healthy {
			break
		}
	}
	// Power for as long as it takes: each status is answered, as a dispatcher does.
	key := events.OrderKey{Epoch: 1}
	full := []events.UnitSetpoint{{Unit: "cpu", SetpointWatts: 10}}
	for late := time.After(patience); w.Stats().Hits < 10; {
		if s != nil {
			key.Sequence++
			if st := s.Units[0].State; st == events.PermitBoot || st == events.PermitFailsafe {
				now := time.Now().UTC()
				pub(&events.CommandRamp{
					Decider: "d", Key: key, Agent: "cpu", BootID: s.BootID, Counter: s.Counter, LeaseMilliseconds: 12000,
					Units: full, Reason: events.ReasonAvailable, IssuedAt: now, ValidUntil: now.Add(time.Minute),
				})
			} else {
				pub(&events.PermitRenewed{Decider: "d", Key: key, BootID: s.BootID, Counter: s.Counter, LeaseMilliseconds: 12000, Units: full})
			}
		}
		select {
		case s = <-last:
		case <-time.After(time.Millisecond):
			s = nil
		case <-late:
			t.Fatal("waited in vain for hits")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	found := w.Stats().Hits
	stored := uint64(0)
	for _, err := range events.Read[events.ShareFound](context.Background(), b, events.AtSite("demo")) {
		if err != nil {
			t.Fatal(err)
		}
		stored++
	}
	if stored != found || w.outbox.Dropped() != 0 {
		t.Errorf("%d shares found, %d stored", found, stored)
	}
	for {
		select {
		case s = <-last:
			if s.Leaving {
				if s.Units[0].PowerWatts != 0 {
					t.Errorf("leaves with %d W", s.Units[0].PowerWatts)
				}
				return
			}
		case <-time.After(patience):
			t.Fatal("no goodbye")
		}
	}
}

func TestMillijoules(t *testing.T) {
	got := millijoules(3500, 200e12)
	want := new(big.Int).Div(big.NewInt(3_500_000_000_000_000_000), big.NewInt(200_000_000_000_000))
	if got != want.Int64() {
		t.Errorf("%d, want %s", got, want)
	}
}
