// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// talk is what a server says, in order: replies by id, messages by method.
func talk(m *miner, n int) []string {
	m.t.Helper()
	var said []string
	for range n {
		x := m.hear()
		switch {
		case x.Method != "":
			said = append(said, x.Method)
		case x.Error != nil && string(x.Error) != "null":
			said = append(said, string(x.ID)+" refused")
		default:
			said = append(said, string(x.ID))
		}
	}
	return said
}

// TestOpenings plays what firmware of different makes says first, all at once,
// and expects the answers in turn and then the first work.
func TestOpenings(t *testing.T) {
	first := []string{"mining.set_difficulty", "mining.notify"}
	rolled := append([]string{"mining.set_version_mask"}, first...)
	for name, c := range map[string]struct {
		lines []string
		want  []string
	}{
		"everything without waiting": {[]string{
			`{"id":1,"method":"mining.configure","params":[["version-rolling"],{"version-rolling.mask":"ffffffff","version-rolling.min-bit-count":2}]}`,
			`{"id":2,"method":"mining.subscribe","params":["bmminer/2.0.0"]}`,
			`{"id":3,"method":"mining.suggest_difficulty","params":[512]}`,
			`{"id":4,"method":"mining.extranonce.subscribe","params":[]}`,
			`{"id":5,"method":"mining.authorize","params":["acct.s19","x"]}`,
		}, append([]string{"1", "2", "3", "4", "5"}, rolled...)},
		"authorize before subscribe": {[]string{
			`{"id":1,"method":"mining.authorize","params":["acct.old","x"]}`,
			`{"id":2,"method":"mining.subscribe","params":[]}`,
		}, append([]string{"1", "2"}, first...)},
		"ids of text": {[]string{
			`{"id":"sub-1","method":"mining.subscribe","params":["cgminer/4.12","0001"]}`,
			`{"id":"auth-1","method":"mining.authorize","params":["acct.w","d=64"]}`,
		}, append([]string{`"sub-1"`, `"auth-1"`}, first...)},
		"suggestion after all": {[]string{
			`{"id":1,"method":"mining.subscribe","params":["x"]}`,
			`{"id":2,"method":"mining.authorize","params":["acct.w"]}`,
			`{"id":3,"method":"mining.suggest_difficulty","params":[4096]}`,
		}, append(append([]string{"1", "2"}, first...), "3", "mining.set_difficulty", "mining.notify")},
		"unknown methods in between": {[]string{
			`{"id":1,"method":"mining.multi_version","params":[1]}`,
			`{"id":2,"method":"mining.subscribe","params":["x"]}`,
			`{"id":3,"method":"mining.suggest_target","params":["00"]}`,
			`{"id":4,"method":"mining.authorize","params":["acct.w","x"]}`,
			`{"id":5,"method":"mining.get_transactions","params":[]}`,
			`{"id":null,"method":"mining.whatever","params":[]}`,
			`{"id":6,"method":"mining.ping","params":[]}`,
			`{"id":7,"method":"pong"}`,
		}, append(append([]string{"1 refused", "2", "3 refused", "4"}, first...), "5 refused", "6", "7")},
		"odd line ends and no params": {[]string{
			"\r", "", `{"id":1,"method":"mining.subscribe"}{"id":2,"method":"mining.authorize","params":["acct.w",null]}` + "\r",
		}, append([]string{"1", "2"}, first...)},
		"nonsense in between": {[]string{
			`{"id":1,"method":"mining.subscribe","params":["x"]}`, `GET / HTTP/1.1`, `[]`, `{"id":2,"method":"mining.authorize","params":[]}`,
			`{"id":3,"method":"mining.authorize","params":["acct.w","x"]}`,
		}, append([]string{"1", "null refused", "null refused", "2 refused", "3"}, first...)},
		"two workers": {[]string{
			`{"id":1,"method":"mining.subscribe","params":["proxy"]}`, `{"id":2,"method":"mining.authorize","params":["acct.a","x"]}`,
			`{"id":3,"method":"mining.authorize","params":["acct.b","x"]}`,
		}, append(append([]string{"1", "2"}, first...), "3")},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(c *Config) { c.MinDifficulty, c.StartDifficulty = "1", "16" })
			s.setJob(t, sheetJob(t, "up", "1"))
			m := s.dial(t)
			m.say(c.lines...)
			if said := talk(m, len(c.want)); fmt.Sprint(said) != fmt.Sprint(c.want) {
				t.Fatalf("said %v\nwant %v", said, c.want)
			}
			if m.job == nil || m.job.Version&0x1fffe000 != 0 || !m.job.Clean && name != "suggestion after all" {
				t.Fatalf("job %+v", m.job)
			}
		})
	}
}

