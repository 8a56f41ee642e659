// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"context"
	"encoding/hex"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/judge"
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
		b.p.roster.Heard(agent, &events.WorkerStatus{BootID: "b", Counter: 1, Announce: true, Units: []events.UnitStatus{{
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
	if err := b.p.assign(context.Background(), b.p.roster.All(), false); err != nil {
		b.t.Fatal(err)
	}
}

// job is the newest one of an agent.
func (b *bench) job(agent string) *judge.Job {
	if j := b.p.jobs.Newest(agent); j != nil {
		return j
	}
	b.t.Fatalf("no job for %s", agent)
	return nil
}

// decoded is the template of a job.
func decoded(t *testing.T, j *judge.Job) *job.Template {
	t.Helper()
	tmpl, err := j.Template()
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

// solve finds a share of a job, and one that does not solve a block when the
// chain is not that easy.
func (b *bench) solve(j *judge.Job, extranonce uint32) *events.ShareFound {
	b.t.Helper()
	x := make([]byte, 4)
	x[3] = byte(extranonce)
	h, err := decoded(b.t, j).Header(x)
	if err != nil {
		b.t.Fatal(err)
	}
	for nonce := uint32(0); ; nonce++ {
		h.SetNonce(nonce)
		hash := h.Hash()
		if decoded(b.t, j).ShareTarget.Met(&hash) {
			return &events.ShareFound{
				ShareID: hash.String(), JobID: j.Work.JobID, Gateway: "practice", Unit: "cpu",
				Version: job.WordText(h.Version()), NTime: int64(h.Time()), Nonce: job.WordText(nonce), Extranonce: hex.EncodeToString(x),
				Difficulty: j.Work.ShareDifficulty, FoundAt: b.now,
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
	if _, known := b.p.seen.Get(s.ShareID); !known {
		b.p.seen.Put(s.ShareID, judge.Sighting{Sequence: e.Sequence})
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
func rehash(t *testing.T, j *judge.Job, s *events.ShareFound) {
	t.Helper()
	h, err := judge.Solution(decoded(t, j), s)
	if err != nil {
		return // refused before the hash is looked at
	}
	s.ShareID = h.Hash().String()
}

func TestJudge(t *testing.T) {
	tests := map[string]struct {
		agent string
		bend  func(t *testing.T, b *bench, j *judge.Job, s *events.ShareFound)
		want  string
	}{
		"good": {"cpu", nil, "accepted practice"},
		"another header than claimed": {"cpu", func(_ *testing.T, _ *bench, _ *judge.Job, s *events.ShareFound) {
			s.ShareID = fmt.Sprintf("%064x", 1)
		}, "invalid"},
		"below the difficulty": {"cpu", func(t *testing.T, _ *bench, j *judge.Job, s *events.ShareFound) {
			for n := uint32(0); ; n++ {
				s.Nonce = job.WordText(n)
				h, err := judge.Solution(decoded(t, j), s)
				if err != nil {
					t.Fatal(err)
				}
				if hash := h.Hash(); !decoded(t, j).ShareTarget.Met(&hash) {
					s.ShareID = hash.String()
					return
				}
			}
		}, "low-difficulty"},
		"version bits outside the mask": {"cpu", func(t *testing.T, _ *bench, j *judge.Job, s *events.ShareFound) {
			s.Version = "20000001"
			rehash(t, j, s)
		}, "invalid"},
		"time before the job": {"cpu", func(_ *testing.T, _ *bench, _ *judge.Job, s *events.ShareFound) { s.NTime-- }, "invalid"},
		"time hours ahead":    {"cpu", func(_ *testing.T, _ *bench, _ *judge.Job, s *events.ShareFound) { s.NTime += 7201 }, "invalid"},
		"extranonce too long": {"cpu", func(_ *testing.T, _ *bench, _ *judge.Job, s *events.ShareFound) { s.Extranonce += "00" }, "invalid"},
		"another difficulty":  {"cpu", func(_ *testing.T, _ *bench, _ *judge.Job, s *events.ShareFound) { s.Difficulty = "5" }, "invalid"},
		"another agent's job": {"thief", nil, "invalid"},
		"modelled for a real job": {"cpu", func(_ *testing.T, _ *bench, _ *judge.Job, s *events.ShareFound) {
			s.Modelled, s.Version, s.NTime, s.Nonce, s.Extranonce = true, "", 0, "", ""
		}, "invalid"},
		"modelled": {"hall", func(_ *testing.T, b *bench, _ *judge.Job, s *events.ShareFound) {
			h := b.job("hall")
			*s = events.ShareFound{ShareID: fmt.Sprintf("%064x", 7), JobID: h.Work.JobID, Gateway: "practice", Unit: "hall", Difficulty: h.Work.ShareDifficulty, FoundAt: b.now, Modelled: true}
		}, "accepted modelled"},
		"real for a modelled job": {"hall", func(_ *testing.T, b *bench, _ *judge.Job, s *events.ShareFound) {
			*s = *b.solve(b.job("hall"), 0)
		}, "invalid"},
		"no such job": {"cpu", func(_ *testing.T, b *bench, _ *judge.Job, s *events.ShareFound) {
			s.JobID = b.p.instance + "-1-00000000-99"
		}, "unknown-job"},
		"a job of an earlier start": {"cpu", func(_ *testing.T, _ *bench, _ *judge.Job, s *events.ShareFound) {
			s.JobID = "00000000-1-00000000-1"
		}, "unknown"},
		"a job too old": {"cpu", func(_ *testing.T, b *bench, _ *judge.Job, _ *events.ShareFound) {
			b.now = b.now.Add(10*time.Minute + 1)
		}, "stale"},
		"an earlier job of the same block": {"cpu", func(_ *testing.T, b *bench, _ *judge.Job, _ *events.ShareFound) {
			b.p.renew()
			b.assign()
		}, "accepted practice"},
		"a job for a block that was found": {"cpu", func(_ *testing.T, b *bench, _ *judge.Job, s *events.ShareFound) {
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
