// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"
)

// quick makes tries follow each other at once.
var quick = Timing{FirstPause: 2 * time.Millisecond, LongestPause: 10 * time.Millisecond, Probe: 10 * time.Millisecond}

// expect hears what begins and goes on as wanted, skipping what may come any
// number of times.
func (r *recorder) expect(t *testing.T, want, skip string) string {
	t.Helper()
	for {
		got := r.next(t)
		if strings.Contains(got, want) {
			return got
		}
		if skip == "" || !strings.Contains(got, skip) {
			t.Fatalf("heard %q, want %q", got, want)
		}
	}
}

func somePort() string { return fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)) }

func TestFailoverAndReturn(t *testing.T) {
	primary, backup := newPool(t), newPool(t)
	// None of the ports that the system gives out by itself: such a one may be
	// somebody else's before the primary is there again.
	primary.l.Close()
	var err error
	for range 1000 {
		if primary.l, err = net.Listen("tcp", somePort()); err == nil {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	address := primary.l.Addr().String()
	primary.l.Close()
	_, sink := running(t, Config{Pool: "test", URLs: []string{primary.url(), backup.url()}, Timing: quick})

	backup.greet()
	for range failuresPerEndpoint {
		sink.expect(t, "trouble pool stratum+tcp://"+address, "")
	}
	sink.expect(t, "opened mask=1fffe000 primary=false", "")
	backup.say(notify("b1"))
	sink.expect(t, "job b1", "")
	first := <-sink.opens

	// The primary is there again, and at first turns the probe away.
	if primary.l, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	probe := func(answer string) {
		primary.accept()
		for _, want := range []string{`{"id":1,"method":"mining.subscribe","params":["ballast/1.0"]}`, `{"id":2,"method":"mining.authorize","params":["acct.rig1","secret"]}`, `{"id":3,"method":"mining.suggest_difficulty","params":[1024]}`} {
			if got := primary.hear(); got != want {
				t.Fatalf("the probe says %s", got)
			}
		}
		primary.say(answer)
	}
	probe(`{"id":1,"result":[[],"a511026b",8],"error":null}` + "\n" + `{"id":2,"result":false,"error":[24,"no such account",null]}` + "\n")
	// Then it lets it in, and has no work: nothing tells that from a pool that
	// is slow, so the probe waits until the pool hangs up or its time is over.
	probe(`{"id":1,"result":[[],"a511026b",8],"error":null}` + "\n" + `{"id":2,"result":true,"error":null}` + "\n" + `{"id":null,"method":"mining.notify","params":["no job"]}` + "\n")
	probe(`{"id":3,"result":null,"error":[20,"Not supported",null]}` + "\n" + notify("p0") + `{"id":2,"result":true,"error":null}` + "\n" + `{"id":1,"result":[[],"a511026b",8],"error":null}` + "\n")
	primary.greet()
	sink.expect(t, "closed pool stratum+tcp://"+address+" is back and preferred", "")
	sink.expect(t, "opened mask=1fffe000 primary=true", "")
	if second := <-sink.opens; second.ID == first.ID || second.Address != "stratum+tcp://"+address || first.Address == second.Address {
		t.Errorf("sessions %+v and %+v", first, second)
	}
}

func TestFailoverGoesRound(t *testing.T) {
	one, two := newPool(t), newPool(t)
	_, sink := running(t, Config{Pool: "test", URLs: []string{one.url(), two.url()}, Timing: quick})
	for _, p := range []*pool{one, two, one} {
		for range failuresPerEndpoint {
			p.accept()
			p.hangUp()
			sink.expect(t, "trouble pool stratum+tcp://"+p.l.Addr().String(), "")
		}
	}
}

func TestReconnectToAnAllowedHost(t *testing.T) {
	here, there := newPool(t), newPool(t)
	_, port, err := net.SplitHostPort(there.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, sink := running(t, Config{Pool: "test", URLs: []string{here.url()}, ReconnectHosts: []string{"LocalHost"}, Timing: quick})
	here.greet()
	sink.expect(t, "opened", "")
	here.say(`{"id":null,"method":"client.reconnect","params":["localhost","` + port + `",0]}` + "\n")
	sink.expect(t, "closed pool stratum+tcp://"+here.l.Addr().String()+" sent us to stratum+tcp://localhost:"+port, "")
	there.greet()
	sink.expect(t, "opened mask=1fffe000 primary=false", "trouble") // localhost may be ::1 first
	there.hangUp()
	sink.expect(t, "closed", "")
	here.greet() // what the configuration says counts again
	sink.expect(t, "opened mask=1fffe000 primary=true", "")
}

func TestPausesHaveFullJitter(t *testing.T) {
	timing, err := Timing{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	limits := []int{1, 2, 4, 8, 16, 32, 60, 60, 60}
	low, high := make([]time.Duration, len(limits)), make([]time.Duration, len(limits))
	seconds := func(n int) time.Duration { return time.Duration(n) * time.Second }
	for range 2000 {
		b := fullJitter(timing)
		for i, most := range limits {
			d := b.NextBackOff()
			if d < 0 || d > seconds(most)+time.Millisecond {
				t.Fatalf("pause %d is %s, want 0 to %ds", i, d, most)
			}
			if low[i] == 0 || d < low[i] {
				low[i] = d
			}
			high[i] = max(high[i], d)
		}
	}
	for i, most := range limits {
		if low[i] > seconds(most)/20 || high[i] < seconds(19*most)/20 {
			t.Errorf("pause %d is spread over %s to %s only", i, low[i], high[i])
		}
	}
}

func TestRunOnce(t *testing.T) {
	p := newPool(t)
	c, _ := running(t, Config{Pool: "test", URLs: []string{p.url()}, Timing: quick})
	p.accept()
	if err := c.Run(context.Background(), newRecorder()); err == nil {
		t.Error("ran twice")
	}
}
