// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/deadletter"
)

// position in a stream: everything up to Sequence is inspected. Arrived of that
// message tells whether the stream is still the same.
type position struct {
	Sequence uint64    `json:"sequence"`
	Arrived  time.Time `json:"arrived"`
}

func (i *Inspector) key(stream string) string { return "inspector/" + i.cfg.Name + "/" + stream }

// load returns the stored position if the stream still has that message, or has
// rightly forgotten it; otherwise the beginning.
func (i *Inspector) load(ctx context.Context, stream string) (position, error) {
	data, err := i.cfg.Bus.Snapshot(ctx, i.key(stream))
	if err != nil {
		return position{}, fmt.Errorf("position in %s: %w", stream, err)
	}
	var p position
	if data == nil {
		return p, nil
	}
	if json.Unmarshal(data, &p) != nil {
		return position{}, nil // damaged: what was inspected is inspected again
	}
	s, err := i.cfg.Bus.JetStream().Stream(ctx, stream)
	if err != nil {
		return position{}, fmt.Errorf("stream %s: %w", stream, err)
	}
	state := s.CachedInfo().State
	if p.Sequence > state.LastSeq {
		return position{}, nil
	}
	m, err := s.GetMsg(ctx, p.Sequence)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return p, nil
	case err != nil:
		return position{}, fmt.Errorf("position in %s: %w", stream, err)
	case !m.Time.Equal(p.Arrived):
		return position{}, nil
	}
	return p, nil
}

func (i *Inspector) save(ctx context.Context, stream string, p position) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	store, err := i.cfg.Bus.SnapshotStore(ctx)
	if err != nil {
		return err
	}
	if _, err := store.PutBytes(ctx, i.key(stream), data); err != nil {
		return fmt.Errorf("position in %s: %w", stream, err)
	}
	return nil
}

// reading is one pass along one stream.
type reading struct {
	*Inspector
	stream string
	half   time.Duration // of the duplicate window of DEADLETTER
	known  map[string]bool
	looked time.Time
	at     position
	saved  position
	saveAt time.Time

	mu     sync.Mutex // floods are also ended by the clock
	floods floods
}

func (i *Inspector) read(ctx context.Context, stream string) error {
	dead, err := i.cfg.Bus.JetStream().Stream(ctx, events.StreamDeadLetter)
	if err != nil {
		return fmt.Errorf("stream %s: %w", events.StreamDeadLetter, err)
	}
	r := &reading{
		Inspector: i, stream: stream, half: dead.CachedInfo().Config.Duplicates / 2,
		floods: floods{most: i.cfg.PerMinute, by: make(map[string]*flow), begun: i.raise(stream), ended: i.lower(stream)},
	}
	if r.at, err = i.load(ctx, stream); err != nil {
		return err
	}
	r.saved, r.saveAt = r.at, time.Now()
	if err := r.look(ctx, r.at.Arrived); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { r.watch(ctx) })
	defer wg.Wait()
	defer cancel()
	err = r.follow(ctx)
	if r.at != r.saved {
		// Also when we are told to go: the next start is shorter for it.
		sctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer stop()
		if serr := i.save(sctx, stream, r.at); serr != nil {
			i.cfg.Logger.Debug("position not stored", "error", serr)
		}
	}
	return err
}

// look reads which letters exist.
func (r *reading) look(ctx context.Context, since time.Time) error {
	began := time.Now()
	known, err := r.w.Known(ctx, since)
	if err != nil {
		return err
	}
	r.known, r.looked = known, began
	return nil
}

// watch ends floods when nothing comes at all.
func (r *reading) watch(ctx context.Context) {
	t := time.NewTicker(r.cfg.quietEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			r.mu.Lock()
			r.floods.quiet(now)
			r.mu.Unlock()
		}
	}
}

func (r *reading) follow(ctx context.Context) error {
	var dec events.Decoder
	req := events.ReadRequest{Stream: r.stream, FromSequence: r.at.Sequence + 1, Follow: true}
	for batch, err := range r.cfg.Bus.RawBatches(ctx, req) {
		if err != nil {
			return err
		}
		var letters []*events.Event
		for k := range batch {
			m := &batch[k]
			v := check(&dec, m, func(site string) bool { return r.Inspector.known(ctx, site) })
			if v.err == nil {
				continue
			}
			if e := r.letter(m, v); e != nil {
				letters = append(letters, e)
			}
		}
		if err := r.put(ctx, letters, batch[0].Arrived); err != nil {
			return err
		}
		last := &batch[len(batch)-1]
		r.at = position{last.Sequence, last.Arrived}
		if time.Since(r.saveAt) > saveEvery {
			r.saveAt = time.Now()
			if err := r.save(ctx, r.stream, r.at); err != nil {
				return err
			}
			r.saved = r.at
		}
	}
	return ctx.Err()
}

// letter is nil when the message is part of a flood.
func (r *reading) letter(m *bus.Raw, v verdict) *events.Event {
	r.mu.Lock()
	admitted := r.floods.admit(m.Subject, m.Arrived)
	r.mu.Unlock()
	if !admitted {
		r.bad.WithLabelValues(r.stream, string(v.reason), "no").Inc()
		return nil
	}
	r.bad.WithLabelValues(r.stream, string(v.reason), "yes").Inc()
	return r.w.Letter(&deadletter.Original{
		Stream: m.Stream, Sequence: m.Sequence, Arrived: m.Arrived, Subject: m.Subject, Data: m.Data,
		ID: m.Header.Get(events.HeaderCEID),
	}, v.reason, v.err, 1)
}

// put stores the letters that do not exist yet. oldest is the arrival of the
// oldest message they may be about.
func (r *reading) put(ctx context.Context, letters []*events.Event, oldest time.Time) error {
	if len(letters) == 0 {
		return nil
	}
	now := time.Now()
	if stale := max(now.Sub(r.looked), time.Duration(now.UnixNano()-r.looked.UnixNano())) > r.half; stale && now.Sub(oldest) > r.half {
		if err := r.look(ctx, oldest); err != nil {
			return err
		}
	}
	fresh := letters[:0]
	for _, e := range letters {
		if !r.known[e.ID] {
			fresh = append(fresh, e)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return r.w.Put(ctx, fresh...)
}