// TestIDsComeBackAsTheyWere whatever they are.
func TestIDsComeBackAsTheyWere(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "up", "1"))
	m := s.dial(t)
	for _, id := range []string{
		`9.0`, `9`, `-0`, `1e400`, `-1.5E+999999999`, `0e0`, `18446744073709551616`, `1` + strings.Repeat("0", 100), `"9"`, `""`, `"é\u00e9\\"`,
		`true`, `[1, 2]`, `{"a": 9.0}`,
	} {
		for _, request := range []string{`"method":"mining.ping","params":[]`, `"method":"mining.nothing","params":[]`, `"method":"mining.submit","params":["a.r","1","00","00","00"]`} {
			m.say(`{"id":` + id + `,` + request + `}`)
			if a := m.hear(); string(a.ID) != id {
				t.Errorf("%s came back as %s", id, a.ID)
			}
		}
	}
}

func TestVersionRolling(t *testing.T) {
	for name, c := range map[string]struct {
		asked, want string
		granted     bool
		bits        int
	}{
		"everything":      {"ffffffff", "1fffe000", true, 2},
		"a part":          {"00fff000", "00ffe000", true, 2},
		"too few":         {"00006000", "", false, 3},
		"none in common":  {"00000fff", "", false, 0},
		"exactly as many": {"00006000", "00006000", true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			s.setJob(t, sheetJob(t, "up", "1"))
			m := s.dial(t)
			a := m.ask(stratum.MethodConfigure, fmt.Sprintf(`[["version-rolling","minimum-difficulty","info"],{"version-rolling.mask":%q,"version-rolling.min-bit-count":%d,"minimum-difficulty.value":2048}]`, c.asked, c.bits))
			var got map[string]any
			if err := json.Unmarshal(a.Result, &got); err != nil {
				t.Fatal(err)
			}
			if got["version-rolling"] != c.granted || c.granted && got["version-rolling.mask"] != c.want || got["minimum-difficulty"] != true || got["info"] != false {
				t.Fatalf("%s", a.Result)
			}
			m.subscribe()
			m.authorize("a.r", "x")
			m.untilMethod(stratum.MethodNotify)
			if m.difficulty != "2048" {
				t.Fatalf("difficulty %s", m.difficulty)
			}
		})
	}
}

