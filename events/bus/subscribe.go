// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// Filter says which live events to hear.
type Filter struct {
	// Types to hear; empty means all.
	Types []events.Type
	// Site and Source to hear; empty means all. Broadcasts to a site
	// (command.curtail) are heard with an empty Source or with
	// events.BroadcastSource.
	Site, Source string
	// Stored hears commands as the server repeats them after storing, instead
	// of straight from the wire.
	Stored bool
	// OnBad, when not nil, is told of every message that is no event, with a
	// *events.DecodeError. It is called like the handler.
	OnBad func(m *nats.Msg, err error)
}

// Subscription is a live subscription; it ends with its context or by Stop.
type Subscription struct {
	dec     events.Decoder
	handler func(*events.Event)
	onBad   func(*nats.Msg, error)

	mu     sync.Mutex // one message at a time
	ended  bool
	subs   []*nats.Subscription
	bad    atomic.Uint64
	cancel func() bool
	once   sync.Once
	done   chan struct{}
}

// Subscribe hears events as they cross the bus, stored or not, from the moment
// it returns. The handler is called for one event at a time, in the order of
// publication per subject; the event is the handler's. While it runs, messages
// wait, up to the pending limit of the connection (500,000 by default); what
// is beyond that is lost, as anything published while the connection is down:
// read a stream to miss nothing.
//
// The subscription ends with ctx. No handler call begins after Done is closed.
func (b *Bus) Subscribe(ctx context.Context, f Filter, handler func(*events.Event)) (*Subscription, error) {
	subjects, err := f.subjects(b.prefix)
	if err != nil {
		return nil, err
	}
	s := &Subscription{handler: handler, onBad: f.OnBad, done: make(chan struct{})}
	for _, subj := range subjects {
		sub, err := b.nc.Subscribe(subj, s.hear)
		if err == nil {
			err = sub.SetPendingLimits(nats.DefaultSubPendingMsgsLimit, nats.DefaultSubPendingBytesLimit)
			s.subs = append(s.subs, sub)
		}
		if err != nil {
			s.Stop()
			return nil, fmt.Errorf("subscribe %s: %w", subj, err)
		}
	}
	// Heard from now on: the server has the subscription when it answers.
	fctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	if err := b.nc.FlushWithContext(fctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("subscribe %v: %w", subjects, err)
	}
	s.cancel = context.AfterFunc(ctx, s.end)
	return s, nil
}

// Bad is how many messages were no events so far.
func (s *Subscription) Bad() uint64 { return s.bad.Load() }

// Done is closed once the subscription has ended and its handler returned.
func (s *Subscription) Done() <-chan struct{} { return s.done }

// Stop ends the subscription and waits for a running handler call. From inside
// the handler, cancel the context instead.
func (s *Subscription) Stop() {
	s.end()
	if s.cancel != nil {
		s.cancel()
	}
}

func (s *Subscription) end() {
	s.once.Do(func() {
		for _, sub := range s.subs {
			_ = sub.Unsubscribe() // fails only when the connection is gone
		}
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		close(s.done)
	})
}

func (s *Subscription) hear(m *nats.Msg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	e, err := s.dec.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		s.bad.Add(1)
		if s.onBad != nil {
			s.onBad(m, err)
		}
		return
	}
	s.handler(e)
}

// repeated reports whether the server repeats a type after storing it.
func repeated(t events.Type) bool { return strings.HasPrefix(string(t), "command.") }

// subjects to subscribe to; no two of them overlap.
func (f Filter) subjects(prefix string) ([]string, error) {
	site, source := "*", "*"
	if f.Site != "" {
		if err := events.CheckToken("site", f.Site); err != nil {
			return nil, fmt.Errorf("subscribe: %w", err)
		}
		site = f.Site
	}
	if f.Source != "" {
		if err := events.CheckToken("source", f.Source); err != nil {
			return nil, fmt.Errorf("subscribe: %w", err)
		}
		source = f.Source
	}
	types := f.Types
	if len(types) == 0 {
		for _, i := range events.Types() {
			types = append(types, i.Type)
		}
	}
	var out []string
	seen := make(map[events.Type]bool, len(types))
	for _, t := range types {
		if _, ok := events.Info(t); !ok {
			return nil, fmt.Errorf("subscribe: unknown event type %q", t)
		}
		if seen[t] || f.Stored && len(f.Types) == 0 && !repeated(t) {
			continue
		}
		seen[t] = true
		if f.Stored && !repeated(t) {
			return nil, fmt.Errorf("subscribe: %s is not repeated after storing, only commands are", t)
		}
		if t == events.TypeCommandCurtail && (f.Source == "" || f.Source == events.BroadcastSource) {
			if f.Stored {
				out = append(out, prefix+"."+site+"."+events.StoredToken+"."+events.BroadcastType)
			} else {
				out = append(out, events.BroadcastSubject(prefix, site))
			}
			if f.Source != "" {
				continue
			}
		}
		if f.Stored {
			out = append(out, events.StoredSubject(prefix, site, t, source))
		} else {
			out = append(out, events.Subject(prefix, site, t, source))
		}
	}
	if len(out) == 0 {
		return nil, errors.New("subscribe: nothing to hear")
	}
	return out, nil
}
