// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
)

func TestOneProcessOwnsADirectory(t *testing.T) {
	c := testConfig(t)
	b := openTest(t, c)
	if _, err := Open(testContext(t), c); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("second server on one directory: %v", err)
	}
	closeTest(t, b)
	openTest(t, c)
}

func TestFailedStartLeavesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c := testConfig(t)
	c.Logger = nil
	c.Listen = l.Addr().String()
	if _, err := Open(testContext(t), c); !errors.Is(err, ErrInUse) {
		t.Errorf("taken port: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c.Listen = ""
	if _, err := Open(ctx, c); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	openTest(t, c) // the directory is free
}

// A server within the process answers when it gets a processor: how long that
// may take is the caller's to say, not the limit of a line to somewhere else.
func TestTheServerWithinIsWaitedForAsLongAsTheCallerDoes(t *testing.T) {
	c := testConfig(t)
	c.ConnectTimeout = 1
	openTest(t, c)
}

func TestNobodyThere(t *testing.T) {
	_, err := Open(testContext(t), Config{URL: "nats://127.0.0.1:1", ConnectTimeout: time.Second})
	if !errors.Is(err, nats.ErrNoServers) || !strings.Contains(err.Error(), "ballast up") {
		t.Errorf("%v", err)
	}
}

func TestCloseWaitsForWhatIsUnderWay(t *testing.T) {
	ctx := testContext(t)
	c := testConfig(t)
	b := openTest(t, c)
	const n = 2000
	for i := range n {
		if _, err := b.js.PublishAsync(fmt.Sprintf("ballast.demo.meter.reading.m-%d", i%7), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	closeTest(t, b)
	select {
	case <-b.Done():
	default:
		t.Error("closed, and not done")
	}
	closeTest(t, b) // again
	b = openTest(t, c)
	s, err := b.js.Stream(ctx, "JOURNAL")
	if err != nil || s.CachedInfo().State.Msgs != n {
		t.Errorf("%d of %d readings are there, %v", s.CachedInfo().State.Msgs, n, err)
	}
}

func TestCloseIsBoundedByItsContext(t *testing.T) {
	b := openTest(t, testConfig(t))
	// Unread messages hold a drain up.
	if _, err := b.nc.SubscribeSync("x"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.nc.Publish("x", nil), b.nc.Flush()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	<-b.Done()
	// What goes on in the background ends by itself; wait for it so that the
	// directory can be removed.
	b.server.WaitForShutdown()
	deadline := time.Now().Add(patience)
	for {
		l, err := lockDir(b.cfg.DataDir)
		if err == nil {
			_ = l.release()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	b.closeErr = nil // seen; the cleanup closes again
}

func TestDial(t *testing.T) {
	ctx := testContext(t)
	c := testConfig(t)
	c.Listen = "127.0.0.1:0"
	b := openTest(t, c)
	const n = 50
	conns := make([]*Bus, n)
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() {
			creds := Credentials{}
			if i%2 == 0 {
				creds.JoinToken = mint(t, b, Grant{Role: RoleWorker, ID: fmt.Sprintf("rig-%d", i), Site: "demo"}).String()
			}
			w, err := b.Dial(ctx, fmt.Sprintf("rig-%d", i), creds)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := w.js.Publish(ctx, fmt.Sprintf("ballast.demo.worker.status.rig-%d", i), []byte("{}")); err != nil {
				t.Error(err)
			}
			conns[i] = w
		})
	}
	wg.Wait()
	if got := b.server.NumClients(); got != n+1 {
		t.Errorf("%d connections, want %d", got, n+1)
	}
	for _, w := range conns {
		if w != nil {
			closeTest(t, w)
		}
	}
	if _, err := b.js.Publish(ctx, "ballast.demo.worker.status.x", nil); err != nil {
		t.Errorf("closing a dialled connection hurt the bus: %v", err)
	}
}

func TestTooLargeIsRefused(t *testing.T) {
	c := testConfig(t)
	c.MaxPayload = 4096
	b := openTest(t, c)
	if err := b.nc.Publish("ballast.demo.meter.reading.x", make([]byte, 4097)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("%v", err)
	}
}

func TestCloseLeavesNoGoroutines(t *testing.T) {
	before := goleak.IgnoreCurrent()
	c := testConfig(t)
	c.Logger = nil
	c.Listen = "127.0.0.1:0"
	ctx := testContext(t)
	b, err := Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.Dial(ctx, "other", Credentials{JoinToken: mint(t, b, Grant{Role: RoleViewer, ID: "wall"}).String()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.nc.Subscribe("ballast.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	journal(t, b, 3)
	closeTest(t, w)
	closeTest(t, b)
	// It looks for half a second only.
	for late := time.Now().Add(patience); goleak.Find(before) != nil && time.Now().Before(late); {
		continue
	}
	goleak.VerifyNone(t, before)
}

func TestWhereOthersReachTheBus(t *testing.T) {
	ctx := testContext(t)
	inside := openTest(t, testConfig(t))
	if u, us := inside.ClientURL(), inside.JoinURLs(); u != "" || us != nil {
		t.Errorf("inside one process: %q, %v", u, us)
	}
	c := testConfig(t)
	c.Listen, c.Secure = "0.0.0.0:0", true
	b := openTest(t, c)
	for _, u := range append(b.JoinURLs(), b.ClientURL()) {
		if strings.Contains(u, "0.0.0.0") {
			t.Errorf("nobody can dial %s", u)
		}
	}
	tok, err := b.Authority().Mint(Grant{Role: RoleViewer, ID: "wall", Servers: append(b.JoinURLs(), b.ClientURL())})
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(ctx, Config{Credentials: Credentials{JoinToken: tok.String()}})
	if err != nil {
		t.Fatal(err)
	}
	if us := w.JoinURLs(); len(us) != 1 {
		t.Errorf("from a client: %v", us)
	}
	closeTest(t, w)
	c = testConfig(t)
	c.Listen, c.Secure, c.Advertise = "127.0.0.1:0", true, "bus.example:4222"
	if us := openTest(t, c).JoinURLs(); len(us) != 1 || us[0] != "nats://bus.example:4222" {
		t.Errorf("advertised: %v", us)
	}
}
