// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// outputStreams are where deciders' outputs are stored.
var outputStreams = replica.OutputStreams()

// looker reads what the output streams hold of one decider at one site. Not safe
// for concurrent use.
type looker struct {
	*replica.Outputs
	bus  *bus.Bus
	site string
	now  func() time.Time
	at   time.Time // when the last look began
}

// newLooker starts behind the given positions.
func newLooker(b *bus.Bus, site string, id decider.Identity, now func() time.Time, outputs map[string]uint64) *looker {
	return &looker{Outputs: replica.NewOutputs(site, id, outputs), bus: b, site: site, now: now}
}

// look reads on from where the last look ended to the present end.
func (l *looker) look(ctx context.Context) error {
	began := l.now()
	for _, stream := range outputStreams {
		if err := l.read(ctx, stream); err != nil {
			return fmt.Errorf("look into %s: %w", stream, err)
		}
	}
	l.Looked()
	l.at = began
	return nil
}

func (l *looker) read(ctx context.Context, stream string) error {
	r := events.ReadRequest{Stream: stream, Site: l.site, FromSequence: l.Next(stream)}
	for batch, err := range l.bus.RawBatches(ctx, r) {
		if errors.Is(err, bus.ErrJournalBroken) && l.Next(stream) > 1 {
			l.Rewind(stream)
			return l.read(ctx, stream)
		}
		if err != nil {
			return err
		}
		for i := range batch {
			m := rawOf(&batch[i])
			l.Take(stream, &m)
		}
	}
	return nil
}
