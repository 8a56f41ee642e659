// SPDX-License-Identifier: Apache-2.0

package latency

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// roundTime bounds one round: ramping a thousand units takes a few seconds.
const roundTime = 60 * time.Second

// observer publishes the signals and hears what follows, on a connection of
// its own.
type observer struct {
	b        *bus.Bus
	curtails chan time.Time // arrival of the first curtail after a drain
	decided  chan time.Time
}

func newObserver(ctx context.Context, b *bus.Bus) (*observer, error) {
	conn, err := b.Dial(ctx, "observer", bus.Credentials{})
	if err != nil {
		return nil, err
	}
	o := &observer{b: conn, curtails: make(chan time.Time, 1), decided: make(chan time.Time, 1)}
	first := func(c chan time.Time) func(*nats.Msg) {
		return func(*nats.Msg) {
			select {
			case c <- time.Now():
			default:
			}
		}
	}
	p := b.Prefix() + "." + site + "."
	for subject, c := range map[string]chan time.Time{
		p + events.BroadcastType:                      o.curtails,
		p + string(events.TypeCommandCurtail) + ".*":  o.curtails,
		p + string(events.TypeDispatchDecided) + ".*": o.decided,
	} {
		if _, err := conn.Conn().Subscribe(subject, first(c)); err != nil {
			return nil, fmt.Errorf("latency: %w", err)
		}
	}
	context.AfterFunc(ctx, func() {
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = conn.Close(stop) // it only observed
	})
	return o, nil
}

func drain(c chan time.Time) {
	select {
	case <-c:
	default:
	}
}

// round waits until all run, curtails, and waits until none does.
func (o *observer) round(s *plant, i int, emergency bool) (round, error) {
	ctx, cancel := context.WithTimeout(s.ctx, roundTime)
	defer cancel()
	if err := s.ready(ctx, i); err != nil {
		return round{}, err
	}
	drain(o.curtails)
	drain(o.decided)
	id := "bench-" + strconv.Itoa(i)
	zero := int64(0)
	signal := &events.GridSignal{SignalID: id, Kind: events.SignalCurtail, PowerWatts: &zero}
	if emergency {
		signal.Kind, signal.PowerWatts = events.SignalEmergency, nil
	}
	ev := events.New(site, events.OperatorSource, signal).WithID(id)
	sent := time.Now()
	ack, err := o.b.PublishAsync(ctx, ev)
	if err != nil {
		return round{}, err
	}
	if _, err := ack.Wait(ctx); err != nil {
		return round{}, err
	}
	r := round{stored: time.Since(sent)}
	if err := s.until(ctx, 0); err != nil {
		return round{}, fmt.Errorf("round %d: waiting for the last unit to stop: %w", i, err)
	}
	_, last, _ := s.fleet.state()
	r.stopped = last.Sub(sent)
	for c, d := range map[chan time.Time]*time.Duration{o.curtails: &r.received, o.decided: &r.decided} {
		select {
		case t := <-c:
			*d = t.Sub(sent)
		case <-ctx.Done():
			return round{}, fmt.Errorf("round %d: no command was heard: %w", i, ctx.Err())
		}
	}
	end := events.New(site, events.OperatorSource, &events.GridSignal{SignalID: id + "-end", Kind: events.SignalRestore, Cancels: id})
	return r, o.b.Publish(ctx, end)
}
