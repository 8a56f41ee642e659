// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ballast-energy/ballast/events"
)

// finding is the worst finding of a check.
func finding(t testing.TB, h Health, check string) Finding {
	t.Helper()
	var out Finding
	for _, f := range h.Findings {
		if f.Check == check && (out.Check == "" || f.Level == LevelCritical || f.Level == LevelWarning && out.Level == LevelOK) {
			out = f
		}
	}
	if out.Check == "" {
		t.Fatalf("nothing about %q in %+v", check, h.Findings)
	}
	if (out.Level == LevelOK) != (out.Remedy == "") {
		t.Errorf("a remedy belongs to what is not well, and to nothing else: %+v", out)
	}
	return out
}

func TestHealthOfAFreshBus(t *testing.T) {
	c := testConfig(t)
	c.Listen = "127.0.0.1:0"
	b := openTest(t, c)
	h := b.Health(testContext(t))
	for _, check := range []string{"connection", "streams", "store", "clock", "durability", "retention", "disk", "dead letters", "server"} {
		if check == "retention" {
			continue // nothing to say about empty streams
		}
		f := finding(t, h, check)
		t.Log(f.Check, f.Level, f.Message)
		// The disk is that of whoever runs the test.
		if f.Level != LevelOK && check != "disk" {
			t.Errorf("%+v", f)
		}
	}
}

func TestHealthFindsWhatIsWrong(t *testing.T) {
	ctx := testContext(t)
	c := testConfig(t)
	c.Listen = "127.0.0.1:0"
	c.Durability = ProcessCrash
	c.Retention.CommandsAge = time.Hour
	b := openTest(t, c)
	if err := b.js.DeleteStream(ctx, events.StreamShares); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"ballast.demo.deadletter.x", "ballast.demo.command.ramp.x"} {
		if _, err := b.js.Publish(ctx, s, nil); err != nil {
			t.Fatal(err)
		}
	}
	// Seen from another process that wishes for more.
	other := c
	other.URL, other.Listen, other.Durability = b.ClientURL(), "", PowerLoss
	w, err := Open(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	defer closeTest(t, w)
	h := w.Health(ctx)
	for check, want := range map[string]struct {
		level Level
		text  string
	}{
		"streams":      {LevelCritical, "SHARES is missing"},
		"durability":   {LevelWarning, "every second"},
		"dead letters": {LevelWarning, "1, the newest"},
		"retention":    {LevelWarning, "COMMANDS keeps 1h"},
		"clock":        {LevelOK, "ms from ours"},
	} {
		if f := finding(t, h, check); f.Level != want.level || !strings.Contains(f.Message, want.text) {
			t.Errorf("%+v; want %s with %q", f, want.level, want.text)
		}
	}
	if h.Worst() != LevelCritical {
		t.Errorf("worst is %s", h.Worst())
	}
	if len(h.Filling) == 0 {
		t.Error("nothing about how streams fill")
	}
}

// A server that is not ours, with streams of ours.
func TestHealthOfAForeignServer(t *testing.T) {
	ctx := testContext(t)
	srv := foreign(t, nil)
	w, err := Open(ctx, Config{URL: srv.ClientURL(), Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer closeTest(t, w)
	if f := finding(t, w.Health(ctx), "streams"); f.Level != LevelCritical {
		t.Errorf("without streams: %+v", f)
	}
	if err := w.EnsureStreams(ctx); err != nil {
		t.Fatal(err)
	}
	h := w.Health(ctx)
	for check, want := range map[string]Level{"streams": LevelOK, "durability": LevelWarning, "disk": LevelOK, "clock": LevelOK} {
		if f := finding(t, h, check); f.Level != want {
			t.Errorf("%+v; want %s", f, want)
		}
	}
	srv.Shutdown()
	if h := w.Health(ctx); h.Worst() != LevelCritical {
		t.Errorf("a dead bus: %+v", h)
	}
}

// foreign is a server that somebody else started.
func foreign(t testing.TB, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir()}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("server is not ready")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}
