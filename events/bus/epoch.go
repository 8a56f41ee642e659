// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// epochTries bounds how often OpenEpoch starts over because somebody else took
// the number: each loss means that another host succeeded.
const epochTries = 16

// OpenEpoch takes the next epoch of a site by compare-and-set in INPUTS and
// returns what was written there. host is who opens it, reason is for people,
// and lastSequence is the last one of JOURNAL that belongs to the old epoch.
//
// When several hosts open at once each gets an epoch of its own, one after the
// other. On an error nothing was taken, or (if the context ended) perhaps one
// that nobody uses, which does no harm.
func (b *Bus) OpenEpoch(ctx context.Context, site, host, reason string, lastSequence uint64) (events.JournalOpened, error) {
	fail := func(err error) (events.JournalOpened, error) {
		return events.JournalOpened{}, fmt.Errorf("bus: open an epoch of site %s: %w", site, err)
	}
	if err := events.CheckToken("site", site); err != nil {
		return fail(err)
	}
	if err := events.CheckToken("host", host); err != nil {
		return fail(err)
	}
	for range epochTries {
		last, at, err := b.lastEpoch(ctx, site)
		if err != nil {
			return fail(err)
		}
		next := events.JournalOpened{Epoch: last.Epoch + 1, LastSequence: lastSequence, OpenedBy: host, Reason: reason}
		ev := events.New(site, events.SiteSource, &next)
		ev.ID = fmt.Sprintf("%s/epoch/%d", site, next.Epoch)
		ev.Time = time.Now()
		msg, err := events.Encode(b.prefix, ev)
		if err != nil {
			return fail(err)
		}
		_, err = b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(at))
		if err == nil {
			return next, nil
		}
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			continue
		}
		return fail(err)
	}
	return fail(fmt.Errorf("lost the race for the number %d times: are hosts opening epochs in a loop?", epochTries))
}

// CurrentEpoch is the newest epoch of a site as INPUTS has it; Epoch 0 when
// none was ever opened.
func (b *Bus) CurrentEpoch(ctx context.Context, site string) (events.JournalOpened, error) {
	if err := events.CheckToken("site", site); err != nil {
		return events.JournalOpened{}, fmt.Errorf("bus: epoch: %w", err)
	}
	e, _, err := b.lastEpoch(ctx, site)
	if err != nil {
		return e, fmt.Errorf("bus: epoch of site %s: %w", site, err)
	}
	return e, nil
}

// lastEpoch is the newest epoch, and the sequence of the last message on its
// subject in INPUTS; zeros when none. That message may be no epoch: what
// somebody put there must not keep a journal from being opened.
func (b *Bus) lastEpoch(ctx context.Context, site string) (events.JournalOpened, uint64, error) {
	var none events.JournalOpened
	s, err := b.stream(ctx, events.StreamInputs)
	if err != nil {
		return none, 0, fmt.Errorf("stream %s: %w", events.StreamInputs, err)
	}
	subject := events.Subject(b.prefix, site, events.TypeJournalOpened, events.SiteSource)
	last, err := s.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return none, 0, nil
	}
	if err != nil {
		return none, 0, err
	}
	if e, ok := epochIn(last); ok {
		return e, last.Sequence, nil
	}
	b.log.Warn("the newest message on an epoch's subject is no epoch; looking at all of them", "subject", subject, "sequence", last.Sequence)
	newest := none
	for seq := uint64(1); seq < last.Sequence; {
		m, err := s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return none, 0, err
		}
		if e, ok := epochIn(m); ok && e.Epoch > newest.Epoch {
			newest = e
		}
		seq = m.Sequence + 1
	}
	return newest, last.Sequence, nil
}

// epochIn reads an epoch out of a stored message.
func epochIn(m *jetstream.RawStreamMsg) (events.JournalOpened, bool) {
	ev, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return events.JournalOpened{}, false
	}
	e, ok := ev.Data.(*events.JournalOpened)
	if !ok || e.Epoch == 0 {
		return events.JournalOpened{}, false
	}
	return *e, true
}

// Sites lists, sorted, the sites that INPUTS knows: those with a configuration
// or an epoch.
func (b *Bus) Sites(ctx context.Context) ([]string, error) {
	s, err := b.stream(ctx, events.StreamInputs)
	if err != nil {
		return nil, fmt.Errorf("bus: sites: stream %s: %w", events.StreamInputs, err)
	}
	found := make(map[string]bool)
	for _, t := range []events.Type{events.TypeSiteConfig, events.TypeJournalOpened} {
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(events.Subject(b.prefix, "*", t, "*")))
		if err != nil {
			return nil, fmt.Errorf("bus: sites: %w", err)
		}
		for subject := range info.State.Subjects {
			if rest, ok := strings.CutPrefix(subject, b.prefix+"."); ok {
				site, _, _ := strings.Cut(rest, ".")
				// Whoever may write there may write nonsense.
				if events.CheckToken("site", site) == nil {
					found[site] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// openEpochs takes a new epoch for every site: the embedded server may come
// back without the end of JOURNAL and hand its sequences out again.
func (b *Bus) openEpochs(ctx context.Context, reason string) error {
	sites, err := b.Sites(ctx)
	if err != nil {
		return err
	}
	last, err := b.lastSequence(ctx, events.StreamJournal)
	if err != nil {
		return err
	}
	for _, site := range sites {
		e, err := b.OpenEpoch(ctx, site, b.cfg.Name, reason, last)
		if err != nil {
			return err
		}
		b.log.Info("journal opened", "site", site, "epoch", e.Epoch, "last_sequence", last)
	}
	return nil
}

func (b *Bus) lastSequence(ctx context.Context, stream string) (uint64, error) {
	s, err := b.stream(ctx, stream)
	if err != nil {
		return 0, fmt.Errorf("bus: stream %s: %w", stream, err)
	}
	return s.CachedInfo().State.LastSeq, nil
}
