// SPDX-License-Identifier: Apache-2.0

package pubsub_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/pubsub"
)

func subscriber(t testing.TB, b *bus.Bus, cfg pubsub.SubscriberConfig) *pubsub.Subscriber {
	t.Helper()
	s, err := pubsub.NewSubscriber(b, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func publish(t testing.TB, b *bus.Bus, topic string, from, to int) {
	t.Helper()
	var ms []*message.Message
	for i := from; i < to; i++ {
		ms = append(ms, message.NewMessage(fmt.Sprint(i), []byte(fmt.Sprint(i))))
	}
	if err := pubsub.NewPublisher(b, pubsub.PublisherConfig{Dedup: true}).Publish(topic, ms...); err != nil {
		t.Fatal(err)
	}
}

func next(t testing.TB, ch <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, ok := <-ch:
		if !ok {
			t.Fatal("channel closed")
		}
		return m
	case <-time.After(60 * time.Second):
		t.Fatal("no message")
	}
	return nil
}

// A handler slower than AckWait is not overtaken by a redelivery.
func TestSlowHandlerIsInProgress(t *testing.T) {
	// Who is in progress says so three times per AckWait: a machine that does not
	// let it speak for two thirds of that has its messages delivered again.
	const ackWait = 6 * time.Second
	for _, mode := range []pubsub.Mode{pubsub.Ordered, pubsub.Keyed, pubsub.Unordered} {
		t.Run(fmt.Sprint("mode ", mode), func(t *testing.T) {
			t.Parallel()
			b := connect(t, startServer(t))
			stream(t, b, "S", "s.>")
			s := subscriber(t, b, pubsub.SubscriberConfig{Group: "slow", Mode: mode, AckWait: ackWait})
			ch, err := s.Subscribe(context.Background(), "s.>")
			if err != nil {
				t.Fatal(err)
			}
			publish(t, b, "s.x", 0, 3)
			m := next(t, ch)
			// More than an AckWait passes by the server's clock before the answer.
			con, err := b.JetStream().Consumer(deadline(t), "S", "slow@s_all")
			if err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(ackWait * 4 / 3); time.Now().Before(end); <-time.After(ackWait / 30) {
				info, err := con.Info(deadline(t))
				if err != nil {
					t.Fatal(err)
				}
				if info.NumRedelivered > 0 {
					t.Fatalf("mode %d: %d redelivered while in progress", mode, info.NumRedelivered)
				}
			}
			m.Ack()
			for range 2 {
				m := next(t, ch)
				if d, ok := pubsub.DeliveryOf(m); !ok || d.Attempt != 1 || d.Subject != "s.x" || d.Stream != "S" {
					t.Fatalf("mode %d: %+v", mode, d)
				}
				m.Ack()
			}
		})
	}
}

// A message whose attempts are used up is given up, and the next one comes.
func TestRetryLimit(t *testing.T) {
	for _, mode := range []pubsub.Mode{pubsub.Ordered, pubsub.Keyed, pubsub.Unordered} {
		b := connect(t, startServer(t))
		stream(t, b, "S", "s.>")
		s := subscriber(t, b, pubsub.SubscriberConfig{Group: "limit", Mode: mode, Retry: pubsub.Backoff(time.Millisecond, 10*time.Millisecond, 3)})
		ch, err := s.Subscribe(context.Background(), "s.>")
		if err != nil {
			t.Fatal(err)
		}
		publish(t, b, "s.x", 0, 1)
		for want := uint64(1); want <= 3; want++ {
			m := next(t, ch)
			if d, _ := pubsub.DeliveryOf(m); d.Attempt != want || string(m.Payload) != "0" {
				t.Fatalf("mode %d: attempt %d, want %d", mode, d.Attempt, want)
			}
			m.Nack()
		}
		publish(t, b, "s.x", 1, 2)
		if m := next(t, ch); string(m.Payload) != "1" {
			t.Fatalf("mode %d: %s after the last attempt", mode, m.Payload)
		} else {
			m.Ack()
		}
	}
}

// Close waits for the handler, gives back what waits, and leaves nothing
// running; the next instance goes on behind what was answered.
func TestCloseAndContinue(t *testing.T) {
	for _, mode := range []pubsub.Mode{pubsub.Ordered, pubsub.Keyed, pubsub.Unordered} {
		srv := startServer(t)
		b := connect(t, srv)
		stream(t, b, "S", "s.>")
		publish(t, b, "s.x", 0, 100)
		// The server keeps goroutines for the consumer; they are not ours.
		s := subscriber(t, b, pubsub.SubscriberConfig{Group: "c", Mode: mode})
		if _, err := s.Subscribe(context.Background(), "s.>"); err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		before := goleak.IgnoreCurrent()
		s = subscriber(t, b, pubsub.SubscriberConfig{Group: "c", Mode: mode, CloseTimeout: 60 * time.Second})
		ch, err := s.Subscribe(context.Background(), "s.>")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		m := next(t, ch)
		seen[string(m.Payload)] = true
		closed := make(chan struct{})
		go func() { _ = s.Close(); close(closed) }()
		var late sync.WaitGroup
		late.Go(func() { // messages already on their way to us are answered, too
			for m := range ch {
				seen[string(m.Payload)] = true
				m.Ack()
			}
		})
		m.Ack()
		select {
		case <-closed:
		case <-time.After(60 * time.Second):
			t.Fatalf("mode %d: Close hangs", mode)
		}
		late.Wait()
		err = goleak.Find(before) // which looks for half a second only
		for late := time.Now().Add(60 * time.Second); err != nil && time.Now().Before(late); {
			err = goleak.Find(before)
		}
		if err != nil {
			t.Errorf("mode %d: %v", mode, err)
		}
		if _, err := s.Subscribe(context.Background(), "s.>"); err == nil {
			t.Error("subscribed after Close")
		}
		s = subscriber(t, b, pubsub.SubscriberConfig{Group: "c", Mode: mode})
		if ch, err = s.Subscribe(context.Background(), "s.>"); err != nil {
			t.Fatal(err)
		}
		for len(seen) < 100 {
			m := next(t, ch)
			if seen[string(m.Payload)] {
				t.Fatalf("mode %d: %s came again", mode, m.Payload)
			}
			seen[string(m.Payload)] = true
			m.Ack()
		}
	}
}

// The consumer vanishes, the connection breaks: delivery goes on.
func TestSubscriberSurvives(t *testing.T) {
	for _, mode := range []pubsub.Mode{pubsub.Ordered, pubsub.Unordered} {
		b := connect(t, startServer(t))
		stream(t, b, "S", "s.>")
		s := subscriber(t, b, pubsub.SubscriberConfig{Group: "v", Mode: mode, Consumer: func(_ string, c *jetstream.ConsumerConfig) {
			c.DeliverPolicy = jetstream.DeliverNewPolicy
		}})
		ch, err := s.Subscribe(context.Background(), "s.>")
		if err != nil {
			t.Fatal(err)
		}
		publish(t, b, "s.x", 0, 1)
		next(t, ch).Ack()
		if err := b.Conn().ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		for !b.Conn().IsConnected() {
			if err := b.Conn().FlushWithContext(deadline(t)); err != nil {
				t.Log(err)
			}
		}
		publish(t, b, "s.x", 1, 2)
		next(t, ch).Ack()
		if err := b.JetStream().DeleteConsumer(deadline(t), "S", "v@s_all"); err != nil {
			t.Fatal(err)
		}
		late := time.Now().Add(60 * time.Second)
		for i := 2; ; i++ { // what is published before the consumer is back is not its business
			publish(t, b, "s.x", i, i+1)
			select {
			case m := <-ch:
				m.Ack()
			case <-time.After(200 * time.Millisecond):
				if time.Now().After(late) {
					t.Fatal("nothing came after the consumer was deleted")
				}
				continue
			}
			break
		}
	}
}

func TestEventsThroughWatermill(t *testing.T) {
	b := connect(t, startServer(t))
	stream(t, b, "SHARES", "ballast.*.share.rejected.*", "ballast.*.alert.raised.*")
	e := events.New("tx1", "dispatch", &events.AlertRaised{Alert: "a", Severity: events.SeverityWarning, Message: "m", Remedy: "r"})
	e.Causation, e.Time = "cause", time.Unix(1_800_000_000, 0).UTC()
	e.WithID("id-1")
	topic, m, err := pubsub.FromEvent("ballast", e)
	if err != nil || topic != "ballast.tx1.alert.raised.dispatch" || m.UUID != "id-1" {
		t.Fatalf("%s %+v %v", topic, m, err)
	}
	if err := pubsub.NewPublisher(b, pubsub.PublisherConfig{Dedup: true}).Publish(topic, m, m); err != nil {
		t.Fatal(err)
	}
	s := subscriber(t, b, pubsub.SubscriberConfig{})
	ch, err := s.Subscribe(context.WithValue(context.Background(), testKey{}, "v"), "ballast.*.alert.raised.*")
	if err != nil {
		t.Fatal(err)
	}
	got := next(t, ch)
	back, err := pubsub.EventOf(got)
	if err != nil {
		t.Fatal(err)
	}
	if back.ID != "id-1" || back.Causation != "cause" || !back.Time.Equal(e.Time) || back.Sequence != 1 || back.Stream != "SHARES" ||
		back.Data.(*events.AlertRaised).Alert != "a" || back.Arrived.IsZero() {
		t.Fatalf("%+v", back)
	}
	if got.Context().Value(testKey{}) != "v" {
		t.Error("value of the context is lost")
	}
	// Contexts derived from a message's end with its answer.
	ctx, cancel := context.WithCancel(got.Context())
	defer cancel()
	got.Ack()
	select {
	case <-ctx.Done():
	case <-time.After(60 * time.Second):
		t.Fatal("derived context lives on")
	}
	if _, err := pubsub.EventOf(m); err == nil {
		t.Error("a message that was never delivered has an event")
	}
}

type testKey struct{}

func TestSubscriberConfig(t *testing.T) {
	b := connect(t, startServer(t))
	for _, c := range []pubsub.SubscriberConfig{
		{Group: "a.b"}, {Mode: 7}, {Lanes: -1}, {Window: -1}, {AckWait: time.Millisecond},
	} {
		if _, err := pubsub.NewSubscriber(b, c); err == nil {
			t.Errorf("%+v accepted", c)
		}
	}
	if _, err := subscriber(t, b, pubsub.SubscriberConfig{}).Subscribe(context.Background(), "no.stream"); err == nil {
		t.Error("subscribed to nothing")
	}
}