func TestRolledShares(t *testing.T) {
	s := open(t, nil)
	job := sheetJob(t, "up", "1")
	s.setJob(t, job)
	m := s.dial(t)
	m.ask(stratum.MethodConfigure, `[["version-rolling"],{"version-rolling.mask":"ffffffff"}]`)
	m.subscribe()
	m.authorize("a.r", "x")
	m.untilMethod(stratum.MethodNotify)
	en2 := []byte{0, 0, 0, 7}
	submit := func(version, bits uint32) *message {
		t.Helper()
		nonce := m.find(en2, 0, version, easy, true)
		return m.ask(stratum.MethodSubmit, fmt.Sprintf(`["a.r",%q,"%x","%08x","%08x","%08x"]`, m.job.JobID, en2, m.job.NTime, nonce, bits))
	}
	if a := submit(0x20c02000, 0x00c02000); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
	if sh := s.shelf.all()[0]; sh.Version != 0x20c02000 || sh.Header.Version() != 0x20c02000 {
		t.Fatalf("version %08x", sh.Version)
	}
	if a := submit(0x20c02001, 0x00c02001); a.code() != stratum.CodeOther {
		t.Fatalf("a bit outside: %s %s", a.Result, a.Error)
	}
	// Five params though rolling was agreed: the job's own version.
	nonce := m.find(en2, 0, job.Version, easy, true)
	if a := m.submit("a.r", m.job.JobID, en2, m.job.NTime, nonce); string(a.Result) != "true" {
		t.Fatalf("five params: %s", a.Error)
	}
	// A job that must not be rolled.
	still := sheetJob(t, "up", "2")
	still.VersionMask = 0
	s.setJob(t, still)
	if x := m.untilMethod(stratum.MethodSetVersionMask); string(x.Params[0]) != `"00000000"` {
		t.Fatalf("mask %s", x.Params)
	}
	m.untilMethod(stratum.MethodNotify)
	if a := submit(0x20c02000, 0x00c02000); a.code() != stratum.CodeOther {
		t.Fatalf("rolled: %s %s", a.Result, a.Error)
	}
	// And one whose version has a bit of the mask set.
	set := sheetJob(t, "up", "3")
	set.Version |= 1 << 13
	s.setJob(t, set)
	m.untilMethod(stratum.MethodNotify)
	if a := submit(set.Version, 0); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
	s.setJob(t, sheetJob(t, "up", "4"))
	if x := m.untilMethod(stratum.MethodSetVersionMask); string(x.Params[0]) != `"1fffe000"` {
		t.Fatalf("mask %s", x.Params)
	}
}

func TestWorkersOfOneConnection(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "up", "1"))
	m := s.start(t, "acct.North.1")
	m.authorize("bob", "")
	nonce := uint32(0)
	for i, c := range []struct{ user, unit string }{{"bob", "bob"}, {"acct.North.1", "north-1"}} {
		found, a := m.mine(c.user, []byte{0, 0, 0, 1}, nonce)
		if nonce = found + 1; string(a.Result) != "true" || s.shelf.all()[i].Worker != c.unit {
			t.Fatalf("%s: %s", c.user, a.Error)
		}
	}
}

func TestUnitToken(t *testing.T) {
	for user, want := range map[string]string{
		"acct.Rig_7": "rig-7", "plain": "plain", "bc1qxyz.a b": "a-b", "acct.": "acct", ".w": "w", "A.B.C": "b-c", "ünï.çé9": "9",
		"": "", "...": "", "acct.--": "",
	} {
		got, err := UnitToken(user)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q %v", user, got, err)
		}
	}
}

func TestWishInAPassword(t *testing.T) {
	for password, want := range map[string]string{"d=64": "64", "x,diff=0.5": "0.5", "a;D=9": "9", "x d=1": "1", "d": "", "x": "", "word=d": ""} {
		if got, ok := wishedDifficulty(password); got != want || ok != (want != "") {
			t.Errorf("%q: %q", password, got)
		}
	}
}

