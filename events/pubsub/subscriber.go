// SPDX-License-Identifier: Apache-2.0

package pubsub

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/events/bus"
)

// Mode is how a Subscriber orders the messages of one subscription.
type Mode int

// Modes; see the package documentation.
const (
	// Ordered: one message at a time.
	Ordered Mode = iota
	// Keyed: in parallel, but one at a time per key.
	Keyed
	// Unordered: in parallel.
	Unordered
)

// Retry says what becomes of a message after its attempt-th failure (from 1):
// the delay before the next try, or no more tries: the server is told never to
// deliver it again.
type Retry func(attempt uint64) (delay time.Duration, again bool)

// Backoff is a Retry that doubles the delay from first up to most and gives up
// after limit attempts; 0 means never.
func Backoff(first, most time.Duration, limit uint64) Retry {
	return func(attempt uint64) (time.Duration, bool) {
		if limit > 0 && attempt >= limit {
			return 0, false
		}
		d := most
		if attempt >= 1 && attempt <= 32 {
			if s := first << (attempt - 1); s >= first {
				d = min(s, most)
			}
		}
		return d, true
	}
}

// SubscriberConfig configures a Subscriber. The zero value is usable.
type SubscriberConfig struct {
	// Group names the durable position that outlives the Subscriber, together
	// with the topic; [a-zA-Z0-9_-]. Empty: every subscription starts at the
	// oldest message and is forgotten five minutes after its end.
	Group string
	// Mode orders.
	Mode Mode
	// Lanes is how many messages are handled at once in Keyed mode, default
	// 16. Keys share lanes.
	Lanes int
	// Key picks the key in Keyed mode; nil means the subject.
	Key func(*nats.Msg) string
	// Window is the most messages held from the server at a time: those
	// handled and those waiting for their turn. In Unordered mode all of them
	// are handled at once. Default 256.
	Window int
	// Retry after a negative acknowledgement; nil means Backoff(100 ms, 30 s,
	// never giving up).
	Retry Retry
	// AckWait is how long the server waits for an answer before it delivers
	// again, default 30 s. Messages held are announced as in progress three
	// times per AckWait, so a slow handler is never overtaken by its own
	// redelivery; only the death of the process is.
	AckWait time.Duration
	// DoubleAck waits for the server to confirm every acknowledgement. A
	// message is then not delivered again because its acknowledgement was
	// lost; it costs a round trip.
	DoubleAck bool
	// CloseTimeout is how long the end of a subscription waits for messages
	// being handled, default 5 s. What is not answered then is delivered again
	// after AckWait.
	CloseTimeout time.Duration
	// Consumer, when not nil, may change the configuration of the consumer of
	// a topic before it is created: where to start, several filters. Leave
	// acknowledgement and limits of delivery as they are.
	Consumer func(topic string, c *jetstream.ConsumerConfig)
	// Initialize, when not nil, is called by SubscribeInitialize to create
	// what a topic needs.
	Initialize func(ctx context.Context, topic string) error
	// Logger hears of failures; nil means nobody does.
	Logger watermill.LoggerAdapter
	// Registerer takes the metrics ballast_subscriber_*; nil means none.
	Registerer prometheus.Registerer
}

func (c SubscriberConfig) withDefaults() SubscriberConfig {
	if c.Lanes == 0 {
		c.Lanes = 16
	}
	if c.Mode == Ordered {
		c.Lanes = 1
	}
	if c.Key == nil {
		c.Key = func(m *nats.Msg) string { return m.Subject }
	}
	if c.Window == 0 {
		c.Window = 256
	}
	if c.Retry == nil {
		c.Retry = Backoff(100*time.Millisecond, 30*time.Second, 0)
	}
	if c.AckWait == 0 {
		c.AckWait = 30 * time.Second
	}
	if c.CloseTimeout == 0 {
		c.CloseTimeout = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = watermill.NopLogger{}
	}
	return c
}

