// SPDX-License-Identifier: Apache-2.0

package server

import (
	"math/big"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum"
)

func TestVardiffLook(t *testing.T) {
	wide := bounds{low: 0, high: 40}
	const aim = 5 * time.Second
	for name, c := range map[string]struct {
		shares  int
		elapsed time.Duration
		from    int
		bounds  bounds
		want    int
	}{
		"as wanted":                  {72, 360 * time.Second, 10, wide, 10},
		"lower edge of leaving":      {72, 719 * time.Second, 10, wide, 10},
		"upper edge of leaving":      {72, 271 * time.Second, 10, wide, 10},
		"twice as fast":              {72, 180 * time.Second, 10, wide, 11},
		"not looked at yet":          {71, 100 * time.Second, 10, wide, 10},
		"not looked at, out of site": {71, 100 * time.Second, 10, bounds{12, 40}, 12},
		"few shares, time is up":     {12, 240 * time.Second, 10, wide, 8},
		"nothing at all":             {0, 240 * time.Second, 20, wide, 14},
		"burst":                      {72, 0, 10, wide, 16},
		"floor":                      {1, 240 * time.Second, 2, wide, 0},
		"ceiling":                    {72, time.Second, 10, bounds{0, 12}, 12},
		"wish above the ceiling":     {72, time.Second, 10, bounds{14, 12}, 14},
		"eight times too slow":       {6, 240 * time.Second, 10, wide, 7},
	} {
		start := newClock().Now()
		var v vardiff
		v.reset(start)
		for range c.shares {
			v.add(levelOf(c.from))
		}
		if got := v.look(start.Add(c.elapsed), levelOf(c.from), aim, c.bounds); got.exponent != c.want {
			t.Errorf("%s: 2^%d, want 2^%d", name, got.exponent, c.want)
		}
	}
}

func TestLevelsAreExact(t *testing.T) {
	for _, l := range levels() {
		d, err := hashengine.ParseDifficulty(l.text)
		if err != nil || d.Cmp(l.exact) != 0 {
			t.Fatalf("2^%d: %s: %v", l.exponent, l.text, err)
		}
		if levelAtLeast(d) != l || levelAtMost(d) != l {
			t.Fatalf("2^%d is not its own level", l.exponent)
		}
		if l.exponent >= 0 && !d.IsInt() {
			t.Fatalf("2^%d is no integer", l.exponent)
		}
	}
	three := big.NewRat(3, 1)
	if levelAtLeast(three).text != "4" || levelAtMost(three).text != "2" {
		t.Fatalf("3: %s and %s", levelAtLeast(three).text, levelAtMost(three).text)
	}
}

// TestVardiffOnAConnection runs a machine of a given speed against a virtual
// clock: its difficulty settles where a share comes as often as wanted.
func TestVardiffOnAConnection(t *testing.T) {
	s := open(t, func(c *Config) { c.ShareInterval = 4 * time.Second })
	job := sheetJob(t, "up-1", "0")
	job.Clean = false
	s.setJob(t, job)
	m := s.start(t, "a.r")
	// 72 shares at twice the speed: the change waits for the next job.
	nonce := uint32(0)
	mine := func(n int, every time.Duration) {
		t.Helper()
		for range n {
			s.clock.advance(every)
			found, a := m.mine("a.r", []byte{0, 0, 0, 1}, nonce)
			if nonce = found + 1; string(a.Result) != "true" {
				t.Fatalf("%s", a.Error)
			}
		}
	}
	mine(lookAfterShares, 2*time.Second)
	if m.difficulty != easy {
		t.Fatalf("changed to %s without a new job", m.difficulty)
	}
	s.setJob(t, job)
	m.untilMethod(stratum.MethodNotify)
	if want := levelOf(-31).text; m.difficulty != want {
		t.Fatalf("difficulty %s, want %s", m.difficulty, want)
	}
	// Eight times too fast: not left to the next job.
	before := *m.job
	mine(lookAfterShares, 500*time.Millisecond) // the notify comes before the last answer
	if want := levelOf(-28).text; m.difficulty != want {
		t.Fatalf("difficulty %s, want %s", m.difficulty, want)
	}
	if m.job.JobID == before.JobID || m.job.NTime <= before.NTime || m.job.Clean {
		t.Fatalf("the renewed job %s of %d, clean %v", m.job.JobID, m.job.NTime, m.job.Clean)
	}
	mine(1, time.Second)
	// Silence: lower, with the first job after 240 s.
	s.clock.advance(lookAfter)
	s.setJob(t, job)
	m.untilMethod(stratum.MethodNotify)
	if m.difficulty == levelOf(-28).text {
		t.Fatalf("still %s after silence", m.difficulty)
	}
	if st := s.Stats(); st.Difficulties != 3 || st.Renewed != 1 {
		t.Fatalf("%d changes, %d renewals", st.Difficulties, st.Renewed)
	}
}

