// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum"
)

// TestSheetVector rebuilds the header of the protocol sheet's share: its
// extranonce2 is a slot of 4 bytes and 4 of the miner's.
func TestSheetVector(t *testing.T) {
	c, err := Config{Endpoints: []Endpoint{{}}, Sink: &shelf{}, Authoriser: AuthoriserFunc(AnyName)}.settings()
	if err != nil {
		t.Fatal(err)
	}
	j := sheetJob(t, "s", "bf")
	w, err := newWork(1, j, newSpace("s", j.Extranonce1, nil, 8), c, newClock().Now())
	if err != nil {
		t.Fatal(err)
	}
	h := w.header([]byte{0, 0, 0, 0}, []byte{0, 0, 0, 7}, 0x20c02000, 0x6b0211b3, 0x0027212f)
	if want := "0020c020d3c2b1a09f7e5d3c108f6e2a4b9c7d01c0b3d6e5f4a21788c6243e9d7a5c0b1f99b41280ad0c7a2b3977467b0843ad605081866ba6afb5349eb5c92674d2eda5b311026b194203172f212700"; h.String() != want {
		t.Fatalf("header %s", h)
	}
	hash := h.Hash()
	if hash.String() != "000001cc7cc23075eb7ea42687ded22663c69adc94eb314e731ea441d0685f1d" || !w.upstream.Met(&hash) || w.network.Met(&hash) {
		t.Fatalf("hash %s", hash)
	}
}

func TestShareReachesTheSinkAndIsAnswered(t *testing.T) {
	s := open(t, nil)
	j := sheetJob(t, "up-1", "bf")
	s.setJob(t, j)
	m := s.start(t, "acct.Rig_7")
	if m.difficulty != easy || !m.job.Clean {
		t.Fatalf("difficulty %s, clean %v", m.difficulty, m.job.Clean)
	}
	en2 := []byte{1, 2, 3, 4}
	nonce, answer := m.mine("acct.Rig_7", en2, 0)
	if string(answer.Result) != "true" || answer.code() != 0 {
		t.Fatalf("answer %s %s", answer.Result, answer.Error)
	}
	got := s.shelf.all()
	if len(got) != 1 {
		t.Fatalf("%d shares", len(got))
	}
	sh := got[0]
	whole := append(append([]byte(nil), m.extranonce1[4:]...), en2...)
	if sh.Worker != "rig-7" || sh.Job != j || string(sh.Extranonce2) != string(whole) || sh.Nonce != nonce || sh.Version != j.Version ||
		sh.NTime != j.NTime || sh.Difficulty != easy || sh.Block || sh.MeetsUpstream {
		t.Fatalf("share %+v", sh)
	}
	if h := m.work(en2, j.Version); func() hashengine.Header { h.SetNonce(nonce); return h }() != sh.Header || sh.Header.Hash() != sh.Hash {
		t.Fatal("another header")
	}
	if a := m.submit("acct.Rig_7", m.job.JobID, en2, m.job.NTime, nonce); a.code() != stratum.CodeDuplicate {
		t.Fatalf("duplicate: %s %s", a.Result, a.Error)
	}
}

func TestShareThatIsNotStoredMayComeAgain(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "up-1", "bf"))
	m := s.start(t, "a.r")
	s.shelf.fail(errors.New("disk full"))
	nonce, a := m.mine("a.r", []byte{0, 0, 0, 1}, 0)
	if a.code() != stratum.CodeOther {
		t.Fatalf("answer %s %s", a.Result, a.Error)
	}
	s.shelf.fail(nil)
	if a := m.submit("a.r", m.job.JobID, []byte{0, 0, 0, 1}, m.job.NTime, nonce); string(a.Result) != "true" {
		t.Fatalf("again: %s", a.Error)
	}
	if st := s.Stats(); st.Stored != 1 || st.Refused["not-stored"] != 1 || st.Shares != 2 {
		t.Fatalf("%+v", st)
	}
}

// TestShareThatTheSinkKnows: the sink alone can tell that two jobs were the same
// work.
func TestShareThatTheSinkKnows(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "up-1", "bf"))
	m := s.start(t, "a.r")
	s.shelf.fail(fmt.Errorf("share: %w", ErrDuplicate))
	nonce, a := m.mine("a.r", []byte{0, 0, 0, 1}, 0)
	if a.code() != stratum.CodeDuplicate {
		t.Fatalf("answer %s %s", a.Result, a.Error)
	}
	s.shelf.fail(nil)
	if a := m.submit("a.r", m.job.JobID, []byte{0, 0, 0, 1}, m.job.NTime, nonce); a.code() != stratum.CodeDuplicate {
		t.Fatalf("again: %s %s", a.Result, a.Error)
	}
	if st := s.Stats(); st.Stored != 0 || st.Refused["not-stored"] != 0 || st.Refused["duplicate"] != 2 {
		t.Fatalf("%+v", st)
	}
}

