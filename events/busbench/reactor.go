// SPDX-License-Identifier: Apache-2.0

package busbench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/pubsub"
)

// reactorTarget is what a reactor must reach of the raw client.
const reactorTarget = 0.65

func (x *bench) reactor(ctx context.Context) ([]Result, error) {
	const stream, subjects = "BENCH-REACTOR", "ballast-bench.reactor.*"
	drop, err := x.stream(ctx, stream, subjects)
	if err != nil {
		return nil, err
	}
	defer drop()
	payload := make([]byte, PayloadBytes)
	fill := x.rawPublish(func(i int) *nats.Msg {
		return &nats.Msg{
			Subject: "ballast-bench.reactor.k" + string(rune('a'+i%26)), Data: payload,
			Header: nats.Header{events.HeaderCEID: []string{nuid.Next()}},
		}
	})
	if err := fill(ctx); err != nil {
		return nil, err
	}
	raw := func(ctx context.Context) error {
		con, err := x.raw.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
			Durable: "raw-" + nuid.Next(), AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 4000,
		})
		if err != nil {
			return err
		}
		n, done := 0, make(chan error, 1)
		cc, err := con.Consume(func(m jetstream.Msg) {
			if err := m.Ack(); err != nil {
				done <- err
			} else if n++; n == x.Messages {
				done <- nil
			}
		})
		if err != nil {
			return err
		}
		defer cc.Stop()
		select {
		case err := <-done:
			return errors.Join(err, x.b.Conn().FlushTimeout(10*time.Second))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var out []Result
	for _, c := range []struct {
		name string
		cfg  pubsub.SubscriberConfig
	}{
		{"react through the router, unordered", pubsub.SubscriberConfig{Mode: pubsub.Unordered, Window: 2000}},
		{"react through the router, keyed, 64 lanes", pubsub.SubscriberConfig{Mode: pubsub.Keyed, Lanes: 64, Window: 2000}},
	} {
		r, err := x.compare(ctx, c.name, reactorTarget, x.routed(subjects, c.cfg), raw)
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
	return out, nil
}

// routed consumes everything through a Watermill router.
func (x *bench) routed(topic string, cfg pubsub.SubscriberConfig) side {
	return func(ctx context.Context) error {
		cfg.Group = "ours-" + nuid.Next()
		sub, err := pubsub.NewSubscriber(x.b, cfg)
		if err != nil {
			return err
		}
		router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
		if err != nil {
			return err
		}
		router.AddMiddleware(x.Middlewares...)
		var n atomic.Int64
		done := make(chan struct{})
		router.AddConsumerHandler("bench", topic, sub, func(*message.Message) error {
			if n.Add(1) == int64(x.Messages) {
				close(done)
			}
			return nil
		})
		ended := make(chan error, 1)
		go func() { ended <- router.Run(ctx) }()
		select {
		case <-done:
		case err := <-ended:
			return errors.Join(err, errors.New("the router ended early"))
		case <-ctx.Done():
			return ctx.Err()
		}
		// Close waits until the last message is answered.
		if err := router.Close(); err != nil {
			return err
		}
		return <-ended
	}
}
