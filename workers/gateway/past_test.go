// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/upstream"
)

func TestThePastIsBounded(t *testing.T) {
	var p past
	at := time.Unix(1_800_000_000, 0)
	st := &stored{submitted: map[string]struct{}{"a": {}, "b": {}}, verdicts: map[string]struct{}{"b/verdict": {}}, found: map[uint64]*events.Event{7: nil, 9: nil}}
	p.learn(st, map[string]*judge.Job{"j": {At: at}, "old": {At: at.Add(-time.Hour)}}, at)
	if !p.mayHaveSent("a") || p.mayHaveSent("b") || p.mayHaveSent("c") || p.read != 9 || len(p.work) != 2 {
		t.Errorf("%+v", p)
	}
	p.forget(at.Add(-time.Minute))
	if !p.mayHaveSent("a") || p.work["j"] == nil || p.work["old"] != nil {
		t.Errorf("after a minute: %+v", p)
	}
	p.judged("a")
	if len(p.sent) != 0 {
		t.Error("what is judged is kept")
	}
	for n := range 2 * mostPast {
		st.submitted[fmt.Sprint(n)] = struct{}{}
	}
	p.learn(st, nil, at)
	if len(p.sent) != mostPast || !p.mayHaveSent("never heard of") {
		t.Errorf("%d are known, and of others it is said that they were not sent", len(p.sent))
	}
	p.forget(at.Add(1))
	if len(p.sent) != 0 || p.mayHaveSent("a") {
		t.Errorf("%d are kept for ever", len(p.sent))
	}
}

// silent is an upstream that never answers.
type silent struct {
	nowhere
	mu  sync.Mutex
	job *upstream.Job
	got []upstream.Submission
}

func (s *silent) Run(ctx context.Context, sink upstream.Sink) error {
	sink.Opened(upstream.Session{ID: "s1", Address: s.Address()})
	sink.Job(s.job)
	<-ctx.Done()
	sink.Closed("s1", nil)
	return nil
}

func (s *silent) Submit(share upstream.Submission, _ func(upstream.Verdict)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, share)
}

func (s *silent) submissions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// solved is a share of a job.
func solved(t *testing.T, w *events.WorkAssigned, unit string) *events.ShareFound {
	t.Helper()
	tmpl, err := job.Parse(w)
	if err != nil {
		t.Fatal(err)
	}
	extranonce := make([]byte, tmpl.ExtranonceBytes)
	h, err := tmpl.Header(extranonce)
	if err != nil {
		t.Fatal(err)
	}
	for nonce := range ^uint32(0) {
		h.SetNonce(nonce)
		if hash := h.Hash(); tmpl.ShareTarget.Met(&hash) {
			return &events.ShareFound{
				ShareID: hash.String(), JobID: w.JobID, Gateway: w.Gateway, Unit: unit, Version: job.WordText(h.Version()), NTime: int64(h.Time()),
				Nonce: job.WordText(nonce), Extranonce: hex.EncodeToString(extranonce), Difficulty: w.ShareDifficulty, FoundAt: time.Now().UTC(),
			}
		}
	}
	t.Fatal("no share in the whole space")
	return nil
}

