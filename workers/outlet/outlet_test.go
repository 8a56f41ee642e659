// SPDX-License-Identifier: Apache-2.0

package outlet

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

const patience = 60 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openBus runs a bus with its streams.
func openBus(t *testing.T) *bus.Bus {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := bus.Open(ctx, bus.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Durability: bus.ProcessCrash})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = b.Close(ctx)
	})
	if err := b.EnsureStreams(ctx); err != nil {
		t.Fatal(err)
	}
	return b
}

// serve runs an agent, and returns where its statuses arrive.
func serve(t *testing.T, b *bus.Bus, drivers map[string]Driver) *nats.Subscription {
	t.Helper()
	sub, err := b.Conn().SubscribeSync(events.Subject(b.Prefix(), "demo", events.TypeOutletStatus, "pdu-7"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Site: "demo", Controller: "pdu-7", Drivers: drivers}, b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		_ = sub.Unsubscribe() // what is not read holds up the end of the bus
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-a.Ready()
	return sub
}

func next(t *testing.T, sub *nats.Subscription) *events.OutletStatus {
	t.Helper()
	m, err := sub.NextMsg(patience)
	if err != nil {
		t.Fatal(err)
	}
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		t.Fatal(err)
	}
	return e.Data.(*events.OutletStatus)
}

// await skips statuses that are told again, and those that tell nothing new yet.
func await(t *testing.T, sub *nats.Subscription, ok func(*events.OutletStatus) bool) *events.OutletStatus {
	t.Helper()
	s := next(t, sub)
	for !ok(s) {
		s = next(t, sub)
	}
	return s
}

func command(t *testing.T, b *bus.Bus, sequence uint64, off bool) {
	t.Helper()
	now := time.Now().UTC()
	k := &events.CommandOutlet{Decider: "dispatch", Key: events.OrderKey{Epoch: 1, Sequence: sequence}, Controller: "pdu-7", Outlet: "o-1",
		Off: off, Reason: events.OutletNotFollowing, IssuedAt: now, ValidUntil: now.Add(time.Minute)}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Publish(ctx, events.New("demo", "pdu-7", k)); err != nil {
		t.Fatal(err)
	}
}

// TestOffAndOn: a smart PDU is switched off and on by its requests, once per
// command although each comes from the wire and as stored, and an older command
// switches nothing.
func TestOffAndOn(t *testing.T) {
	var log []string
	got := make(chan string, 16)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got <- r.Method + " " + r.URL.Path + " " + string(b) + " " + r.Header.Get("Authorization")
		w.WriteHeader(http.StatusAccepted)
	}))
	defer srv.Close()
	b := openBus(t)
	sub := serve(t, b, map[string]Driver{"o-1": &HTTP{
		Off: Request{Method: "PUT", URL: srv.URL + "/outlet/1", Body: "off", Header: map[string]string{"Authorization": "Bearer x"}, Status: []int{202}},
		On:  Request{URL: srv.URL + "/outlet/1/on"}, Timeout: patience, Within: patience,
	}})
	command(t, b, 5, true)
	if s := await(t, sub, func(s *events.OutletStatus) bool { return s.Applied != nil }); s.State != events.OutletOff || s.Error != "" || s.Applied.Sequence != 5 {
		t.Fatalf("%+v", s)
	}
	command(t, b, 4, false) // older
	command(t, b, 6, false)
	for s := next(t, sub); s.State != events.OutletOn; s = next(t, sub) {
		if s.Applied == nil || s.Applied.Sequence != 5 {
			t.Fatalf("%+v", s)
		}
	}
	for len(got) > 0 {
		log = append(log, <-got)
	}
	if want := "PUT /outlet/1 off Bearer x|POST /outlet/1/on  "; strings.Join(log, "|") != want {
		t.Errorf("requests %q, want %q", strings.Join(log, "|"), want)
	}
}

// TestADeviceThatRefusesIsTriedAgain until it takes the request, or the time is
// over: what it answered last is the error then.
func TestADeviceThatRefusesIsTriedAgain(t *testing.T) {
	var tries atomic.Int64
	third := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if tries.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else if r.URL.Path == "/hangs" {
			close(third)
			<-r.Context().Done()
		}
	}))
	defer srv.Close()
	h := &HTTP{Off: Request{URL: srv.URL + "/hangs"}, On: Request{URL: srv.URL}, Timeout: patience, Within: patience}
	if err := h.Switch(t.Context(), false); err != nil || tries.Load() != 3 {
		t.Errorf("%d tries, %v", tries.Load(), err)
	}
	tries.Store(0)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-third; cancel() }()
	if err := h.Switch(ctx, true); err == nil || !strings.Contains(err.Error(), "503 Service Unavailable (3 tries)") {
		t.Errorf("%v", err)
	}
}

