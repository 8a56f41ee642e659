// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// outputStreams are where deciders' outputs are stored.
var outputStreams = []string{events.StreamCommands, events.StreamRevenue}

// said is one stored output: its key and the arrival of its cause.
type said struct {
	events.OrderKey
	arrived int64 // Unix nanoseconds
}

// looker knows what the output streams hold of one decider at one site. Not
// safe for concurrent use.
type looker struct {
	bus  *bus.Bus
	site string
	id   decider.Identity
	now  func() time.Time

	from map[string]uint64 // first sequence looked at, per stream
	next map[string]uint64 // first sequence not looked at, per stream
	at   time.Time         // when the last look began
	keys []said            // rising
	// checkpoints of this identity by (epoch, sequence).
	checkpoints map[[2]uint64]*events.DeciderCheckpoint
}

// newLooker starts behind the given positions.
func newLooker(b *bus.Bus, site string, id decider.Identity, now func() time.Time, outputs map[string]uint64) *looker {
	l := &looker{
		bus: b, site: site, id: id, now: now,
		from: make(map[string]uint64), next: make(map[string]uint64), checkpoints: make(map[[2]uint64]*events.DeciderCheckpoint),
	}
	for _, s := range outputStreams {
		l.from[s], l.next[s] = outputs[s]+1, outputs[s]+1
	}
	return l
}

// look reads on from where the last look ended to the present end.
func (l *looker) look(ctx context.Context) error {
	began := l.now()
	added := len(l.keys)
	for _, stream := range outputStreams {
		if err := l.read(ctx, stream); err != nil {
			return fmt.Errorf("look into %s: %w", stream, err)
		}
	}
	if len(l.keys) > added {
		slices.SortFunc(l.keys, func(a, b said) int { return a.Compare(b.OrderKey) })
		l.keys = slices.CompactFunc(l.keys, func(a, b said) bool { return a.OrderKey == b.OrderKey })
	}
	l.at = began
	return nil
}

func (l *looker) read(ctx context.Context, stream string) error {
	r := events.ReadRequest{Stream: stream, Site: l.site, FromSequence: l.next[stream]}
	var dec events.Decoder
	for batch, err := range l.bus.RawBatches(ctx, r) {
		if errors.Is(err, bus.ErrJournalBroken) && l.next[stream] > 1 {
			// The stream is younger than we thought: all of it is new.
			l.next[stream] = 1
			return l.read(ctx, stream)
		}
		if err != nil {
			return err
		}
		for i := range batch {
			m := &batch[i]
			l.next[stream] = m.Sequence + 1
			l.take(&dec, m)
		}
	}
	return nil
}

func (l *looker) take(dec *events.Decoder, m *bus.Raw) {
	site, name, key, ok := decider.ParseMessageID(m.Header.Get(events.HeaderMsgID))
	if ok {
		if site == l.site && name == l.id.Name {
			at, _ := time.Parse(time.RFC3339Nano, m.Header.Get(events.HeaderCETime))
			l.keys = append(l.keys, said{key, at.UnixNano()})
		}
		return
	}
	a, err := events.ParseSubject(m.Subject)
	if err != nil || a.Type != events.TypeDeciderCheckpoint {
		return
	}
	e, err := m.Decode(dec)
	if err != nil {
		return
	}
	if c, ok := e.Data.(*events.DeciderCheckpoint); ok && l.mine(c) {
		at := [2]uint64{c.Epoch, c.Sequence}
		if _, known := l.checkpoints[at]; !known {
			l.checkpoints[at] = c
		}
	}
}

func (l *looker) mine(c *events.DeciderCheckpoint) bool {
	return c.Decider == l.id.Name && c.Version == l.id.Version && c.ConfigHash == l.id.ConfigHash
}

// holds reports whether the output k is stored, as far as was looked.
func (l *looker) holds(k events.OrderKey) bool {
	i := sort.Search(len(l.keys), func(i int) bool { return l.keys[i].Compare(k) >= 0 })
	return i < len(l.keys) && l.keys[i].OrderKey == k
}

// forget drops what is known about causes at or before k.
func (l *looker) forget(k events.OrderKey) {
	i := sort.Search(len(l.keys), func(i int) bool { return l.keys[i].Compare(k) > 0 })
	if i > 0 && (i == len(l.keys) || i > 4096) {
		l.keys = slices.Clone(l.keys[i:])
	}
}

// newest stored output; ok is false when there is none.
func (l *looker) newest() (said, bool) {
	if len(l.keys) == 0 {
		return said{}, false
	}
	return l.keys[len(l.keys)-1], true
}
