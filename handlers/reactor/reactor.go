// SPDX-License-Identifier: Apache-2.0

package reactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/pubsub"
	"github.com/ballast-energy/ballast/handlers/deadletter"
)

// Defaults of Config.
const (
	DefaultTries        = 6
	DefaultFirstDelay   = 100 * time.Millisecond
	DefaultMostDelay    = 30 * time.Second
	DefaultCloseTimeout = 10 * time.Second
)

// Config of a reactor. Bus and Name are needed.
type Config struct {
	// Bus to read and write.
	Bus *bus.Bus
	// Name groups the durable positions of the handlers: instances of one
	// name share the work. [a-z0-9-]{1,64}.
	Name string
	// Tries of a handler per event, the first included; 0 means DefaultTries.
	Tries int
	// FirstDelay before the second try, doubled up to MostDelay; 0 means the
	// defaults.
	FirstDelay, MostDelay time.Duration
	// CloseTimeout for handlers under way when Run ends; 0 means
	// DefaultCloseTimeout.
	CloseTimeout time.Duration
	// Logger; nil discards. Registerer for metrics; nil keeps none.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Reactor is a set of handlers behind one router.
type Reactor struct {
	cfg    Config
	router *message.Router
	w      *deadletter.Writer
	m      *metrics
	subs   []*pubsub.Subscriber
	ran    atomic.Bool
}

// New makes a reactor without handlers.
func New(cfg Config) (*Reactor, error) {
	if cfg.Bus == nil {
		return nil, errors.New("reactor: no bus")
	}
	w, err := deadletter.NewWriter(cfg.Bus, cfg.Name)
	if err != nil {
		return nil, fmt.Errorf("reactor: %w", err)
	}
	if cfg.Tries == 0 {
		cfg.Tries = DefaultTries
	}
	if cfg.FirstDelay == 0 {
		cfg.FirstDelay = DefaultFirstDelay
	}
	if cfg.MostDelay == 0 {
		cfg.MostDelay = DefaultMostDelay
	}
	if cfg.CloseTimeout == 0 {
		cfg.CloseTimeout = DefaultCloseTimeout
	}
	if cfg.Tries < 1 || cfg.FirstDelay < 0 || cfg.MostDelay < cfg.FirstDelay {
		return nil, fmt.Errorf("reactor %s: %d tries, delays %s to %s: use at least one try and rising delays", cfg.Name, cfg.Tries, cfg.FirstDelay, cfg.MostDelay)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: cfg.CloseTimeout}, watermill.NewSlogLogger(cfg.Logger))
	if err != nil {
		return nil, fmt.Errorf("reactor %s: %w", cfg.Name, err)
	}
	return &Reactor{cfg: cfg, router: router, w: w, m: newMetrics(cfg.Registerer)}, nil
}

// Option changes one registration.
type Option func(*registration)

type registration struct {
	mode   pubsub.Mode
	lanes  int
	site   string
	change func(*jetstream.ConsumerConfig)
}

// Unordered lets a handler run for many events at once, in any order, and
// instances of the reactor share the work. It is the default.
func Unordered() Option { return func(r *registration) { r.mode = pubsub.Unordered } }

// Ordered hands over one event at a time. Run one instance only.
func Ordered() Option { return func(r *registration) { r.mode = pubsub.Ordered } }

// Keyed handles the events of one subject in order and up to lanes subjects at
// once. Run one instance only.
func Keyed(lanes int) Option {
	return func(r *registration) { r.mode, r.lanes = pubsub.Keyed, lanes }
}

// AtSite handles the events of one site only.
func AtSite(site string) Option { return func(r *registration) { r.site = site } }

// FromNow skips, the first time the handler ever runs, what was stored before.
func FromNow() Option {
	return func(r *registration) {
		r.change = func(c *jetstream.ConsumerConfig) { c.DeliverPolicy = jetstream.DeliverNewPolicy }
	}
}

