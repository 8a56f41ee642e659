// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Factory makes a decider in its first state; every call returns an equal one.
type Factory = func() (decider.Decider, error)

// Options of Verify. The zero value verifies from the beginning of what is
// kept.
type Options struct {
	// Begin is the snapshot to begin from, by decider name.
	Begin map[string][]byte
	// From, where Begin names none, begins at the newest snapshot of that
	// journal sequence or before it; 0 begins at the beginning. Known are
	// snapshots besides those of the source, to begin from and to compare
	// states with.
	From  uint64
	Known []Snapshot
	// To is the last sequence to fold; 0 means all.
	To uint64
	// Grace is how young a cause may be whose outputs need not be stored yet,
	// on a live source; 0 means 10 s.
	Grace time.Duration
	// Findings is how many of each kind are listed one by one; all are
	// counted. 0 means 20.
	Findings int
	// Record, when not nil, is given a snapshot of the replay about every
	// RecordEvery folded events (0 means 250,000), at places where a stored
	// checkpoint agrees, as long as nothing was found.
	Record      func(snapshot []byte) error
	RecordEvery uint64
	// Progress, when not nil, is called now and then with the sequence folded.
	Progress func(sequence uint64)
}

const (
	defaultGrace       = 10 * time.Second
	defaultFindings    = 20
	defaultRecordEvery = 250_000
	// readAhead is how much later than a journal message an output may be
	// stored to be read before that message is folded. It bounds memory, not
	// what is found.
	readAhead = 30 * time.Second
	// progressEvery messages Progress is called.
	progressEvery = 4096
)

