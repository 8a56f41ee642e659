// SPDX-License-Identifier: Apache-2.0

package busbench

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nuid"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/pubsub"
)

// publishTarget is what publishing must reach of the raw client.
const publishTarget = 0.80

// perCall messages go into one call of Publish.
const perCall = 1000

func (x *bench) publish(ctx context.Context) ([]Result, error) {
	const stream, subject = "BENCH-PUBLISH", "ballast-bench.publish"
	drop, err := x.stream(ctx, stream, subject)
	if err != nil {
		return nil, err
	}
	defer drop()
	payload := make([]byte, PayloadBytes)
	var out []Result
	for _, c := range []struct {
		name  string
		dedup bool
	}{
		{"publish 256 B, Watermill publisher, no message id", false},
		{"publish 256 B, Watermill publisher, message id", true},
	} {
		pub := pubsub.NewPublisher(x.b, pubsub.PublisherConfig{Dedup: c.dedup})
		ours := func(context.Context) error {
			ms := make([]*message.Message, 0, perCall)
			for i := range x.Messages {
				ms = append(ms, message.NewMessage(nuid.Next(), payload))
				if len(ms) == perCall || i == x.Messages-1 {
					if err := pub.Publish(subject, ms...); err != nil {
						return err
					}
					ms = ms[:0]
				}
			}
			return nil
		}
		raw := x.rawPublish(func(int) *nats.Msg {
			m := &nats.Msg{Subject: subject, Data: payload, Header: nats.Header{}}
			id := []string{nuid.Next()}
			m.Header[events.HeaderCEID] = id
			if c.dedup {
				m.Header[events.HeaderMsgID] = id
			}
			return m
		})
		r, err := x.compare(ctx, c.name, publishTarget, ours, raw)
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
	r, err := x.publishEvents(ctx)
	if err != nil {
		return out, err
	}
	return append(out, r), nil
}

// publishEvents compares typed events, encoded on the way, with the raw client
// sending the same bytes encoded beforehand.
func (x *bench) publishEvents(ctx context.Context) (Result, error) {
	ours := func(ctx context.Context) error {
		evs := make([]*events.Event, 0, perCall)
		for i := range x.Messages {
			evs = append(evs, reading(i))
			if len(evs) == perCall || i == x.Messages-1 {
				if err := x.b.Publish(ctx, evs...); err != nil {
					return err
				}
				evs = evs[:0]
			}
		}
		return nil
	}
	e := reading(0).At(time.Now())
	e.ID = nuid.Next()
	encoded, err := events.Encode(x.b.Prefix(), e)
	if err != nil {
		return Result{}, err
	}
	raw := x.rawPublish(func(int) *nats.Msg {
		return &nats.Msg{Subject: encoded.Subject, Header: encoded.Header, Data: encoded.Data}
	})
	return x.compare(ctx, "publish meter.reading to JOURNAL, encoded on the way", publishTarget, ours, raw)
}

// benchSite is the site of the events published here.
const benchSite = "bench"

func reading(i int) *events.Event {
	energy := int64(8_123_456_000 + i)
	return events.New(benchSite, "feeder-a", &events.MeterReading{
		PowerWatts: 41_200_000 + int64(i%1000), EnergyMilliwattHours: &energy,
		SampledAt: time.Now().UTC(), Quality: events.QualityGood,
	})
}