// Handle registers f for every stored event of type T under name, a token that
// keeps its position across restarts. stream is where to read: empty means the
// stream that stores T first, events.StreamJournal the relayed copies. It must
// be called before Run.
func Handle[T any, P events.PayloadOf[T]](r *Reactor, name, stream string, f func(context.Context, events.Of[T]) error, opts ...Option) error {
	if r.ran.Load() {
		return fmt.Errorf("reactor %s: handler %s comes after Run", r.cfg.Name, name)
	}
	if err := events.CheckToken("handler", name); err != nil {
		return fmt.Errorf("reactor %s: %w", r.cfg.Name, err)
	}
	reg := registration{mode: pubsub.Unordered}
	for _, o := range opts {
		o(&reg)
	}
	t := P(new(T)).EventType()
	topics, err := r.topics(t, stream, reg.site)
	if err != nil {
		return fmt.Errorf("reactor %s: handler %s: %w", r.cfg.Name, name, err)
	}
	sub, err := pubsub.NewSubscriber(r.cfg.Bus, pubsub.SubscriberConfig{
		Group: r.cfg.Name + "-" + name, Mode: reg.mode, Lanes: reg.lanes, Consumer: consumer(topics, reg.change),
		Retry:        pubsub.Backoff(r.cfg.FirstDelay, r.cfg.MostDelay, 0),
		CloseTimeout: r.cfg.CloseTimeout, Logger: r.router.Logger(), Registerer: r.cfg.Registerer,
	})
	if err != nil {
		return fmt.Errorf("reactor %s: handler %s: %w", r.cfg.Name, name, err)
	}
	r.subs = append(r.subs, sub)
	h := r.router.AddConsumerHandler(name, topics[0], sub, func(m *message.Message) error {
		e, err := pubsub.EventOf(m)
		if err != nil {
			return undecodable(err)
		}
		p, ok := e.Data.(P)
		if !ok {
			return undecodable(fmt.Errorf("a %s where a %s is expected", e.Type, t))
		}
		return f(withCause(m.Context(), e), events.Of[T]{Meta: e.Meta, Data: *p})
	})
	h.AddMiddleware(r.Middlewares(name)...)
	return nil
}

// Middlewares are those that every handler runs behind, the outermost first:
// metrics, dead letters, retry, recover. Handle adds them by itself; a
// measurement of what they cost needs them by hand.
func (r *Reactor) Middlewares(handler string) []message.HandlerMiddleware {
	c := r.m.handler(r.cfg.Name, handler)
	return []message.HandlerMiddleware{c.measure, r.deadLetters(c), r.retry(c), recoverer}
}

// topics are the subjects that carry t in a stream; the first names the
// position.
func (r *Reactor) topics(t events.Type, stream, site string) ([]string, error) {
	info, ok := events.Info(t)
	if !ok || info.Stream == "" {
		return nil, fmt.Errorf("%s is never stored", t)
	}
	if site == "" {
		site = "*"
	} else if err := events.CheckToken("site", site); err != nil {
		return nil, err
	}
	prefix := r.cfg.Bus.Prefix()
	switch {
	case stream == events.StreamJournal && info.Relayed:
		return []string{events.JournalSubject(prefix, site, t, "*")}, nil
	case stream != "" && stream != info.Stream:
		return nil, fmt.Errorf("stream %s holds no %s: it is in %s", stream, t, info.Stream)
	case t == events.TypeCommandCurtail:
		return []string{events.Subject(prefix, site, t, "*"), events.BroadcastSubject(prefix, site)}, nil
	}
	return []string{events.Subject(prefix, site, t, "*")}, nil
}

func consumer(topics []string, change func(*jetstream.ConsumerConfig)) func(string, *jetstream.ConsumerConfig) {
	return func(_ string, c *jetstream.ConsumerConfig) {
		if len(topics) > 1 {
			c.FilterSubject, c.FilterSubjects = "", topics
		}
		if change != nil {
			change(c)
		}
	}
}

// Run handles events until ctx ends, then waits for handlers under way, at most
// CloseTimeout; what is not done then is delivered again. It may be called
// once.
func (r *Reactor) Run(ctx context.Context) error {
	if r.ran.Swap(true) {
		return errors.New("reactor: Run was called before")
	}
	if len(r.subs) == 0 {
		<-ctx.Done()
		return nil
	}
	err := r.router.Run(ctx)
	for _, s := range r.subs {
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		return fmt.Errorf("reactor %s: %w", r.cfg.Name, err)
	}
	return nil
}

// Running is closed when all handlers listen.
func (r *Reactor) Running() <-chan struct{} { return r.router.Running() }

type causeKey struct{}

func withCause(ctx context.Context, e *events.Event) context.Context {
	return context.WithValue(ctx, causeKey{}, e)
}

// Publish stores events that a handler's event caused: those without a
// causation get the ids of the event that ctx belongs to. Give events an id
// that follows from the cause (Event.WithID): the handler may run again.
func (r *Reactor) Publish(ctx context.Context, evs ...*events.Event) error {
	if cause, ok := ctx.Value(causeKey{}).(*events.Event); ok {
		for _, e := range evs {
			if e.Causation == "" {
				e.CausedBy(cause)
			}
		}
	}
	return r.cfg.Bus.Publish(ctx, evs...)
}