// TestOrderOfChecks breaks one thing after the other; what is broken earlier in
// the order decides the answer.
func TestOrderOfChecks(t *testing.T) {
	s := open(t, func(c *Config) { c.StartDifficulty = "0.5" })
	s.setJob(t, sheetJob(t, "up-1", "bf"))
	m := s.dial(t)
	submit := func(user, job, en2 string, ntime, nonce uint32, more string) int {
		t.Helper()
		return m.ask(stratum.MethodSubmit, fmt.Sprintf(`[%q,%q,%q,"%08x","%08x"%s]`, user, job, en2, ntime, nonce, more)).code()
	}
	if got := m.ask(stratum.MethodSubmit, `["x"]`).code(); got != stratum.CodeNotSubscribed {
		t.Fatalf("before subscribe: %d", got)
	}
	m.subscribe()
	if got := m.ask(stratum.MethodSubmit, `["x"]`).code(); got != stratum.CodeUnauthorized {
		t.Fatalf("before authorize: %d", got)
	}
	m.authorize("a.r", "")
	m.untilMethod(stratum.MethodNotify)
	low := m.find([]byte{0, 0, 0, 1}, 0, m.job.Version, "0.5", false)
	id, at := m.job.JobID, m.job.NTime
	for _, c := range []struct {
		name string
		got  int
		want int
	}{
		{"params", m.ask(stratum.MethodSubmit, `["a.r",1,2]`).code(), stratum.CodeOther},
		{"another worker", submit("a.other", id, "00000001", at, low, ""), stratum.CodeOther},
		{"unknown job", submit("a.r", "bf", "00000001", at, low, ""), stratum.CodeStale},
		{"job of the future", submit("a.r", "00000009", "00000001", at, low, ""), stratum.CodeStale},
		{"renewal that never was", submit("a.r", id+"0001", "00000001", at, low, ""), stratum.CodeStale},
		{"short extranonce2", submit("a.r", id, "000001", at-1, low, ""), stratum.CodeOther},
		{"long extranonce2", submit("a.r", id, "0000000001", at, low, ""), stratum.CodeOther},
		{"early", submit("a.r", id, "00000001", at-1, low, ""), stratum.CodeOther},
		{"late", submit("a.r", id, "00000001", at+601, low, ""), stratum.CodeOther},
		{"version bits", submit("a.r", id, "00000001", at, low, `,"00002000"`), stratum.CodeOther},
		{"low", submit("a.r", id, "00000001", at, low, ""), stratum.CodeLowDifficulty},
		{"low with bits of 0", submit("a.r", id, "00000001", at, low, `,"00000000"`), stratum.CodeLowDifficulty},
	} {
		if c.got != c.want {
			t.Errorf("%s: code %d, want %d", c.name, c.got, c.want)
		}
	}
	if n := len(s.shelf.all()); n != 0 {
		t.Fatalf("%d shares reached the sink", n)
	}
	st := s.Stats()
	for reason, want := range map[string]uint64{
		"not-subscribed": 1, "unauthorised": 1, "params": 1, "worker": 1, "stale": 3, "extranonce2": 2, "ntime": 2, "version": 1, "low-difficulty": 2,
	} {
		if st.Refused[reason] != want {
			t.Errorf("%s: %d, want %d", reason, st.Refused[reason], want)
		}
	}
}

// TestBlockIsNeverLost: a hash that meets the network's target is handed on
// though it is late, low, out of time or by another name.
func TestBlockIsNeverLost(t *testing.T) {
	s := open(t, func(c *Config) { c.MinDifficulty, c.StartDifficulty = "1", "1" })
	j := sheetJob(t, "up-1", "old")
	j.Bits, j.Clean = 0x207fffff, false
	s.setJob(t, j)
	m := s.start(t, "a.r")
	if m.difficulty != "1" {
		t.Fatalf("difficulty %s: the lowest of the site is above the network's", m.difficulty)
	}
	old := m.job
	target, _ := hashengine.TargetFromBits(j.Bits)
	en2 := []byte{0, 0, 0, 1}
	next := uint32(0)
	block := func(ntime uint32) uint32 {
		h := m.work(en2, old.Version)
		h.SetTime(ntime)
		for ; ; next++ {
			h.SetNonce(next)
			if hash := h.Hash(); target.Met(&hash) {
				next++
				return next - 1
			}
		}
	}
	takes := func(what string, user string, ntime, nonce uint32) {
		t.Helper()
		before := len(s.shelf.all())
		if a := m.submit(user, old.JobID, en2, ntime, nonce); string(a.Result) != "true" {
			t.Errorf("%s: %s", what, a.Error)
		}
		all := s.shelf.all()
		if len(all) != before+1 || !all[before].Block || all[before].Job != j {
			t.Fatalf("%s: not handed on", what)
		}
		// The site's lowest difficulty, 1, is far above what such a hash proves.
		if worth, err := hashengine.ParseDifficulty(all[before].Difficulty); err != nil || worth.Cmp(target.Difficulty()) > 0 {
			t.Errorf("%s: worth %s, %v", what, all[before].Difficulty, err)
		}
	}
	takes("low", "a.r", old.NTime, block(old.NTime))
	takes("out of time", "a.r", old.NTime-1, block(old.NTime-1))
	takes("by another name", "somebody", old.NTime, block(old.NTime))
	nonce := block(old.NTime)
	clean := sheetJob(t, "up-1", "new")
	s.setJob(t, clean)
	m.untilMethod(stratum.MethodNotify)
	m.job = old
	takes("late", "a.r", old.NTime, nonce)
	if a := m.submit("a.r", old.JobID, en2, old.NTime, nonce); a.code() != stratum.CodeStale && a.code() != stratum.CodeDuplicate {
		t.Errorf("again: %s %s", a.Result, a.Error)
	}
	s.CloseSession("up-1")
}
