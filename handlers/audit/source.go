// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// exported streams, in the order of a file.
var exported = []string{events.StreamJournal, events.StreamCommands, events.StreamRevenue}

// Source is a journal with the decisions made on it.
type Source interface {
	// Site of the journal, and the Prefix of its subjects when it was
	// written.
	Site() string
	Prefix() string
	// Read yields the messages of JOURNAL, COMMANDS or REVENUE in order, as
	// they were stored there, from a sequence on. It may be called several
	// times, and while another read is under way. The message is valid until
	// the next one.
	Read(ctx context.Context, stream string, from uint64) iter.Seq2[*decider.Raw, error]
	// Openings are the epochs known besides those relayed into the journal.
	Openings(ctx context.Context) ([]decider.Opening, error)
	// Snapshots that came with it, in any order.
	Snapshots(ctx context.Context) ([]Snapshot, error)
	// Newest sequence of the journal, for a bar of progress; 0 when that is
	// not known without reading.
	Newest(ctx context.Context) (uint64, error)
}

// Live is the source of the streams of a bus themselves.
func Live(b *bus.Bus, site string) Source { return &live{b, site} }

type live struct {
	b    *bus.Bus
	site string
}

func (l *live) Site() string   { return l.site }
func (l *live) Prefix() string { return l.b.Prefix() }

func (l *live) Read(ctx context.Context, stream string, from uint64) iter.Seq2[*decider.Raw, error] {
	return func(yield func(*decider.Raw, error) bool) {
		var raw decider.Raw
		for m, err := range l.b.RawEvents(ctx, events.ReadRequest{Stream: stream, Site: l.site, FromSequence: from}) {
			if err != nil {
				yield(nil, err)
				return
			}
			raw = decider.Raw{Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, Arrived: m.Arrived}
			if !yield(&raw, nil) {
				return
			}
		}
	}
}

func (l *live) Newest(ctx context.Context) (uint64, error) {
	s, err := l.b.JetStream().Stream(ctx, events.StreamJournal)
	if err != nil {
		return 0, fmt.Errorf("stream %s: %w", events.StreamJournal, err)
	}
	return s.CachedInfo().State.LastSeq, nil
}

func (l *live) Openings(ctx context.Context) ([]decider.Opening, error) {
	var out []decider.Opening
	for e, err := range events.Read[events.JournalOpened](ctx, l.b, events.AtSite(l.site)) {
		var bad *events.DecodeError
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("epochs of site %s: %w", l.site, err)
		}
		out = append(out, decider.Opening{Epoch: e.Data.Epoch, After: e.Data.LastSequence})
	}
	return out, nil
}

// headerKept marks a header of the server that the original message had; it
// must not act again when the copy is published.
const headerKept = "Ballast-Import-Kept-"

// Imported is the source of an import: the messages of stream REPLAY that
// Import stored under name.
func Imported(ctx context.Context, b *bus.Bus, name string) (Source, error) {
	if err := events.CheckToken("import name", name); err != nil {
		return nil, err
	}
	i := &imported{b: b, name: name}
	for m, err := range i.messages(ctx) {
		if err != nil {
			return nil, fmt.Errorf("import %s: %w", name, err)
		}
		a, err := events.ParseSubject(m.Header.Get(events.HeaderImportSubject))
		if err != nil {
			continue
		}
		i.site, i.prefix = a.Site, a.Prefix
		return i, nil
	}
	return nil, fmt.Errorf("import %s: stream %s holds nothing of that name", name, events.StreamReplay)
}

type imported struct {
	b                  *bus.Bus
	name, site, prefix string
}

func (i *imported) Site() string   { return i.site }
func (i *imported) Prefix() string { return i.prefix }

func (i *imported) messages(ctx context.Context) iter.Seq2[*bus.Raw, error] {
	lead := importSubject(i.b.Prefix(), i.name, "")
	return func(yield func(*bus.Raw, error) bool) {
		for m, err := range i.b.RawEvents(ctx, events.ReadRequest{Stream: events.StreamReplay}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if strings.HasPrefix(m.Subject, lead) && !yield(m, nil) {
				return
			}
		}
	}
}

func (i *imported) Read(ctx context.Context, stream string, from uint64) iter.Seq2[*decider.Raw, error] {
	return func(yield func(*decider.Raw, error) bool) {
		for m, err := range i.messages(ctx) {
			if err != nil {
				yield(nil, err)
				return
			}
			if m.Header.Get(headerImportStream) != stream {
				continue
			}
			raw, err := original(m)
			if err != nil {
				yield(nil, fmt.Errorf("%s/%d: %w", events.StreamReplay, m.Sequence, err))
				return
			}
			if raw.Sequence >= from && !yield(raw, nil) {
				return
			}
		}
	}
}

// Snapshots are not imported: verify an import from its beginning, or the file.
func (i *imported) Snapshots(context.Context) ([]Snapshot, error) { return nil, nil }

func (i *imported) Newest(context.Context) (uint64, error) { return 0, nil }

// Openings of an import are those in its journal.
func (i *imported) Openings(context.Context) ([]decider.Opening, error) { return nil, nil }

// original undoes what Import did to a message.
func original(m *bus.Raw) (*decider.Raw, error) {
	seq, err := strconv.ParseUint(m.Header.Get(events.HeaderImportSequence), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("header %s: %w", events.HeaderImportSequence, err)
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(events.HeaderImportTime))
	if err != nil {
		return nil, fmt.Errorf("header %s: %w", events.HeaderImportTime, err)
	}
	r := &decider.Raw{Subject: m.Header.Get(events.HeaderImportSubject), Data: m.Data, Sequence: seq, Arrived: at.UTC()}
	for k, v := range m.Header {
		kept, was := strings.CutPrefix(k, headerKept)
		switch {
		case was:
			k = kept
		case strings.HasPrefix(k, "Ballast-Import-"), strings.HasPrefix(k, "Nats-"):
			continue
		}
		if r.Header == nil {
			r.Header = make(nats.Header, len(m.Header))
		}
		r.Header[k] = v
	}
	return r, nil
}