// TestSessionCloses: all keep their work while there is no other; then who asked
// to hear of a new extranonce moves to another session, others are sent away to
// come back.
func TestSessionCloses(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "one", "1"))
	moves, stays := s.dial(t), s.dial(t)
	moves.ask(stratum.MethodExtranonceSubscribe, "[]")
	for _, m := range []*miner{moves, stays} {
		m.subscribe()
		m.authorize("a.r", "x")
		m.untilMethod(stratum.MethodNotify)
	}
	s.CloseSession("one")
	if st := s.Stats(); st.Stranded != 2 || st.Waiting != 0 || st.Ready != 2 {
		t.Fatalf("%+v", st)
	}
	nonce := uint32(0)
	for _, m := range []*miner{moves, stays} {
		found, a := m.mine("a.r", []byte{0, 0, 0, 1}, nonce)
		if nonce = found + 1; string(a.Result) != "true" {
			t.Fatalf("share of a session lost: %s %s", a.Result, a.Error)
		}
	}
	// The sink knows that it cannot be sent.
	s.shelf.fail(fmt.Errorf("gone: %w", ErrStale))
	nonce, a := moves.mine("a.r", []byte{0, 0, 0, 1}, nonce)
	if a.code() != stratum.CodeStale {
		t.Fatalf("%s %s", a.Result, a.Error)
	}
	s.shelf.fail(nil)
	late, lateNonce := moves.job, moves.find([]byte{0, 0, 0, 1}, nonce+1, moves.job.Version, easy, true)
	two := sheetJob(t, "two", "1")
	two.Extranonce1, two.Clean = []byte{9, 8, 7}, false
	s.setJob(t, two)
	stays.untilMethod(stratum.MethodReconnect)
	stays.ended()
	if a := moves.submit("a.r", late.JobID, []byte{0, 0, 0, 1}, late.NTime, lateNonce); a.code() != stratum.CodeStale {
		t.Fatalf("%s %s", a.Result, a.Error)
	}
	if moves.job == late {
		moves.untilMethod(stratum.MethodNotify)
	}
	if string(moves.extranonce1[:3]) != "\x09\x08\x07" || !moves.job.Clean {
		t.Fatalf("extranonce1 %x, clean %v", moves.extranonce1, moves.job.Clean)
	}
	if _, a := moves.mine("a.r", []byte{0, 0, 0, 1}, 0); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
	if sh := s.shelf.all()[3]; sh.Job != two {
		t.Fatalf("share of session %s", sh.Job.Session)
	}
	s.CloseSession("nobody knows it")
	eventually(t, "the other is gone", func() bool { return s.Stats().Ended["session-closed"] == 1 })
	if st := s.Stats(); len(st.Sessions) != 1 || st.Sessions["two"].Slots != 1 {
		t.Fatalf("%+v", st)
	}
}

// TestMoveToAnOlderJob: the session that is left to go to has a job from
// before.
func TestMoveToAnOlderJob(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "one", "1"))
	m := s.dial(t)
	m.ask(stratum.MethodConfigure, `[["subscribe-extranonce"],{}]`)
	m.subscribe()
	m.authorize("a.r", "x")
	m.untilMethod(stratum.MethodNotify)
	small := sheetJob(t, "two", "1")
	small.Extranonce2Bytes = 4
	s.setJob(t, small)
	s.setJob(t, sheetJob(t, "one", "2"))
	m.untilMethod(stratum.MethodNotify)
	s.CloseSession("one")
	m.untilMethod(stratum.MethodNotify)
	if m.size != 2 {
		t.Fatalf("extranonce2 of %d", m.size)
	}
	if _, a := m.mine("a.r", []byte{0, 1}, 0); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
	s.setJob(t, small)
	m.untilMethod(stratum.MethodNotify)
	if _, a := m.mine("a.r", []byte{0, 1}, 1<<20); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
}

// TestExtranonceChangesWithinASession: work from before keeps the old one.
func TestExtranonceChangesWithinASession(t *testing.T) {
	s := open(t, nil)
	s.setJob(t, sheetJob(t, "one", "1"))
	m := s.dial(t)
	m.ask(stratum.MethodExtranonceSubscribe, "[]")
	m.subscribe()
	m.authorize("a.r", "x")
	m.untilMethod(stratum.MethodNotify)
	old, oldNonce := m.job, m.find([]byte{0, 0, 0, 1}, 0, m.job.Version, easy, true)
	changed := func(id string, extranonce1 byte) *upstream.Job {
		j := sheetJob(t, "one", id)
		j.Extranonce1, j.Clean = []byte{extranonce1}, false
		return j
	}
	s.setJob(t, changed("2", 1))
	m.untilMethod(stratum.MethodNotify)
	if _, a := m.mine("a.r", []byte{0, 0, 0, 1}, 0); string(a.Result) != "true" {
		t.Fatalf("new: %s", a.Error)
	}
	if a := m.submit("a.r", old.JobID, []byte{0, 0, 0, 1}, old.NTime, oldNonce); string(a.Result) != "true" {
		t.Fatalf("old: %s", a.Error)
	}
	s.setJob(t, changed("3", 2))
	m.untilMethod(stratum.MethodNotify)
	if a := m.submit("a.r", old.JobID, []byte{0, 0, 0, 2}, old.NTime, oldNonce); a.code() != stratum.CodeStale {
		t.Fatalf("twice changed: %s %s", a.Result, a.Error)
	}
}
