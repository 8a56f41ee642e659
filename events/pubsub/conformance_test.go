// SPDX-License-Identifier: Apache-2.0

package pubsub_test

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events/pubsub"
)

// TestConformance runs Watermill's own suite in every mode, with fewer messages
// under the race detector.
func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     pubsub.SubscriberConfig
		ordered bool
	}{
		"ordered":    {pubsub.SubscriberConfig{Mode: pubsub.Ordered}, true},
		"keyed":      {pubsub.SubscriberConfig{Mode: pubsub.Keyed}, true},
		"unordered":  {pubsub.SubscriberConfig{Mode: pubsub.Unordered}, false},
		"double ack": {pubsub.SubscriberConfig{Mode: pubsub.Unordered, DoubleAck: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := startServer(t)
			make := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
				b := connect(t, s)
				cfg := c.cfg
				cfg.Group = group
				cfg.AckWait = 2 * time.Second
				cfg.CloseTimeout = 50 * time.Millisecond
				cfg.Retry = pubsub.Backoff(0, 0, 0)
				cfg.Initialize = func(ctx context.Context, topic string) error {
					_, err := b.JetStream().CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: topic, Subjects: []string{topic}})
					return err
				}
				sub, err := pubsub.NewSubscriber(b, cfg)
				if err != nil {
					t.Fatal(err)
				}
				return pubsub.NewPublisher(b, pubsub.PublisherConfig{Dedup: true}), sub
			}
			tests.TestPubSub(t, tests.Features{
				ConsumerGroups:                      true,
				GuaranteedOrder:                     c.ordered,
				GuaranteedOrderWithSingleSubscriber: true,
				Persistent:                          true,
				NewSubscriberReceivesOldMessages:    true,
				ForceShort:                          c.cfg.DoubleAck || raceDetector,
			}, func(t *testing.T) (message.Publisher, message.Subscriber) { return make(t, "") }, make)
		})
	}
}
