// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// rig is a bare server with the streams that the tests of publishing and
// reading need, and a Bus on it.
type rig struct {
	*Bus
	dir  string
	port int
	srv  *server.Server
}

func newRig(t testing.TB) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), port: steadyPort(t)}
	r.start(t)
	nc, err := nats.Connect(r.srv.ClientURL(), nats.Timeout(patience), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	r.Bus = &Bus{nc: nc, js: js, prefix: "ballast"}
	t.Cleanup(func() {
		nc.Close()
		r.srv.Shutdown()
		r.srv.WaitForShutdown()
	})
	r.stream(t, events.StreamInputs)
	r.stream(t, events.StreamJournal)
	r.stream(t, events.StreamCommands)
	return r
}

// steadyPort is one that nobody listens on just now, and none of those that the
// system gives out by itself: such a one may be somebody else's before it is
// listened on (again).
func steadyPort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		if _, taken := ports.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// ports given out by steadyPort.
var ports sync.Map

// start starts the server, always on the same port.
func (r *rig) start(t testing.TB) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		JetStream: true, StoreDir: r.dir, Host: "127.0.0.1", Port: r.port, NoSigs: true, NoLog: true,
		MaxPayload: 32 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("server did not start")
	}
	r.srv = s
}

func (r *rig) stream(t testing.TB, name string) {
	t.Helper()
	var subjects []string
	for _, i := range events.Types() {
		if i.Stream == name {
			subjects = append(subjects, fmt.Sprintf("ballast.*.%s.*", i.Type))
		}
		if name == events.StreamJournal && i.Relayed {
			subjects = append(subjects, fmt.Sprintf("ballast.*.journal.%s.*", i.Type))
		}
	}
	cfg := jetstream.StreamConfig{Name: name, Subjects: subjects, AllowDirect: true}
	switch name {
	case events.StreamCommands:
		cfg.Subjects = append(cfg.Subjects, "ballast.*.command.broadcast")
		cfg.AllowAtomicPublish = true
		cfg.RePublish = &jetstream.RePublish{Source: "ballast.*.command.>", Destination: "ballast.{{wildcard(1)}}.stored.command.>"}
	case events.StreamJournal:
		cfg.PersistMode = jetstream.AsyncPersistMode
	}
	if _, err := r.js.CreateOrUpdateStream(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
}

func deadline(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience) // for a whole test
	t.Cleanup(cancel)
	return ctx
}

func reading(i int) *events.Event {
	return events.New("tx1", "feeder-a", &events.MeterReading{
		PowerWatts: int64(i), SampledAt: time.Unix(1_800_000_000+int64(i), 0).UTC(), Quality: events.QualityGood,
	})
}

func alert(id string) *events.Event {
	return events.New("tx1", "dispatch", &events.AlertRaised{Alert: "test", Severity: events.SeverityWarning, Message: "a test", Remedy: "none"}).WithID(id)
}
