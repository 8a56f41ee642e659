// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
)

// paper is a bus that takes everything and stores nothing: judging needs none.
type paper struct{ evs []*events.Event }

func (*paper) Conn() *nats.Conn               { return nil }
func (*paper) Prefix() string                 { return events.DefaultPrefix }
func (*paper) JetStream() jetstream.JetStream { return nil }
func (p *paper) Publish(_ context.Context, evs ...*events.Event) error {
	p.evs = append(p.evs, evs...)
	return nil
}
func (p *paper) PublishBatch(_ context.Context, _ string, evs ...*events.Event) (bus.BatchResult, error) {
	p.evs = append(p.evs, evs...)
	return bus.BatchResult{}, nil
}
func (*paper) Events(context.Context, events.ReadRequest) iter.Seq2[*events.Event, error] {
	return func(func(*events.Event, error) bool) {}
}

// bench is a pool with one real and one modelled agent at work.
type bench struct {
	t   *testing.T
	p   *Pool
	now time.Time
	seq uint64
}

func newBench(t *testing.T, cfg Config) *bench {
	b := &bench{t: t, now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	cfg.Site, cfg.Gateway, cfg.Now = "demo", "practice", func() time.Time { return b.now }
	p, err := New(cfg, new(paper))
	if err != nil {
		t.Fatal(err)
	}
	b.p = p
	for agent, modelled := range map[string]bool{"cpu": false, "hall": true} {
		b.p.roster.heard(agent, &events.WorkerStatus{BootID: "b", Counter: 1, Announce: true, Units: []events.UnitStatus{{
			Unit: agent, Modelled: modelled,
			Capabilities: &events.Capabilities{NameplateWatts: 1000, MillijoulesPerTerahash: 1_000_000_000_000_000}, // 1 kH/s
		}}}, b.now)
	}
	p.renew()
	b.assign()
	return b
}

func (b *bench) assign() {
	b.t.Helper()
	if err := b.p.assign(context.Background(), b.p.everybody(), false); err != nil {
		b.t.Fatal(err)
	}
}

// job is the newest one of an agent.
func (b *bench) job(agent string) *issued {
	for i := len(b.p.jobs.order) - 1; i >= 0; i-- {
		if j := b.p.jobs.byID[b.p.jobs.order[i]]; j.agent == agent {
			if _, err := j.decoded(); err != nil {
				b.t.Fatal(err)
			}
			return j
		}
	}
	b.t.Fatalf("no job for %s", agent)
	return nil
}

// solve finds a share of a job, and one that does not solve a block when the
// chain is not that easy.
func (b *bench) solve(j *issued, extranonce uint32) *events.ShareFound {
	b.t.Helper()
	x := make([]byte, 4)
	x[3] = byte(extranonce)
	h, err := j.template.Header(x)
	if err != nil {
		b.t.Fatal(err)
	}
	for nonce := uint32(0); ; nonce++ {
		h.SetNonce(nonce)
		hash := h.Hash()
		if j.template.ShareTarget.Met(&hash) {
			return &events.ShareFound{
				ShareID: hash.String(), JobID: j.work.JobID, Gateway: "practice", Unit: "cpu",
				Version: job.WordText(h.Version()), NTime: int64(h.Time()), Nonce: job.WordText(nonce), Extranonce: hex.EncodeToString(x),
				Difficulty: j.work.ShareDifficulty, FoundAt: b.now,
			}
		}
	}
}

// judge stores nothing; it returns the verdict's payload.
func (b *bench) judge(agent string, s *events.ShareFound) verdict {
	b.t.Helper()
	if err := s.Validate(); err != nil {
		b.t.Fatalf("the test's share is invalid: %v", err)
	}
	b.seq++
	e := events.New("demo", agent, s).WithID(s.ShareID)
	e.Sequence = b.seq
	v := b.p.judge(e, b.p.chain.height)
	if _, known := b.p.seen.get(s.ShareID); !known {
		b.p.seen.put(s.ShareID, sighting{sequence: e.Sequence})
	}
	if err := v.event.Data.Validate(); err != nil {
		b.t.Fatalf("invalid verdict: %v", err)
	}
	return v
}

func describe(v verdict) string {
	switch d := v.event.Data.(type) {
	case *events.ShareAccepted:
		return "accepted " + string(d.Payout.Basis)
	case *events.ShareRejected:
		return string(d.Reason)
	case *events.ShareUnknown:
		return "unknown"
	}
	return "?"
}

// rehash brings the id of a share that was bent into line with its header.
func rehash(t *testing.T, j *issued, s *events.ShareFound) {
	t.Helper()
	h, err := solution(j.template, s)
	if err != nil {
		return // refused before the hash is looked at
	}
	s.ShareID = h.Hash().String()
}

func TestJudge(t *testing.T) {
	tests := map[string]struct {
		agent string
		bend  func(t *testing.T, b *bench, j *issued, s *events.ShareFound)
		want  string
	}{
		"good": {"cpu", nil, "accepted practice"},
		"another header than claimed": {"cpu", func(_ *testing.T, _ *bench, _ *issued, s *events.ShareFound) {
			s.ShareID = fmt.Sprintf("%064x", 1)
		}, "invalid"},
		"below the difficulty": {"cpu", func(t *testing.T, _ *bench, j *issued, s *events.ShareFound) {
			for n := uint32(0); ; n++ {
				s.Nonce = job.WordText(n)
				h, err := solution(j.template, s)
				if err != nil {
					t.Fatal(err)
				}
				if hash := h.Hash(); !j.template.ShareTarget.Met(&hash) {
					s.ShareID = hash.String()
					return
				}
			}
		}, "low-difficulty"},
		"version bits outside the mask": {"cpu", func(t *testing.T, _ *bench, j *issued, s *events.ShareFound) {
			s.Version = "20000001"
			rehash(t, j, s)
		}, "invalid"},
		"time before the job": {"cpu", func(_ *testing.T, _ *bench, _ *issued, s *events.ShareFound) { s.NTime-- }, "invalid"},
		"time hours ahead":    {"cpu", func(_ *testing.T, _ *bench, _ *issued, s *events.ShareFound) { s.NTime += 7201 }, "invalid"},
		"extranonce too long": {"cpu", func(_ *testing.T, _ *bench, _ *issued, s *events.ShareFound) { s.Extranonce += "00" }, "invalid"},
		"another difficulty":  {"cpu", func(_ *testing.T, _ *bench, _ *issued, s *events.ShareFound) { s.Difficulty = "5" }, "invalid"},
		"another agent's job": {"thief", nil, "invalid"},
		"modelled for a real job": {"cpu", func(_ *testing.T, _ *bench, _ *issued, s *events.ShareFound) {
			s.Modelled, s.Version, s.NTime, s.Nonce, s.Extranonce = true, "", 0, "", ""
		}, "invalid"},
		"modelled": {"hall", func(_ *testing.T, b *bench, _ *issued, s *events.ShareFound) {
			h := b.job("hall")
			*s = events.ShareFound{ShareID: fmt.Sprintf("%064x", 7), JobID: h.work.JobID, Gateway: "practice", Unit: "hall", Difficulty: h.work.ShareDifficulty, FoundAt: b.now, Modelled: true}
		}, "accepted modelled"},
		"real for a modelled job": {"hall", func(_ *testing.T, b *bench, _ *issued, s *events.ShareFound) {
			*s = *b.solve(b.job("hall"), 0)
		}, "invalid"},
		"no such job": {"cpu", func(_ *testing.T, b *bench, _ *issued, s *events.ShareFound) {
			s.JobID = b.p.instance + "-1-00000000-99"
		}, "unknown-job"},
		"a job of an earlier start": {"cpu", func(_ *testing.T, _ *bench, _ *issued, s *events.ShareFound) {
			s.JobID = "00000000-1-00000000-1"
		}, "unknown"},
		"a job too old": {"cpu", func(_ *testing.T, b *bench, _ *issued, _ *events.ShareFound) {
			b.now = b.now.Add(10*time.Minute + 1)
		}, "stale"},
		"an earlier job of the same block": {"cpu", func(_ *testing.T, b *bench, _ *issued, _ *events.ShareFound) {
			b.p.renew()
			b.assign()
		}, "accepted practice"},
		"a job for a block that was found": {"cpu", func(_ *testing.T, b *bench, _ *issued, s *events.ShareFound) {
			b.p.chain.advance(fmt.Sprintf("%064x", 99))
			b.p.renew()
		}, "stale"},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{NBits: "1b0404cb"})
			j := b.job("cpu")
			s := b.solve(j, 0)
			if c.bend != nil {
				c.bend(t, b, j, s)
			}
			if got := describe(b.judge(c.agent, s)); got != c.want {
				t.Fatalf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestJudgeDuplicates(t *testing.T) {
	b := newBench(t, Config{NBits: "1b0404cb"})
	s := b.solve(b.job("cpu"), 0)
	first, second, third := b.judge("cpu", s), b.judge("cpu", s), b.judge("cpu", s)
	if describe(first) != "accepted practice" || describe(second) != "duplicate" || describe(third) != "duplicate" {
		t.Fatal(describe(first), describe(second), describe(third))
	}
	if first.event.ID != s.ShareID+"/verdict" || second.event.ID == first.event.ID || third.event.ID == second.event.ID {
		t.Fatalf("verdict ids %q %q %q", first.event.ID, second.event.ID, third.event.ID)
	}
	// Delivered again, the first is still the first.
	e := events.New("demo", "cpu", s).WithID(s.ShareID)
	e.Sequence = 1
	if again := b.p.judge(e, b.p.chain.height); describe(again) != "accepted practice" || again.event.ID != first.event.ID {
		t.Fatalf("%s as %s", describe(again), again.event.ID)
	}
}

func TestJudgeFindsBlocks(t *testing.T) {
	b := newBench(t, Config{NBits: "207fffff"})
	j := b.job("cpu")
	for x := uint32(0); ; x++ {
		v := b.judge("cpu", b.solve(j, x))
		if v.block == nil {
			continue
		}
		a := v.event.Data.(*events.ShareAccepted)
		if !a.Block || v.height != 1 || v.block.String() != a.ShareID || a.Payout.RewardSats != 50_0500_0000 {
			t.Fatalf("%+v %+v", v, a)
		}
		return
	}
}

func TestDifficulties(t *testing.T) {
	for d, want := range map[float64]string{
		0.00232831: "0.00233", 0.5: "0.5", 1: "1", 12.345: "12.3", 99.96: "100", 123.4: "123", 1234567: "1230000",
		4.656e15: "1000000000000000", 0: "0.01", math.NaN(): "0.01", math.Inf(1): "1000000000000000", 1e-9: "0.000001", -1: "0.01",
	} {
		got := difficultyText(d)
		if got != want {
			t.Errorf("%g: %s, want %s", d, got, want)
		}
		if _, err := hashengine.ParseDifficulty(got); err != nil {
			t.Error(err)
		}
	}
}

func TestDifficultyFollowsTheRoster(t *testing.T) {
	r := roster{agents: map[string]*miner{}}
	want := rates{perAgent: 1, allReal: 20, allModelled: 20}
	announce := func(id string, watts, mj int64, modelled bool) *miner {
		m, needs := r.heard(id, &events.WorkerStatus{BootID: "b", Counter: 1, Announce: true, Units: []events.UnitStatus{{
			Unit: id, Modelled: modelled, Capabilities: &events.Capabilities{NameplateWatts: watts, MillijoulesPerTerahash: mj}}}}, time.Time{})
		if !needs {
			t.Fatal("an announcement calls for no work")
		}
		return m
	}
	cpu := announce("cpu", 20, 2_000_000_000, false) // 10 MH/s
	if got := r.difficulty(cpu, want); got != "0.00233" {
		t.Errorf("cpu: %s", got)
	}
	// 1,000 machines of 200 TH/s find 20 shares a second together.
	var hall *miner
	for i := range 1000 {
		hall = announce(fmt.Sprint("m", i), 3500, 17500, true)
	}
	if got := r.difficulty(hall, want); got != "2330000" {
		t.Errorf("hall: %s", got)
	}
	for i := range 39 {
		announce(fmt.Sprint("c", i), 20, 2_000_000_000, false)
	}
	if got := r.difficulty(cpu, want); got != "0.00466" { // 40 of them share 20 a second
		t.Errorf("one cpu of forty: %s", got)
	}
	if _, needs := r.heard("cpu", &events.WorkerStatus{BootID: "b", Counter: 2, Units: []events.UnitStatus{{Unit: "cpu"}}}, time.Time{}); needs {
		t.Error("a plain status calls for work")
	}
	if _, needs := r.heard("cpu", &events.WorkerStatus{BootID: "c", Counter: 1, Units: []events.UnitStatus{{Unit: "cpu"}}}, time.Time{}); !needs {
		t.Error("another boot calls for no work")
	}
	r.forget(time.Time{}.Add(2 * silence))
	if len(r.agents) != 0 {
		t.Errorf("%d agents are remembered", len(r.agents))
	}
}

func TestCoinbaseIsATransaction(t *testing.T) {
	for _, height := range []int64{0, 15, 16, 126, 127, 128, 254, 255, 256, 32766, 32767, 65535, 8388607, 8388608} {
		c := newChain("demo", 0x207fffff)
		c.height = height
		tmpl := c.next(1, time.Unix(1_700_000_000, 0), "tag")
		w := tmpl.work()
		w.ExtranoncePrefix, w.ShareDifficulty = "00000001", "1"
		parsed, err := job.Parse(&w)
		if err != nil {
			t.Fatal(err)
		}
		b, err := parsed.Coinbase([]byte{1, 2, 3, 4})
		if err != nil {
			t.Fatal(err)
		}
		// version, one input from nowhere, script, sequence, one output, lock
		// time: nothing is left over.
		script := int(b[41])
		rest := b[42+script:]
		if b[4] != 1 || script < 2 || script > 100 || len(rest) != 4+1+8+1+1+4 || rest[4] != 1 {
			t.Fatalf("height %d: %x", height, b)
		}
		if got := scriptHeight(b[42:]); got != height+1 {
			t.Fatalf("height %d written as %d", height+1, got)
		}
	}
	if subsidy(0) != 5_000_000_000 || subsidy(839_999) != 625_000_000 || subsidy(6_930_000) != 0 || subsidy(64*210_000) != 0 {
		t.Error("subsidy schedule")
	}
}

// scriptHeight reads the number that a coinbase script begins with.
func scriptHeight(s []byte) int64 {
	if s[0] > 0x50 && s[0] <= 0x60 {
		return int64(s[0] - 0x50)
	}
	n, v := int(s[0]), int64(0)
	for i := n; i > 0; i-- {
		v = v<<8 | int64(s[i])
	}
	return v
}

// A pool that hears a fleet for the first time in the middle of its life knows
// no capabilities: the work must not be so easy that shares flood the bus.
func TestUnannouncedFleetGetsHardWork(t *testing.T) {
	r := roster{agents: map[string]*miner{}}
	want := rates{perAgent: 1, allReal: 20, allModelled: 20}
	status := &events.WorkerStatus{BootID: "b", Counter: 9, Units: []events.UnitStatus{{Unit: "u", Modelled: true}}}
	m, needs := r.heard("fleet", status, time.Time{})
	if !needs {
		t.Fatal("a new agent needs no work")
	}
	if got, want := r.difficulty(m, want), difficultyText(unannouncedDifficulty); got != want {
		t.Errorf("difficulty %s of a fleet nobody knows, want %s", got, want)
	}
	status.Announce = true
	status.Units[0].Capabilities = &events.Capabilities{NameplateWatts: 3500, MillijoulesPerTerahash: 17_500}
	if m, needs = r.heard("fleet", status, time.Time{}); !needs || r.difficulty(m, want) == difficultyText(unannouncedDifficulty) {
		t.Errorf("after the announcement: needs work %v, difficulty %s: want its own", needs, r.difficulty(m, want))
	}
}