// scripted is a driver that does what it is told.
type scripted struct{ err atomic.Pointer[error] }

func (s *scripted) Switch(context.Context, bool) error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

// TestFailureIsTold, and a newer command is carried out.
func TestFailureIsTold(t *testing.T) {
	refusal := errors.New("the device answers 503 Service Unavailable")
	d := &scripted{}
	d.err.Store(&refusal)
	b := openBus(t)
	sub := serve(t, b, map[string]Driver{"o-1": d})
	command(t, b, 1, true)
	if s := await(t, sub, func(s *events.OutletStatus) bool { return s.Error != "" }); s.State != events.OutletUnknown || s.Applied != nil || !strings.Contains(s.Error, "503 Service Unavailable") {
		t.Fatalf("%+v", s)
	}
	d.err.Store(nil)
	command(t, b, 2, true)
	if s := await(t, sub, func(s *events.OutletStatus) bool { return s.Applied != nil }); s.State != events.OutletOff || s.Error != "" || s.Applied.Sequence != 2 {
		t.Fatalf("%+v", s)
	}
}

// TestOnNeedsStorage: an order to switch on that was not stored switches nothing.
func TestOnNeedsStorage(t *testing.T) {
	b := openBus(t)
	a, err := New(Config{Site: "demo", Controller: "pdu-7", Drivers: map[string]Driver{"o-1": &Command{Off: []string{"x"}, On: []string{"x"}}}}, b)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	k := &events.CommandOutlet{Decider: "dispatch", Key: events.OrderKey{Epoch: 1, Sequence: 1}, Controller: "pdu-7", Outlet: "o-1",
		Reason: events.OutletOperator, IssuedAt: now, ValidUntil: now.Add(time.Minute)}
	for _, tt := range []struct {
		what, subject string
		off           bool
		until         time.Time
		obeyed        bool
	}{
		{"on from the wire", a.subject, false, now.Add(time.Minute), false},
		{"on as stored, too late", a.stored, false, now.Add(-time.Minute), false},
		{"off from the wire, late", a.subject, true, now.Add(-time.Minute), true},
		{"on as stored", a.stored, false, now.Add(time.Minute), true},
	} {
		k.Key.Sequence++
		k.Off, k.ValidUntil, k.IssuedAt = tt.off, tt.until, tt.until.Add(-time.Second)
		body, err := events.AppendPayload(nil, k)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.accept(&nats.Msg{Subject: tt.subject, Data: body}); (got != nil) != tt.obeyed {
			t.Errorf("%s: obeyed %v", tt.what, got != nil)
		}
	}
}

func TestCommandDriver(t *testing.T) {
	dir := t.TempDir()
	mark := filepath.Join(dir, "$(touch injected)")
	c := &Command{Off: []string{"touch", mark}, On: []string{"rm", mark}}
	if err := errors.Join(c.Validate(), c.Switch(context.Background(), true)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("the argument was not taken as it is: %v", err)
	}
	if err := c.Switch(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	if err := c.Switch(context.Background(), false); err == nil || !strings.Contains(err.Error(), "rm: ") {
		t.Errorf("the failure of a program is not told: %v", err)
	}
	slow := &Command{Off: []string{"sleep", "60"}, On: []string{"sleep", "60"}, Timeout: 50 * time.Millisecond}
	if err := slow.Switch(context.Background(), true); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a program that hangs: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for name, err := range map[string]error{
		"no host":    (&HTTP{Off: Request{URL: "http://"}, On: Request{URL: "http://x"}}).Validate(),
		"scheme":     (&HTTP{Off: Request{URL: "ftp://x"}, On: Request{URL: "http://x"}}).Validate(),
		"status":     (&HTTP{Off: Request{URL: "http://x", Status: []int{7}}, On: Request{URL: "http://x"}}).Validate(),
		"no program": (&Command{On: []string{"x"}}).Validate(),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