// Verify folds the journal of a source with each decider and compares what was
// stored with what the fold says. It reads every stream once, side by side, in
// bounded memory, and changes nothing. A report that is not clean is not an
// error; an error means that nothing was found out.
func Verify(ctx context.Context, src Source, o Options, deciders ...Factory) ([]*Report, error) {
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Findings == 0 {
		o.Findings = defaultFindings
	}
	if o.RecordEvery == 0 {
		o.RecordEvery = defaultRecordEvery
	}
	known, err := src.Openings(ctx)
	var reports []*Report
	if err == nil {
		reports, err = verify(ctx, src, o, known, deciders)
	}
	if errors.Is(err, decider.ErrEpoch) {
		// An epoch that only the journal tells of, after it began.
		if known, err = Openings(ctx, src); err == nil {
			reports, err = verify(ctx, src, o, known, deciders)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", src.Site(), err)
	}
	return reports, nil
}

// Openings are the epochs a source knows of, from wherever: the boundaries
// must be known before the messages behind them are folded.
func Openings(ctx context.Context, src Source) ([]decider.Opening, error) {
	known, err := src.Openings(ctx)
	if err != nil {
		return nil, err
	}
	var e decider.Epochs
	for _, o := range known {
		e.Add(o)
	}
	for m, err := range src.Read(ctx, events.StreamJournal, 0) {
		if err != nil {
			return nil, err
		}
		a, err := events.ParseSubject(m.Subject)
		if err != nil || a.Type != events.TypeJournalOpened || a.Site != src.Site() {
			continue
		}
		ev, err := events.Decode(m.Subject, m.Header, m.Data)
		if err != nil {
			continue
		}
		if p, ok := ev.Data.(*events.JournalOpened); ok {
			e.Add(decider.Opening{Epoch: p.Epoch, After: p.LastSequence})
		}
	}
	return e.Openings(), nil
}

// pass is one reading of a source.
type pass struct {
	src    Source
	o      Options
	began  time.Time
	known  []decider.Opening
	tracks []*track
}

func verify(ctx context.Context, src Source, o Options, known []decider.Opening, deciders []Factory) ([]*Report, error) {
	// Before the outputs are read: what arrives from now on is not judged.
	p := &pass{src: src, o: o, began: time.Now(), known: known}
	snapshots, unread := src.Snapshots(ctx)
	if unread != nil && (o.From > 0 && len(o.Known) == 0 || ctx.Err() != nil) {
		return nil, unread
	}
	snapshots = append(snapshots, o.Known...)
	out := []*Report{}
	for _, f := range deciders {
		t, err := p.newTrack(ctx, f, snapshots)
		if err != nil {
			return nil, err
		}
		if unread != nil {
			t.rep.SnapshotsUnread = unread.Error()
		}
		p.tracks = append(p.tracks, t)
		out = append(out, t.rep)
	}
	if err := p.run(ctx); err != nil {
		return nil, err
	}
	for _, t := range p.tracks {
		if err := t.finish(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", t.id.Name, err)
		}
	}
	return out, nil
}

// run reads journal and outputs side by side.
func (p *pass) run(ctx context.Context) error {
	start, begin := uint64(0), make(map[string]uint64, 2)
	for i, t := range p.tracks {
		if s := t.rep.Snapshot; i == 0 || s < start {
			start = s
		}
		for _, stream := range []string{events.StreamCommands, events.StreamRevenue} {
			if at := t.begin[stream]; i == 0 || at < begin[stream] {
				begin[stream] = at
			}
		}
	}
	outs := p.openOutputs(ctx, begin)
	defer outs.close()
	n := 0
	for m, err := range p.src.Read(ctx, events.StreamJournal, start) {
		if err != nil {
			return err
		}
		if m.Arrived.After(p.began) || p.o.To > 0 && m.Sequence > p.o.To {
			break
		}
		if n == 0 {
			for _, t := range p.tracks {
				t.rep.First = m.Sequence
			}
		}
		if n++; n%progressEvery == 0 && p.o.Progress != nil {
			p.o.Progress(m.Sequence)
		}
		if err := outs.until(m.Arrived.Add(readAhead), p.take); err != nil {
			return err
		}
		for _, t := range p.tracks {
			if err := t.feed(m); err != nil {
				return fmt.Errorf("%s: %w", t.id.Name, err)
			}
		}
	}
	return outs.rest(p.take)
}

// take hands a stored message to the decider that said it.
func (p *pass) take(stream string, m *decider.Raw) {
	site, name, key, ok := decider.ParseMessageID(headerOf(m.Header, events.HeaderMsgID))
	if !ok {
		for _, t := range p.tracks {
			if c := checkpointOf(m, p.src.Site(), t.id); c != nil {
				t.checkpoint(c, m.Sequence)
			}
		}
		return
	}
	if site != p.src.Site() {
		return
	}
	for _, t := range p.tracks {
		if t.id.Name == name {
			t.stored(stream, key, m)
		}
	}
}

// outputs reads the output streams as far as they are wanted.
type outputs struct {
	streams []*outputStream
}

type outputStream struct {
	name string
	next func() (*decider.Raw, error, bool)
	stop func()
	head *decider.Raw // read and not taken
	done bool
}

func (p *pass) openOutputs(ctx context.Context, after map[string]uint64) *outputs {
	o := &outputs{}
	for _, stream := range []string{events.StreamCommands, events.StreamRevenue} {
		next, stop := iter.Pull2(p.src.Read(ctx, stream, after[stream]+1))
		o.streams = append(o.streams, &outputStream{name: stream, next: next, stop: stop})
	}
	return o
}

func (o *outputs) close() {
	for _, s := range o.streams {
		s.stop()
	}
}

// until takes what was stored up to t.
func (o *outputs) until(t time.Time, take func(string, *decider.Raw)) error {
	for _, s := range o.streams {
		for {
			if s.head == nil && !s.done {
				m, err, ok := s.next()
				if err != nil {
					return err
				}
				s.head, s.done = m, !ok
			}
			if s.head == nil || s.head.Arrived.After(t) {
				break
			}
			take(s.name, s.head)
			s.head = nil
		}
	}
	return nil
}

func (o *outputs) rest(take func(string, *decider.Raw)) error {
	return o.until(time.Unix(1<<40, 0), take)
}