// TestNoShareIsJudgedTwiceHoweverLateItComesAgain: its verdict was stored, its
// acknowledgement was lost, and the gateway has long forgotten it.
func TestNoShareIsJudgedTwiceHoweverLateItComesAgain(t *testing.T) {
	for name, duplicate := range map[string]bool{"the first": false, "one found twice": true} {
		t.Run(name, func(t *testing.T) {
			k := newDesk(t) // for its bus
			now := uint32(time.Now().Unix())
			up := &silent{job: &upstream.Job{
				Session: "s1", ID: "1", Version: 0x20000000, VersionMask: hashengine.VersionRollingMask, PrevHash: hashengine.DoubleSHA256([]byte("prev")),
				Coinbase1: []byte("one"), Coinbase2: []byte("two"), Extranonce1: []byte{9}, Extranonce2Bytes: 8, NTime: now, MinTime: now, MaxTime: now + 600,
				Bits: 0x17034219, Height: 900_000, Difficulty: "0.000001", Clean: true, Received: time.Now(),
				Terms: upstream.Terms{Scheme: events.SchemeFPPS, RewardSats: 317_500_000, Basis: events.BasisLive},
			}}
			g, err := New(Config{Site: "demo", Gateway: "gw-9", Upstream: up}, k.b)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			over := make(chan error, 1)
			go func() { over <- g.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-over; err != nil {
					t.Error(err)
				}
			}()
			publish := func(e *events.Event) {
				t.Helper()
				if err := k.b.Publish(context.Background(), e); err != nil {
					t.Fatal(err)
				}
			}
			newest := func() (i *issue) {
				g.mu.Lock()
				defer g.mu.Unlock()
				if n := len(g.issued.order); n > 0 {
					i = g.issued.order[n-1]
				}
				return i
			}
			counter := uint64(0)
			eventually(t, "work", func() bool {
				counter++
				publish(events.New("demo", "rig-1", &events.WorkerStatus{BootID: "b1", Counter: counter, Announce: true, Units: []events.UnitStatus{{
					Unit: "rig-1", State: events.PermitRunning, Healthy: true,
					Capabilities: &events.Capabilities{Class: "cpu", NameplateWatts: 100, MinWatts: 1, MillijoulesPerTerahash: 100_000_000_000_000},
				}}}))
				return newest() != nil
			})
			s := solved(t, newest().Work, "rig-1")
			publish(events.New("demo", "rig-1", s).WithID(s.ShareID))
			want := 1
			eventually(t, "the submission", func() bool { return up.submissions() == 1 })
			key := s.ShareID + verdictSuffix
			if duplicate {
				// Another message with the same share: its verdict comes at once,
				// and its acknowledgement must be caught before.
				want = 2
				publish(events.New("demo", "rig-1", s).WithID("again"))
				eventually(t, "the second verdict", func() bool { return len(verdicts(t, k)) == 1 })
			}
			var msg jetstream.Msg
			eventually(t, "the share to be stored", func() bool {
				g.mu.Lock()
				defer g.mu.Unlock()
				f := g.flights[key]
				if f == nil || f.msg == nil {
					return false
				}
				msg, f.msg = f.msg, nil // its acknowledgement is lost
				return true
			})
			g.mu.Lock()
			f := g.flights[key]
			g.mu.Unlock()
			g.answered(f, upstream.Verdict{State: upstream.Accepted})
			eventually(t, "the verdicts", func() bool { return len(verdicts(t, k)) == want })
			eventually(t, "the flights to end", func() bool { return g.inFlight() == 0 })
			g.mu.Lock()
			g.seen = judge.NewSeen() // forty minutes later
			g.mu.Unlock()
			if err := msg.Nak(); err != nil {
				t.Fatal(err)
			}
			consumer, err := k.b.JetStream().Consumer(context.Background(), events.StreamShares, "gateway-demo-gw-9")
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, "the share to be acknowledged", func() bool {
				info, err := consumer.Info(context.Background())
				return err == nil && info.NumAckPending == 0 && info.NumPending == 0
			})
			if n := up.submissions(); n != 1 {
				t.Errorf("%d submissions", n)
			}
			if got := verdicts(t, k); len(got) != want {
				t.Errorf("verdicts %v", got)
			}
			if st := g.Stats(); st.Found != int64(want) || st.Accepted != 1 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// verdicts that SHARES holds.
func verdicts(t *testing.T, k *desk) (ids []string) {
	t.Helper()
	for e, err := range k.b.Events(context.Background(), events.ReadRequest{
		Stream: events.StreamShares, Types: []events.Type{events.TypeShareAccepted, events.TypeShareRejected, events.TypeShareUnknown}, Site: "demo",
	}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, e.ID)
	}
	return ids
}
