// SPDX-License-Identifier: Apache-2.0

package bustest

import (
	"context"
	"errors"
	"testing"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// Publish stores events. Where a busy server acknowledges nothing in time, it is
// given them again under the same ids until ctx ends, as whoever publishes has to
// do. The test ends when they cannot be stored.
func Publish(ctx context.Context, t testing.TB, b *bus.Bus, evs ...*events.Event) {
	t.Helper()
	err := b.Publish(ctx, evs...)
	for errors.Is(err, bus.ErrOutcomeUnknown) && ctx.Err() == nil {
		t.Logf("publishing again: %v", err)
		err = b.Publish(ctx, evs...)
	}
	if err != nil {
		t.Fatal(err)
	}
}
