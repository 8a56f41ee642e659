// SPDX-License-Identifier: Apache-2.0

package reactor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/pubsub"
	"github.com/ballast-energy/ballast/handlers/collector"
	"github.com/ballast-energy/ballast/handlers/deadletter"
)

// letterWait bounds the storing of one dead letter.
const letterWait = 10 * time.Second

// badEvent is an event that no number of tries makes readable.
type badEvent struct{ err error }

func (e *badEvent) Error() string { return e.err.Error() }
func (e *badEvent) Unwrap() error { return e.err }

func undecodable(err error) error { return backoff.Permanent(&badEvent{err}) }

// failure is the last error of a handler with the number of tries.
type failure struct {
	err   error
	tries int64
}

func (f *failure) Error() string { return fmt.Sprintf("after %d tries: %v", f.tries, f.err) }
func (f *failure) Unwrap() error { return f.err }

// panicked is a panic as an error.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// recoverer turns a panic of the handler into an error.
func recoverer(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) (out []*message.Message, err error) {
		defer func() {
			if v := recover(); v != nil {
				err = &panicked{v, debug.Stack()}
			}
		}()
		return h(m)
	}
}

// retry tries again after a failure. The path without one allocates nothing.
func (r *Reactor) retry(c *counters) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			out, err := h(m)
			if err == nil {
				return out, nil
			}
			return r.again(c, h, m, err)
		}
	}
}

func (r *Reactor) again(c *counters, h message.HandlerFunc, m *message.Message, first error) ([]*message.Message, error) {
	var out []*message.Message
	err := first
	tries := int64(1)
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(r.cfg.FirstDelay),
		backoff.WithMultiplier(2), backoff.WithMaxInterval(r.cfg.MostDelay), backoff.WithMaxElapsedTime(0))
	for int(tries) < r.cfg.Tries {
		if p := new(backoff.PermanentError); errors.As(err, &p) {
			err = p.Err
			break
		}
		wait := bo.NextBackOff()
		r.cfg.Logger.Warn("handler failed", "reactor", r.cfg.Name, "id", m.UUID, "try", tries, "again_in", wait, "error", err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-m.Context().Done():
			t.Stop()
			// Stopping: whoever gets the message next begins anew.
			return nil, fmt.Errorf("given up at try %d: %w", tries, context.Cause(m.Context()))
		}
		c.retries.Inc()
		tries++
		if out, err = h(m); err == nil {
			return out, nil
		}
	}
	if p := new(backoff.PermanentError); errors.As(err, &p) {
		err = p.Err
	}
	if m.Context().Err() != nil {
		return nil, err
	}
	return nil, &failure{err, tries}
}

// deadLetters keeps what failed for good, and acknowledges it.
func (r *Reactor) deadLetters(c *counters) message.HandlerMiddleware {
	return func(h message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			out, err := h(m)
			f := new(failure)
			if err == nil || !errors.As(err, &f) {
				return out, err
			}
			if err := r.bury(m, f); err != nil {
				return nil, err // delivered again, and tried again
			}
			c.dead.Inc()
			return nil, nil
		}
	}
}

func (r *Reactor) bury(m *message.Message, f *failure) error {
	d, ok := pubsub.DeliveryOf(m)
	if !ok {
		return fmt.Errorf("no dead letter for a message from nowhere: %w", f)
	}
	reason := events.DeadExhausted
	if bad := new(badEvent); errors.As(f.err, &bad) {
		reason = events.DeadInvalid
		if de := new(events.DecodeError); errors.As(bad.err, &de) {
			reason = de.Reason
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.Context()), letterWait)
	defer cancel()
	letter := r.w.Letter(&deadletter.Original{
		Stream: d.Stream, Sequence: d.Sequence, Arrived: d.Arrived, Subject: d.Subject, Data: m.Payload, ID: m.UUID,
	}, reason, f.err, f.tries)
	if d.Attempt > 1 {
		// Delivered before: perhaps buried before, too long ago for the
		// server to know the id.
		known, err := r.w.Known(ctx, d.Arrived)
		if err != nil {
			return err
		}
		if known[letter.ID] {
			return nil
		}
	}
	r.cfg.Logger.Error("dead letter", "reactor", r.cfg.Name, "id", m.UUID, "stream", d.Stream, "sequence", d.Sequence, "tries", f.tries, "error", f.err)
	return r.w.Put(ctx, letter)
}

// metrics of all reactors of a registry.
type metrics struct {
	handled *prometheus.CounterVec
	retries *prometheus.CounterVec
	dead    *prometheus.CounterVec
	seconds *prometheus.HistogramVec
}

// counters are those of one handler, resolved once.
type counters struct {
	ok, failed, retries, dead prometheus.Counter
	seconds                   prometheus.Observer
}

func newMetrics(reg prometheus.Registerer) *metrics {
	labels := []string{"reactor", "handler"}
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "ballast", Subsystem: "reactor", Name: name, Help: help}
	}
	return &metrics{
		handled: collector.Shared(reg, prometheus.NewCounterVec(opts("handled_total", "Messages answered, by result: ok (also with a dead letter) or failed (delivered again)."), append(labels, "result"))),
		retries: collector.Shared(reg, prometheus.NewCounterVec(opts("retries_total", "Tries after the first."), labels)),
		dead:    collector.Shared(reg, prometheus.NewCounterVec(opts("dead_letters_total", "Messages that became dead letters."), labels)),
		seconds: collector.Shared(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "ballast", Subsystem: "reactor", Name: "handle_seconds", Help: "From delivery to answer, all tries included.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 12),
		}, labels)),
	}
}

func (m *metrics) handler(reactor, name string) *counters {
	return &counters{
		ok: m.handled.WithLabelValues(reactor, name, "ok"), failed: m.handled.WithLabelValues(reactor, name, "failed"),
		retries: m.retries.WithLabelValues(reactor, name), dead: m.dead.WithLabelValues(reactor, name),
		seconds: m.seconds.WithLabelValues(reactor, name),
	}
}

// measure counts and times.
func (c *counters) measure(h message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		began := time.Now()
		out, err := h(m)
		c.seconds.Observe(time.Since(began).Seconds())
		if err != nil {
			c.failed.Inc()
		} else {
			c.ok.Inc()
		}
		return out, err
	}
}
