// SPDX-License-Identifier: Apache-2.0

package busbench

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// readTarget is what reading the journal must reach of the raw client.
const readTarget = 0.70

func (x *bench) read(ctx context.Context) ([]Result, error) {
	js := x.b.JetStream()
	s, err := js.Stream(ctx, events.StreamJournal)
	if err != nil {
		return nil, err
	}
	first := s.CachedInfo().State.LastSeq + 1
	evs := make([]*events.Event, 0, perCall)
	for i := range x.Messages {
		evs = append(evs, reading(i))
		if len(evs) == perCall || i == x.Messages-1 {
			if err := x.b.Publish(ctx, evs...); err != nil {
				return nil, err
			}
			evs = evs[:0]
		}
	}
	request := events.ReadRequest{Stream: events.StreamJournal, FromSequence: first}
	decoded := func(ctx context.Context) error {
		n := 0
		for e, err := range x.b.Events(ctx, request) {
			if err != nil {
				return err
			}
			if _, ok := e.Data.(*events.MeterReading); ok {
				n++
			}
		}
		return x.all(n)
	}
	reused := func(ctx context.Context) error {
		n := 0
		dec := events.Decoder{Reuse: true}
		for batch, err := range x.b.RawBatches(ctx, request) {
			if err != nil {
				return err
			}
			for i := range batch {
				if _, err := batch[i].Decode(&dec); err != nil {
					return err
				}
				n++
			}
		}
		return x.all(n)
	}
	raw := func(ctx context.Context) error {
		con, err := x.raw.OrderedConsumer(ctx, events.StreamJournal, jetstream.OrderedConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: first,
		})
		if err != nil {
			return err
		}
		n, done := 0, make(chan struct{})
		cc, err := con.Consume(func(jetstream.Msg) {
			if n++; n == x.Messages {
				close(done)
			}
		})
		if err != nil {
			return err
		}
		defer cc.Stop()
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var out []Result
	r, err := x.compare(ctx, "read JOURNAL in order, decoded into events", readTarget, decoded, raw)
	if err != nil {
		return out, err
	}
	out = append(out, r)
	r, err = x.compare(ctx, "read JOURNAL in order, in runs, events reused", readTarget, reused, raw)
	if err != nil {
		return out, err
	}
	return append(out, r), nil
}

func (x *bench) all(n int) error {
	if n != x.Messages {
		return fmt.Errorf("%d of %d messages came", n, x.Messages)
	}
	return nil
}
