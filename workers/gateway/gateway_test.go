// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/upstream"
)

func TestSharesAreJudgedSubmittedAndAnswered(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000002")
	stop := run(t, newGateway(t, b, "gw-1", p).Run)
	r := newRig(t, b, "rig-1")
	w := r.any()
	if w.ExtranonceBytes != 6 || w.ExtranoncePrefix != "000000010000" || w.Payout.RewardSats != 317_500_000 || w.Payout.FeePPM != 20_000 || w.Payout.Pool != "pool-a" {
		t.Fatalf("%+v", w)
	}
	p.mu.Lock()
	p.answer = func(s upstream.Submission) *upstream.Verdict {
		if s.Nonce%2 == 0 {
			return &upstream.Verdict{State: upstream.Rejected, Reason: events.RejectLow, Detail: "the pool's words"}
		}
		return &upstream.Verdict{State: upstream.Accepted}
	}
	p.mu.Unlock()
	shares := solve(t, w, "rig-1", w.ShareDifficulty, 0, 60)
	r.found(shares...)
	s := await(t, b, "verdicts", func(s tally) bool { return s.judged() == 60 })
	s.balanced(t)
	local := 0
	for _, a := range s.accepted {
		if a.Local {
			local++
			if s.submitted[a.ShareID] != nil || a.Difficulty != w.ShareDifficulty {
				t.Errorf("a local share was submitted, or credited wrongly: %+v", a)
			}
		} else if s.submitted[a.ShareID] == nil || a.Difficulty != "0.000002" {
			t.Errorf("%+v", a)
		}
	}
	if len(s.submitted) != len(p.submissions()) || len(s.submitted)+local != 60 || local == 0 || len(s.submitted) == 0 {
		t.Errorf("%d submitted, %d written, %d local of 60", len(s.submitted), len(p.submissions()), local)
	}
	for _, f := range s.refused {
		if f.Reason != events.RejectLow || f.Detail != "the pool's words" {
			t.Errorf("%+v", f)
		}
	}
	for _, sub := range p.submissions() {
		if sub.Hash != sub.Header.Hash() || len(sub.Extranonce2) != 8 || sub.Extranonce2[0] != 0 || sub.Extranonce2[1] != 0 || sub.Session != "pool-a-s1" {
			t.Errorf("%+v", sub)
		}
		id := sub.Hash.String()
		if i, k := slices.Index(s.order, "submitted "+id), slices.Index(s.order, "accepted "+id); i < 0 || k >= 0 && k < i {
			t.Errorf("%s: submitted at %d, accepted at %d", id, i, k)
		}
	}
	stop()
}

func TestWrongSharesAreRejectedHere(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	g := newGateway(t, b, "gw-1", p)
	run(t, g.Run)
	r := newRig(t, b, "rig-1")
	w := r.any()
	good := solve(t, w, "rig-1", w.ShareDifficulty, 0, 9)
	want := map[events.RejectReason]int{}
	bend := func(i int, reason events.RejectReason, f func(*events.ShareFound)) {
		f(good[i])
		want[reason]++
	}
	bend(1, events.RejectInvalid, func(s *events.ShareFound) { s.ShareID = strings.Repeat("0", 63) + "1" })
	bend(2, events.RejectInvalid, func(s *events.ShareFound) { s.Difficulty = "5" })
	bend(3, events.RejectInvalid, func(s *events.ShareFound) { s.NTime += 100_000 })
	bend(4, events.RejectInvalid, func(s *events.ShareFound) { s.Version = "20000001" })
	bend(5, events.RejectInvalid, func(s *events.ShareFound) { s.Extranonce += "00" })
	bend(6, events.RejectUnknown, func(s *events.ShareFound) { s.JobID = w.JobID + "9" })
	bend(7, events.RejectStale, func(s *events.ShareFound) { s.JobID = "00000000-1-1" })
	bend(8, events.RejectInvalid, func(s *events.ShareFound) {
		s.Modelled, s.Version, s.NTime, s.Nonce, s.Extranonce = true, "", 0, "", ""
	})
	r.found(good...)
	// Twice the same, past the stream's own memory of ids.
	again := events.New(site, "rig-1", good[0])
	publish(t, b, again)
	want[events.RejectDuplicate]++
	s := await(t, b, "verdicts", func(s tally) bool { return s.judged() == 10 })
	s.balanced(t)
	if len(s.accepted) != 1 {
		t.Errorf("%d accepted", len(s.accepted))
	}
	for reason, n := range want {
		if s.rejected[reason] != n {
			t.Errorf("%s: %d, want %d", reason, s.rejected[reason], n)
		}
	}
	// A verdict is counted once it is stored: a moment after it can be read.
	eventually(t, "the counts", func() bool {
		st := g.Stats()
		return st.Found == 10 && st.Accepted == 1 && st.Rejected == 9 && st.Submitted == 1
	})
}

func TestSessionLostBetweenWriteAndReply(t *testing.T) {
	b := openBus(t)
	p := newPool("0.000001")
	p.answer = func(upstream.Submission) *upstream.Verdict { return nil }
	run(t, newGateway(t, b, "gw-1", p).Run)
	r := newRig(t, b, "rig-1")
	w := r.any()
	shares := solve(t, w, "rig-1", w.ShareDifficulty, 0, 6)
	r.found(shares[:3]...)
	await(t, b, "submissions", func(tally) bool { return len(p.submissions()) == 3 })
	p.end(errors.New("connection reset"))
	p.begin()
	p.mu.Lock()
	p.answer = func(upstream.Submission) *upstream.Verdict { return &upstream.Verdict{State: upstream.Accepted} }
	p.mu.Unlock()
	p.job(true)
	w2 := r.await("work of the new session", func(x *events.WorkAssigned) bool { return strings.HasPrefix(x.ExtranoncePrefix, "00000002") })
	r.found(shares[3:]...) // of the session that is gone
	r.found(solve(t, w2, "rig-1", w2.ShareDifficulty, 0, 3)...)
	s := await(t, b, "verdicts", func(s tally) bool { return s.judged() == 9 })
	s.balanced(t)
	if len(s.unknown) != 3 || s.rejected[events.RejectStale] != 3 || len(s.accepted) != 3 {
		t.Errorf("%d unknown, rejected %v, %d accepted", len(s.unknown), s.rejected, len(s.accepted))
	}
}
