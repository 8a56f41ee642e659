// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// plan is a ReadRequest worked out: which stream, which subjects, from where.
type plan struct {
	prefix  string
	stream  string
	filters []string // empty: everything in the stream
	types   []events.Type
	site    string
	source  string
	from    uint64
	since   time.Time
	until   time.Time
	follow  bool
	newOnly bool
	// check: the filters let more through than was asked for.
	check bool
}

func (b *Bus) plan(r events.ReadRequest) (plan, error) {
	p := plan{
		prefix: b.prefix, stream: r.Stream, types: r.Types, site: r.Site, source: r.Source,
		from: r.FromSequence, since: r.Since, until: r.Until,
		follow: r.Follow || r.NewOnly, newOnly: r.NewOnly,
	}
	if p.stream == "" {
		if len(r.Types) == 0 {
			return p, errors.New("read: name a stream or a type")
		}
		info, ok := events.Info(r.Types[0])
		if !ok {
			return p, fmt.Errorf("read: unknown event type %q", r.Types[0])
		}
		if info.Stream == "" {
			return p, fmt.Errorf("read: %s is never stored; subscribe to it", r.Types[0])
		}
		p.stream = info.Stream
	}
	if r.Site != "" {
		if err := events.CheckToken("site", r.Site); err != nil {
			return p, fmt.Errorf("read: %w", err)
		}
	}
	if r.Source != "" {
		if err := events.CheckToken("source", r.Source); err != nil {
			return p, fmt.Errorf("read: %w", err)
		}
	}
	if p.from > 0 && (!p.since.IsZero() || p.newOnly) || !p.since.IsZero() && p.newOnly {
		return p, errors.New("read: give one start only: a sequence, a time or new events only")
	}
	if p.stream == events.StreamReplay {
		p.check = p.site != "" || p.source != "" || len(p.types) > 0
		return p, nil
	}
	switch {
	case len(p.types) > 0 || p.source != "":
		types := p.types
		if len(types) == 0 {
			types = typesOf(p.stream)
		}
		for _, t := range types {
			s := p.subjects(t, p.site, p.source)
			if s == nil && len(p.types) > 0 {
				return p, fmt.Errorf("read: stream %s holds no %s", p.stream, t)
			}
			p.filters = append(p.filters, s...)
		}
		slices.Sort(p.filters)
		p.filters = slices.Compact(p.filters)
	case p.site != "":
		p.filters = []string{p.prefix + "." + p.site + ".>"}
	}
	// Epochs need journal.opened, whoever said it.
	p.check = p.stream == events.StreamJournal && len(p.filters) > 0
	return p, nil
}

// typesOf lists what a stream holds.
func typesOf(stream string) []events.Type {
	var ts []events.Type
	for _, i := range events.Types() {
		if i.Stream == stream || stream == events.StreamJournal && i.Relayed {
			ts = append(ts, i.Type)
		}
	}
	return ts
}

// subjects of a type in the plan's stream; nil when it holds none of that
// type.
func (p *plan) subjects(t events.Type, site, source string) []string {
	info, ok := events.Info(t)
	if !ok {
		return nil
	}
	if site == "" {
		site = "*"
	}
	every := source == ""
	if every {
		source = "*"
	}
	switch {
	case info.Stream == p.stream:
		if t != events.TypeCommandCurtail {
			return []string{events.Subject(p.prefix, site, t, source)}
		}
		if source == events.BroadcastSource {
			return []string{events.BroadcastSubject(p.prefix, site)}
		}
		s := []string{events.Subject(p.prefix, site, t, source)}
		if every {
			s = append(s, events.BroadcastSubject(p.prefix, site))
		}
		return s
	case p.stream == events.StreamJournal && info.Relayed:
		return []string{events.JournalSubject(p.prefix, site, t, source)}
	}
	return nil
}

// wants reports whether the filters let every event of type t of the site
// through.
func (p *plan) wants(t events.Type) bool {
	return len(p.filters) == 0 || p.source == "" && (len(p.types) == 0 || slices.Contains(p.types, t))
}

// matches reports whether e was asked for.
func (p *plan) matches(e *events.Event) bool {
	return (p.site == "" || e.Site == p.site) &&
		(p.source == "" || e.Source == p.source) &&
		(len(p.types) == 0 || slices.Contains(p.types, e.Type))
}

// importedPlace reads the place an imported event had where it was exported.
func importedPlace(h nats.Header, m *events.Meta) error {
	seq, err := strconv.ParseUint(h.Get(events.HeaderImportSequence), 10, 64)
	if err != nil {
		return fmt.Errorf("header %s: %w", events.HeaderImportSequence, err)
	}
	at, err := time.Parse(time.RFC3339Nano, h.Get(events.HeaderImportTime))
	if err != nil {
		return fmt.Errorf("header %s: %w", events.HeaderImportTime, err)
	}
	if s := h.Get(events.HeaderImportEpoch); s != "" {
		if m.Epoch, err = strconv.ParseUint(s, 10, 64); err != nil {
			return fmt.Errorf("header %s: %w", events.HeaderImportEpoch, err)
		}
	}
	m.Stream, m.Sequence, m.Arrived = events.StreamJournal, seq, at.UTC()
	return nil
}
