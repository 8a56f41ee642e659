// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/workers/upstream"
)

// answer takes the client's next line, which must be of a method, and replies.
func (p *pool) answer(method, result string) {
	p.t.Helper()
	line := p.hear()
	var m struct {
		ID     uint64 `json:"id"`
		Method string `json:"method"`
	}
	if err := json.Unmarshal([]byte(line), &m); err != nil || m.Method != method {
		p.t.Fatalf("the client says %s, want %s; %v", line, method, err)
	}
	p.say(fmt.Sprintf(`{"id":%d,%s}`+"\n", m.ID, result))
}

const (
	yes          = `"result":true,"error":null`
	unauthorised = `"result":null,"error":[24,"Unauthorized worker",null]`
)

// quiet fails if somebody has connected.
func (p *pool) quiet() {
	p.t.Helper()
	if err := p.l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		p.t.Fatal(err)
	}
	if c, err := p.l.Accept(); err == nil {
		c.Close()
		p.t.Error("the pool that refuses the account is not left alone")
	}
}

// causes is a recorder that keeps the errors.
type causes struct {
	*recorder
	got chan error
}

func (c *causes) Closed(id string, cause error) {
	c.got <- cause
	c.recorder.Closed(id, cause)
}

func TestAPoolThatRefusesTheAccountIsLeftForTheNext(t *testing.T) {
	first, second := newPool(t), newPool(t)
	timing := Timing{FirstPause: time.Millisecond, LongestPause: time.Hour, Probe: time.Millisecond}
	c, err := New(Config{Pool: "test", URLs: []string{first.url(), second.url()}, Timing: timing})
	if err != nil {
		t.Fatal(err)
	}
	sink := &causes{newRecorder(), make(chan error, 10)}
	t.Cleanup(start(t, c, sink))
	first.greet()
	first.say(notify("1"))
	sink.expect(t, "opened", "")
	sink.expect(t, "job 1", "")
	j, y := <-sink.jobs, newTally()
	c.Submit(share(j, 1, j.Version), y.done(1))
	first.answer("mining.submit", unauthorised)
	first.answer("mining.authorize", yes)
	first.say(notify("2"))
	sink.expect(t, "job 2", "") // the reply before it is read
	c.Submit(share(j, 2, j.Version), y.done(2))
	first.answer("mining.submit", unauthorised)
	sink.expect(t, "closed pool stratum+tcp://"+first.l.Addr().String()+" refuses shares of worker acct.rig1: Unauthorized worker (code 24)", "")
	var account *upstream.AccountError
	if cause := <-sink.got; !errors.As(cause, &account) || account.Address != "stratum+tcp://"+first.l.Addr().String() {
		t.Errorf("%v", cause)
	}
	second.greet()
	second.say(notify("3"))
	sink.expect(t, "opened mask=1fffe000 primary=false", "")
	sink.expect(t, "job 3", "")
	<-sink.jobs
	j = <-sink.jobs
	for n := range uint32(50) {
		c.Submit(share(j, 10+n, j.Version), y.done(10+n))
		second.answer("mining.submit", yes)
		y.wait(t, 3+int(n))
	}
	first.quiet()
	for n, vs := range y.got {
		if len(vs) != 1 || (n >= 10) != (vs[0].State == upstream.Accepted) {
			t.Errorf("share %d: %+v", n, vs)
		}
	}
}

// TestThePoolIsAskedAgainAfterARest: somebody may have mended the account.
func TestThePoolIsAskedAgainAfterARest(t *testing.T) {
	p := newPool(t)
	_, sink := running(t, Config{Pool: "test", URLs: []string{p.url()}, Timing: quick})
	for range 3 {
		p.accept()
		for _, said := range hello[:3] {
			if p.hear() != said {
				t.Fatal("another beginning")
			}
		}
		p.say(`{"id":2,"result":[[],"a511026b",8],"error":null}` + "\n" + `{"id":3,"result":false,"error":null}` + "\n")
		p.hear()
		p.answer("mining.authorize", `"result":null,"error":[24,"no such account",null]`)
		sink.expect(t, "refused worker acct.rig1", "")
	}
	p.greet()
	sink.expect(t, "opened", "")
}

func TestRestsGrow(t *testing.T) {
	timing, err := Timing{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_800_000_000, 0)
	var e endpoint
	for i, minutes := range []int{1, 2, 4, 8, 15, 15, 15} {
		e.judge(ending{refused: true, barred: true}, timing, now)
		if got := e.restUntil.Sub(now); got != time.Duration(minutes)*time.Minute {
			t.Errorf("rest %d: %s", i, got)
		}
		e.judge(ending{settled: true}, timing, now) // no share was taken
	}
	e.judge(ending{paid: true, barred: true}, timing, now)
	if got := e.restUntil.Sub(now); got != time.Minute {
		t.Errorf("after shares were taken: %s", got)
	}
	if _, err := (Timing{Rest: time.Second}).withDefaults(); err == nil {
		t.Error("a rest below the longest pause")
	}
}

func TestWhoIsAwake(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	c := &Client{}
	for _, rest := range []time.Duration{time.Minute, 0, -time.Second, time.Second} {
		c.endpoints = append(c.endpoints, &endpoint{restUntil: now.Add(rest)})
	}
	for at, want := range []int{1, 1, 2, 1} {
		if next, rest := c.awake(at, now); next != want || rest != 0 {
			t.Errorf("from %d: %d in %s", at, next, rest)
		}
	}
	c.endpoints[1].restUntil, c.endpoints[2].restUntil = now.Add(time.Hour), now.Add(time.Hour)
	if next, rest := c.awake(0, now); next != 3 || rest != time.Second {
		t.Errorf("%d in %s", next, rest)
	}
}

// TestAPoolForgetsUsAgain: one that has taken shares for a while since is asked
// once more; one that has not is done with.
func TestAPoolForgetsUsAgain(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		name  string
		taken time.Duration // of the reauthorisation, 0 for none
		later time.Duration
		again bool
	}{
		{"took shares for long", time.Minute, time.Hour, true}, {"took one, a moment ago", time.Second, 2 * time.Second, false}, {"took none", 0, time.Hour, false},
	} {
		s, _ := bare(t, &torn{})
		s.open(at)
		s.reauthorised, s.asking = at, false
		if c.taken != 0 {
			s.taken = at.Add(c.taken)
		}
		s.unauthorised(at.Add(c.later), upstream.Verdict{Detail: "x"})
		if s.asking != c.again || s.ended == c.again {
			t.Errorf("%s: asked again %v, ended %v", c.name, s.asking, s.ended)
		}
		if !c.again && (!s.outcome.barred || !strings.Contains(s.cause.Error(), "refuses shares")) {
			t.Errorf("%s: %v", c.name, s.cause)
		}
	}
}
