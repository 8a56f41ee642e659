// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// testConfig is a fresh embedded server without a port.
// patience bounds what must come; it passes only when something is wrong.
const patience = 60 * time.Second

func testConfig(t testing.TB) Config {
	t.Helper()
	return Config{DataDir: t.TempDir(), Name: "test", Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	w.t.Log(string(p))
	return len(p), nil
}

// openTest opens a bus and closes it with the test.
func openTest(t testing.TB, c Config) *Bus {
	t.Helper()
	b, err := Open(testContext(t), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeTest(t, b) })
	return b
}

func closeTest(t testing.TB, b *Bus) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience) // for a whole test
	t.Cleanup(cancel)
	return ctx
}

func TestOpenAgainTakesAnEpoch(t *testing.T) {
	ctx := testContext(t)
	c := testConfig(t)
	b := openTest(t, c)
	if _, err := b.OpenEpoch(ctx, "demo", "here", "site added", 0); err != nil {
		t.Fatal(err)
	}
	for want := uint64(1); want < 4; want++ {
		e, err := b.CurrentEpoch(ctx, "demo")
		if err != nil || e.Epoch != want {
			t.Fatalf("epoch %d, %v; want %d", e.Epoch, err, want)
		}
		if drift, err := b.CheckStreams(ctx); err != nil || len(drift) != 0 {
			t.Fatalf("drift %v, %v", drift, err)
		}
		closeTest(t, b)
		b = openTest(t, c)
	}
	if e, err := b.CurrentEpoch(ctx, "nowhere"); err != nil || e != (events.JournalOpened{}) {
		t.Fatalf("%v, %v", e, err)
	}
}
