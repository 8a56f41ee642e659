// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

const (
	// maxBatch messages become one transaction while there is more to read.
	maxBatch = 2048
	// maxBatchBytes of payload end a transaction before.
	maxBatchBytes = 8 << 20
	// lagEvery it is measured how far the ledger is behind.
	lagEvery = 5 * time.Second
	// askWait bounds one question to the bus.
	askWait = 5 * time.Second
	// Pauses between tries of a database or bus that is away.
	firstDelay = 200 * time.Millisecond
	mostDelay  = 30 * time.Second
)

// ErrOtherStream: the bus does not hold the stream that the ledger was written
// from.
var ErrOtherStream = errors.New("the ledger was written from another bus, or from a stream that has been replaced: name the right --server or --ledger, or write it anew with ballast ledger rebuild --force")

// Config of a projector. Bus and Store are needed.
type Config struct {
	// Bus to read.
	Bus *bus.Bus
	// Store to write; the caller closes it after Run.
	Store *Store
	// Logger; nil discards. Registerer for metrics; nil keeps none.
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	between    func()        // tests end transactions half way
	firstDelay time.Duration // tests hurry
}

// Projector keeps a ledger up to date. See the package documentation.
type Projector struct {
	cfg Config
	m   *metrics
	ran atomic.Bool
}

