// SPDX-License-Identifier: Apache-2.0

package pubsub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events/bus"
)

// ErrClosed is returned by a Publisher or Subscriber that was closed.
var ErrClosed = errors.New("pubsub: closed")

// PublisherConfig configures a Publisher. The zero value is usable.
type PublisherConfig struct {
	// Subject maps topic and message to the subject published to; nil means
	// the topic itself.
	Subject func(topic string, m *message.Message) string
	// Dedup asks the server to refuse a second message with the same UUID
	// within the stream's duplicate window. A refused one counts as
	// published.
	Dedup bool
}

// Publisher publishes Watermill messages to the streams of a bus.
type Publisher struct {
	b   *bus.Bus
	cfg PublisherConfig

	mu     sync.RWMutex // held for reading by publishers
	closed bool
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher returns a Publisher on b. It needs nothing but b and may be
// dropped without Close.
func NewPublisher(b *bus.Bus, cfg PublisherConfig) *Publisher {
	return &Publisher{b: b, cfg: cfg}
}

// Publish sends all messages in order and returns when every one is stored. It
// stops waiting when the context of any of them ends. On failure the error is
// a *bus.PublishError that says what is stored.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return ErrClosed
	}
	msgs := make([]*nats.Msg, len(messages))
	for i, m := range messages {
		msgs[i] = p.encode(topic, m)
	}
	ctx, cancel := joinContexts(messages)
	defer cancel()
	if _, err := p.b.PublishMsgs(ctx, msgs...); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	return nil
}

// PublishAsync sends one message and returns the future of its
// acknowledgement, for pipelines that outlast a call.
func (p *Publisher) PublishAsync(topic string, m *message.Message) (*bus.Ack, error) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return nil, ErrClosed
	}
	return p.b.PublishMsgAsync(m.Context(), p.encode(topic, m))
}

func (p *Publisher) encode(topic string, m *message.Message) *nats.Msg {
	subject := topic
	if p.cfg.Subject != nil {
		subject = p.cfg.Subject(topic, m)
	}
	return Encode(subject, m, p.cfg.Dedup)
}

// Close waits for the calls of Publish in progress and refuses later ones. The
// bus stays open. It never fails.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return nil
}

// joinContexts ends when the first of the messages' contexts ends.
func joinContexts(messages []*message.Message) (context.Context, context.CancelFunc) {
	var first context.Context
	var ctx context.Context
	var cancel context.CancelFunc
	var stops []func() bool
	for _, m := range messages {
		c := m.Context()
		if c.Done() == nil || c == first {
			continue
		}
		if first == nil {
			first = c
			continue
		}
		if cancel == nil {
			ctx, cancel = context.WithCancel(first)
		}
		stops = append(stops, context.AfterFunc(c, cancel))
	}
	switch {
	case first == nil:
		return context.Background(), func() {}
	case cancel == nil:
		return first, func() {}
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