func (c SubscriberConfig) check() error {
	for _, r := range c.Group {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' {
			return fmt.Errorf("pubsub: group %q holds %q: use letters, digits, - and _ only", c.Group, r)
		}
	}
	switch {
	case c.Mode < Ordered || c.Mode > Unordered:
		return fmt.Errorf("pubsub: unknown mode %d", c.Mode)
	case c.Lanes < 0 || c.Window < 0:
		return errors.New("pubsub: lanes and window cannot be negative")
	case c.AckWait < 0 || c.AckWait > 0 && c.AckWait < 100*time.Millisecond:
		return fmt.Errorf("pubsub: an AckWait of %s is below 100 ms", c.AckWait)
	}
	return nil
}

// Subscriber delivers messages of streams to Watermill.
type Subscriber struct {
	b       *bus.Bus
	cfg     SubscriberConfig
	metrics *metrics

	mu     sync.Mutex
	closed bool
	open   map[*subscription]struct{}
	wg     sync.WaitGroup
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)

// NewSubscriber checks cfg and returns a Subscriber on b.
func NewSubscriber(b *bus.Bus, cfg SubscriberConfig) (*Subscriber, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	return &Subscriber{b: b, cfg: cfg, metrics: m, open: make(map[*subscription]struct{})}, nil
}

// SubscribeInitialize implements message.SubscribeInitializer.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	if s.cfg.Initialize == nil {
		return nil
	}
	return s.cfg.Initialize(context.Background(), topic)
}

// Subscribe starts to deliver the messages whose subject matches topic. The
// channel is closed when ctx has ended or the Subscriber was closed, after the
// messages being handled were answered or CloseTimeout has passed. Contexts of
// messages carry the values of ctx and end when the message is answered.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, ErrClosed
	}
	s.wg.Add(1)
	s.mu.Unlock()
	x, err := s.subscribe(ctx, topic)
	if err != nil {
		s.wg.Done()
		return nil, err
	}
	s.mu.Lock()
	s.open[x] = struct{}{}
	closed := s.closed
	s.mu.Unlock()
	if closed {
		x.stop()
	}
	unhook := context.AfterFunc(ctx, x.stop)
	go func() {
		defer s.wg.Done()
		x.run()
		unhook()
		s.mu.Lock()
		delete(s.open, x)
		s.mu.Unlock()
	}()
	return x.out, nil
}

func (s *Subscriber) subscribe(ctx context.Context, topic string) (*subscription, error) {
	js := s.b.JetStream()
	actx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	stream, err := js.StreamNameBySubject(actx, topic)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: no stream stores it: %w", topic, err)
	}
	cc := jetstream.ConsumerConfig{
		AckPolicy:     jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		FilterSubject: topic,
		AckWait:       s.cfg.AckWait,
		MaxDeliver:    -1,
		MaxAckPending: max(1000, 2*s.cfg.Window),
	}
	if s.cfg.Group != "" {
		cc.Durable = consumerName(s.cfg.Group, topic)
	} else {
		cc.Name = "ephemeral-" + nuid.Next()
		cc.InactiveThreshold = 5 * time.Minute
	}
	if s.cfg.Consumer != nil {
		s.cfg.Consumer(topic, &cc)
	}
	x := &subscription{
		s: s, topic: topic, stream: stream, config: cc,
		values: context.WithoutCancel(ctx), seed: maphash.MakeSeed(),
		out:  make(chan *message.Message),
		wake: make(chan struct{}, 1), stopping: make(chan struct{}), kill: make(chan struct{}),
		counts: s.metrics.of(s.cfg.Group, topic),
	}
	if err := x.attach(actx); err != nil {
		return nil, err
	}
	return x, nil
}

// Close ends all subscriptions and waits for them. The bus stays open. It
// never fails.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.closed = true
	open := make([]*subscription, 0, len(s.open))
	for x := range s.open {
		open = append(open, x)
	}
	s.mu.Unlock()
	for _, x := range open {
		x.stop()
	}
	s.wg.Wait()
	return nil
}

// consumerName is one token per group and topic.
func consumerName(group, topic string) string {
	r := strings.NewReplacer(".", "_", "*", "any", ">", "all")
	return group + "@" + r.Replace(topic)
}