// New checks the configuration.
func New(cfg Config) (*Projector, error) {
	if cfg.Bus == nil || cfg.Store == nil {
		return nil, errors.New("ledger: a bus and a store are needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.firstDelay == 0 {
		cfg.firstDelay = firstDelay
	}
	return &Projector{cfg: cfg, m: newMetrics(cfg.Registerer)}, nil
}

// Run writes until ctx ends, and returns nil then. It outlives outages of the
// bus and of the database. An error is one that no retry mends
// (ErrOtherStream), or that Run was called before.
func (p *Projector) Run(ctx context.Context) error {
	if p.ran.Swap(true) {
		return errors.New("ledger: Run was called before")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, stream := range Streams {
		wg.Go(func() {
			if err := p.keepWriting(ctx, stream); err != nil {
				cancel(err)
			}
		})
	}
	wg.Go(func() { p.watchLag(ctx) })
	wg.Wait()
	if err := context.Cause(ctx); errors.Is(err, ErrOtherStream) {
		return err
	}
	return nil
}

// keepWriting starts over from the stored position after every failure; nil
// when ctx ended.
func (p *Projector) keepWriting(ctx context.Context, stream string) error {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(p.cfg.firstDelay),
		backoff.WithMaxInterval(mostDelay), backoff.WithMaxElapsedTime(0))
	err := backoff.RetryNotify(func() error {
		err := p.follow(ctx, stream, bo.Reset)
		if ctx.Err() != nil {
			return backoff.Permanent(ctx.Err())
		}
		if errors.Is(err, ErrOtherStream) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(bo, ctx), func(err error, wait time.Duration) {
		p.m.failures.WithLabelValues(stream).Inc()
		p.cfg.Logger.Warn("ledger: writing starts again", "stream", stream, "ledger", p.cfg.Store.Address(), "reason", err, "in", wait)
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// follow writes one stream from where its rows end.
func (p *Projector) follow(ctx context.Context, stream string, committed func()) error {
	at, err := p.cfg.Store.position(ctx, stream)
	if err != nil {
		return fmt.Errorf("position of %s: %w", stream, err)
	}
	if err := p.same(ctx, stream, at); err != nil {
		return err
	}
	w := &writing{store: p.cfg.Store, log: p.cfg.Logger, m: p.m, between: p.cfg.between, stream: stream, at: at}
	w.committed = func() { committed(); p.m.at(stream, w.at) }
	p.m.at(stream, at)
	err = w.read(ctx, p.cfg.Bus, events.ReadRequest{Stream: stream, FromSequence: at.sequence + 1, Follow: true})
	if errors.Is(err, bus.ErrJournalBroken) {
		return fmt.Errorf("%w (%w)", ErrOtherStream, err)
	}
	return err
}

// same checks that the stream is the one that the rows came from.
func (p *Projector) same(ctx context.Context, stream string, at position) error {
	_, err := sameStream(ctx, p.cfg.Bus, stream, at)
	return err
}

// sameStream returns the state of the stream, or ErrOtherStream when it cannot
// be the one that was written up to at.
func sameStream(ctx context.Context, b *bus.Bus, stream string, at position) (jetstream.StreamState, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	s, err := b.JetStream().Stream(ctx, stream)
	if err != nil {
		return jetstream.StreamState{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	state := s.CachedInfo().State
	switch {
	case at.sequence > state.LastSeq:
		return state, fmt.Errorf("%s ends at %d, the ledger at %d: %w", stream, state.LastSeq, at.sequence, ErrOtherStream)
	case at.sequence == 0 || at.sequence < state.FirstSeq:
		return state, nil
	}
	m, err := s.GetMsg(ctx, at.sequence)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return state, nil // deleted since
	case err != nil:
		return state, fmt.Errorf("stream %s: %w", stream, err)
	case m.Time.UnixNano() != at.arrived:
		return state, fmt.Errorf("%s/%d is another message than the ledger has: %w", stream, at.sequence, ErrOtherStream)
	}
	return state, nil
}

// writing turns the messages of one stream into transactions.
type writing struct {
	store     *Store
	log       *slog.Logger
	m         *metrics
	between   func()
	committed func()
	stream    string
	at        position
	dec       events.Decoder
	v         valuer

	rows    []row
	to      position
	waiting int // messages since the last transaction
	bytes   int // of their payloads
}

// read writes what a read yields, to its end.
func (w *writing) read(ctx context.Context, b *bus.Bus, r events.ReadRequest) error {
	w.to = w.at
	for run, err := range b.RawBatches(ctx, r) {
		if err != nil {
			return err
		}
		for i := range run {
			w.take(&run[i])
			if w.waiting < maxBatch && w.bytes < maxBatchBytes {
				continue
			}
			if err := w.flush(ctx); err != nil {
				return err
			}
		}
		if run[len(run)-1].Pending > 0 {
			continue // more is on its way: one transaction for it all
		}
		if err := w.flush(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.flush(ctx)
}

// take adds one message to the batch.
func (w *writing) take(m *bus.Raw) {
	if w.to.sequence > 0 && m.Sequence > w.to.sequence+1 {
		// The streams of money refuse deletion; somebody has found a way.
		w.m.missing.WithLabelValues(w.stream).Add(float64(m.Sequence - w.to.sequence - 1))
		w.log.Error("ledger: messages are missing from a stream that is never trimmed", "stream", w.stream, "from", w.to.sequence+1, "to", m.Sequence-1)
	}
	w.to = position{m.Sequence, m.Arrived.UnixNano()}
	w.waiting++
	w.bytes += len(m.Data)
	a, err := events.ParseSubject(m.Subject)
	if err != nil || a.Relayed || !wanted(a.Type) {
		return
	}
	e, err := m.Decode(&w.dec)
	if err != nil {
		w.m.unusable.WithLabelValues(w.stream).Inc()
		w.log.Warn("ledger: passed over", "stream", w.stream, "sequence", m.Sequence, "reason", err)
		return
	}
	if r, ok := rowOf(e); ok {
		w.rows = append(w.rows, r)
	}
}

// flush commits what was taken.
func (w *writing) flush(ctx context.Context) error {
	if w.waiting == 0 {
		return nil
	}
	began := time.Now()
	done, err := w.store.commit(ctx, &batch{stream: w.stream, from: w.at, to: w.to, rows: w.rows}, &w.v, w.between)
	if err != nil {
		return fmt.Errorf("%s up to %d: %w", w.stream, w.to.sequence, err)
	}
	w.m.commits.WithLabelValues(w.stream).Observe(time.Since(began).Seconds())
	for t, n := range done.rows {
		w.m.rows.WithLabelValues(t.name).Add(float64(n))
	}
	w.m.double.WithLabelValues(w.stream).Add(float64(done.double))
	w.at, w.waiting, w.bytes = w.to, 0, 0
	clear(w.rows)
	w.rows = w.rows[:0]
	w.committed()
	return nil
}

// watchLag measures what the streams hold beyond the rows.
func (p *Projector) watchLag(ctx context.Context) {
	t := time.NewTicker(lagEvery)
	defer t.Stop()
	for {
		for _, stream := range Streams {
			p.m.measure(ctx, p.cfg.Bus, stream)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}