// TestGraceAfterARaise: a job from before a raise keeps its difficulty for two
// jobs more.
func TestGraceAfterARaise(t *testing.T) {
	s := open(t, nil)
	job := sheetJob(t, "up-1", "0")
	job.Clean = false
	s.setJob(t, job)
	m := s.start(t, "a.r")
	old := m.job
	m.ask(stratum.MethodSuggestDifficulty, "[16]")
	m.untilMethod(stratum.MethodNotify) // the first job at 16
	if m.difficulty != "16" {
		t.Fatalf("difficulty %s", m.difficulty)
	}
	en2 := []byte{0, 0, 0, 9}
	m.job = old
	low := m.find(en2, 0, old.Version, easy, true)
	if a := m.submit("a.r", old.JobID, en2, old.NTime, low); string(a.Result) != "true" {
		t.Fatalf("at once: %s", a.Error)
	}
	if sh := s.shelf.all()[0]; sh.Difficulty != easy {
		t.Fatalf("credited %s", sh.Difficulty)
	}
	s.setJob(t, job)
	m.untilMethod(stratum.MethodNotify)
	m.job = old
	next := m.find(en2, low+1, old.Version, easy, true)
	if a := m.submit("a.r", old.JobID, en2, old.NTime, next); string(a.Result) != "true" {
		t.Fatalf("one job later: %s", a.Error)
	}
	s.setJob(t, job)
	m.untilMethod(stratum.MethodNotify)
	m.job = old
	next = m.find(en2, next+1, old.Version, easy, true)
	if a := m.submit("a.r", old.JobID, en2, old.NTime, next); a.code() != stratum.CodeLowDifficulty {
		t.Fatalf("two jobs later: %s %s", a.Result, a.Error)
	}
}

// TestBoundsOfDifficulty: ASICs get integers from 1 on, never more than the
// network's where that is above, and never less than they ask for.
func TestBoundsOfDifficulty(t *testing.T) {
	for name, c := range map[string]struct {
		floor, ceiling, start, suggest, want string
		bits                                 uint32
	}{
		"default start":              {"1", "", "1024", "", "1024", 0x17034219},
		"suggestion rounded up":      {"1", "", "1024", "[1000.5]", "1024", 0x17034219},
		"suggestion below the floor": {"1", "", "1024", "[0.001]", "1", 0x17034219},
		"fraction where wanted":      {"0.0001", "", "1024", "[0.001]", "0.001953125", 0x17034219},
		"text of a number":           {"1", "", "1024", `["5"]`, "8", 0x17034219},
		"ceiling":                    {"1", "4096", "1024", "[1e9]", "4096", 0x17034219},
		"network":                    {"1", "", "1048576", "", "8192", 0x1b0404cb},
		"network of a test chain":    {"1", "", "1024", "", "1", 0x207fffff},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, func(k *Config) { k.MinDifficulty, k.MaxDifficulty, k.StartDifficulty = c.floor, c.ceiling, c.start })
			j := sheetJob(t, "up", "1")
			j.Bits = c.bits
			s.setJob(t, j)
			m := s.dial(t)
			m.subscribe()
			if c.suggest != "" {
				m.ask(stratum.MethodSuggestDifficulty, c.suggest)
			}
			m.authorize("a.b", "x")
			m.untilMethod(stratum.MethodNotify)
			if m.difficulty != c.want {
				t.Fatalf("difficulty %s, want %s", m.difficulty, c.want)
			}
		})
	}
}
