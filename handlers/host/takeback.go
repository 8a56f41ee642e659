// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// takeBack books the reversal of whatever is booked for causes that the
// journal has lost: the facts among them are relayed again and what follows
// from them is booked anew. It is called with the journal folded to its end, at
// most once per session and set of epochs, and works beside the fold.
func (x *session) takeBack(ctx context.Context) {
	if x.takenBack == x.generation+1 || !replica.MayReverse(x.r, x.muted) {
		return
	}
	x.takenBack = x.generation + 1
	known := x.r.Openings()
	x.wg.Go(func() {
		bo := backoff.WithContext(backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
			backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0)), ctx)
		err := backoff.RetryNotify(func() error { return x.takeBackNow(ctx, known) }, bo, func(err error, wait time.Duration) {
			x.log.Warn("what was booked for lost causes could not be taken back yet", "error", err, "again_in", wait)
		})
		if err != nil && ctx.Err() == nil {
			x.log.Error("what was booked for lost causes was not taken back", "error", err)
		}
	})
}

func (x *session) takeBackNow(ctx context.Context, known []decider.Opening) error {
	v := replica.NewReversal(x.h.cfg.Site, x.id, known)
	r := events.ReadRequest{Stream: events.StreamRevenue, Site: x.h.cfg.Site, FromSequence: x.bookedFrom}
	for e, err := range x.h.cfg.Bus.Events(ctx, r) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read what is booked: %w", err)
		}
		if v.Booked(e.ID) {
			v.Lost(e)
		}
	}
	out := v.Due(x.r.Reverse)
	if len(out) == 0 {
		return nil
	}
	if err := x.h.cfg.Bus.Publish(ctx, out...); err != nil {
		return fmt.Errorf("reverse what was booked for lost causes: %w", err)
	}
	x.log.Warn("bookings whose causes the journal has lost were reversed", "bookings", len(out))
	return nil
}
