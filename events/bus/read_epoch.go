// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"

	"github.com/ballast-energy/ballast/events"
)

// epochs follows the epoch of every site along a read of JOURNAL.
type epochs struct {
	bySite map[string]uint64
	// The last site, so that a journal of one site never looks up the map.
	site  string
	epoch uint64
}

// stamp sets e.Epoch. The first event of a read that starts inside the journal
// looks for the epochs that were in force there.
func (x *epochs) stamp(ctx context.Context, b *Bus, site string, e *events.Event) error {
	if x.bySite == nil {
		x.bySite = make(map[string]uint64)
		if e.Sequence > 1 {
			if err := x.before(ctx, b, site, e.Sequence); err != nil {
				return err
			}
		}
	}
	if o, ok := e.Data.(*events.JournalOpened); ok && o.Epoch > x.bySite[e.Site] {
		x.bySite[e.Site] = o.Epoch
		x.site = ""
	}
	if x.site != e.Site {
		x.site, x.epoch = e.Site, x.bySite[e.Site]
	}
	e.Epoch = x.epoch
	return nil
}

// before folds the journal.opened that precede seq: the relayed ones still in
// JOURNAL and, where those were purged, the originals.
func (x *epochs) before(ctx context.Context, b *Bus, site string, seq uint64) error {
	var dec events.Decoder
	fold := func(stream string, keep func(*Raw, *events.JournalOpened) bool) error {
		r := events.ReadRequest{Stream: stream, Types: []events.Type{events.TypeJournalOpened}, Site: site}
		for raw, err := range b.RawEvents(ctx, r) {
			if err != nil {
				return fmt.Errorf("look for the epoch before %s/%d: %w", events.StreamJournal, seq, err)
			}
			e, err := raw.Decode(&dec)
			if err != nil {
				continue // yielded as bad by whoever reads that far
			}
			o, ok := e.Data.(*events.JournalOpened)
			if !ok || !keep(raw, o) {
				continue
			}
			x.bySite[e.Site] = max(x.bySite[e.Site], o.Epoch)
		}
		return nil
	}
	if err := fold(events.StreamJournal, func(r *Raw, _ *events.JournalOpened) bool { return r.Sequence < seq }); err != nil {
		return err
	}
	if len(x.bySite) > 0 && site != "" {
		return nil
	}
	// Where the copies were purged, the originals tell: a copy lay behind the
	// LastSequence of its fact, so only what ended before the first message
	// kept can have been purged.
	tctx, cancel := context.WithTimeout(ctx, apiWait)
	defer cancel()
	s, err := b.js.Stream(tctx, events.StreamJournal)
	if err != nil {
		return fmt.Errorf("look for the epoch before %s/%d: %w", events.StreamJournal, seq, err)
	}
	kept := s.CachedInfo().State.FirstSeq
	if kept <= 1 {
		return nil
	}
	relayed := make(map[string]bool, len(x.bySite))
	for s := range x.bySite {
		relayed[s] = true
	}
	return fold(events.StreamInputs, func(r *Raw, o *events.JournalOpened) bool {
		a, err := events.ParseSubject(r.Subject)
		return err == nil && !relayed[a.Site] && o.LastSequence+1 < kept
	})
}
