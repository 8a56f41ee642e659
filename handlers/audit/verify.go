// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Options of Verify. The zero value verifies from the beginning of what is
// kept.
type Options struct {
	// Snapshots to begin from, by decider name, as stored in the object store
	// events.SnapshotBucket (handlers/host.SnapshotKey).
	Snapshots map[string][]byte
	// Grace is how young a cause may be whose outputs need not be stored yet,
	// on a live source; 0 means 10 s.
	Grace time.Duration
	// Findings is how many of each kind are listed one by one; all are
	// counted. 0 means 20.
	Findings int
}

const (
	defaultGrace    = 10 * time.Second
	defaultFindings = 20
)

// Verify folds the journal of a source with each decider and compares what was
// stored with what the fold says. It changes nothing. A report that is not
// clean is not an error; an error means that nothing was found out.
func Verify(ctx context.Context, src Source, o Options, deciders ...decider.Decider) ([]*Report, error) {
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Findings == 0 {
		o.Findings = defaultFindings
	}
	// Before the outputs are read: what arrives from now on is not judged.
	began := time.Now()
	known, err := Openings(ctx, src)
	if err != nil {
		return nil, fmt.Errorf("verify %s: %w", src.Site(), err)
	}
	var out []*Report
	for _, d := range deciders {
		v := &verifier{src: src, o: o, began: began, rep: &Report{Site: src.Site(), Identity: d.Identity()}}
		if err := v.run(ctx, d, known); err != nil {
			return nil, fmt.Errorf("verify %s of %s: %w", d.Identity().Name, src.Site(), err)
		}
		out = append(out, v.rep)
	}
	return out, nil
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
	for m, err := range src.Read(ctx, events.StreamJournal) {
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

// entry is one stored output.
type entry struct {
	stream   string
	sequence uint64
	sum      decider.Digest
	arrived  time.Time // of its cause, as it says
	copies   int
}

// place of a cause in the journal.
type place struct{ epoch, sequence uint64 }

// stands is what is known of a cause that has stored outputs.
type stands struct {
	entries map[uint32]*entry // by ordinal
	folded  bool              // the journal has the cause
	other   *decider.Activation
}

// since reports whether the cause says that it arrived after t.
func (c *stands) since(t time.Time) bool {
	for _, e := range c.entries {
		return e.arrived.After(t)
	}
	return false
}

type verifier struct {
	src   Source
	o     Options
	began time.Time
	rep   *Report

	r           *decider.Runner
	causes      map[place]*stands
	checkpoints map[place]*events.DeciderCheckpoint
	spans       map[decider.Activation]*Span
}

func (v *verifier) run(ctx context.Context, d decider.Decider, known []decider.Opening) error {
	var err error
	if v.r, err = decider.NewRunner(v.src.Prefix(), v.src.Site(), d); err != nil {
		return err
	}
	var head *decider.Header
	if data := v.o.Snapshots[d.Identity().Name]; data != nil {
		if head, err = v.r.Restore(data); err != nil {
			return err
		}
		v.rep.Snapshot = head.Sequence
	}
	for _, o := range known {
		v.r.Opened(o)
	}
	v.causes = make(map[place]*stands)
	v.checkpoints = make(map[place]*events.DeciderCheckpoint)
	v.spans = make(map[decider.Activation]*Span)
	for _, stream := range []string{events.StreamCommands, events.StreamRevenue} {
		if err := v.index(ctx, stream); err != nil {
			return err
		}
	}
	if err := v.fold(ctx, head, known); err != nil {
		return err
	}
	v.leftovers(known)
	return v.payloads(ctx)
}

// index reads what is stored of the decider, digests only.
func (v *verifier) index(ctx context.Context, stream string) error {
	newest := events.OrderKey{}
	for m, err := range v.src.Read(ctx, stream) {
		if err != nil {
			return err
		}
		site, name, key, ok := decider.ParseMessageID(headerOf(m.Header, events.HeaderMsgID))
		if !ok {
			v.checkpoint(m)
			continue
		}
		if site != v.src.Site() || name != v.r.Identity().Name {
			continue
		}
		at := place{key.Epoch, key.Sequence}
		c := v.causes[at]
		if c == nil {
			c = &stands{entries: make(map[uint32]*entry, 2)}
			v.causes[at] = c
		}
		v.rep.Stored++
		sum := digest(m.Subject, m.Header, m.Data)
		if have := c.entries[key.Ordinal]; have != nil {
			have.copies++
			v.rep.Copies++
			if have.sum != sum {
				v.rep.add(&v.rep.Differing, v.o.Findings, Finding{Key: key, Stream: stream, StreamSequence: m.Sequence, What: "a second copy under the same id says something else"})
			}
			continue
		}
		arrived, _ := time.Parse(time.RFC3339Nano, headerOf(m.Header, events.HeaderCETime))
		c.entries[key.Ordinal] = &entry{stream: stream, sequence: m.Sequence, sum: sum, arrived: arrived, copies: 1}
		if key.Compare(newest) < 0 {
			v.rep.Reordered++
		} else {
			newest = key
		}
	}
	return nil
}

func (v *verifier) checkpoint(m *decider.Raw) {
	a, err := events.ParseSubject(m.Subject)
	if err != nil || a.Type != events.TypeDeciderCheckpoint || a.Site != v.src.Site() {
		return
	}
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return
	}
	id := v.r.Identity()
	if c, ok := e.Data.(*events.DeciderCheckpoint); ok && c.Decider == id.Name && c.Version == id.Version && c.ConfigHash == id.ConfigHash {
		at := place{c.Epoch, c.Sequence}
		if v.checkpoints[at] == nil {
			v.checkpoints[at] = c
		}
	}
}

func (v *verifier) fold(ctx context.Context, head *decider.Header, known []decider.Opening) error {
	for m, err := range v.src.Read(ctx, events.StreamJournal) {
		if err != nil {
			return err
		}
		if v.rep.First == 0 {
			v.rep.First = m.Sequence
		}
		if head != nil && m.Sequence <= head.Sequence {
			if m.Sequence == head.Sequence {
				if !head.Follows(m, known) {
					return fmt.Errorf("the snapshot was not taken of this journal: message %d differs", m.Sequence)
				}
				v.rep.Anchored = true
			}
			continue
		}
		if m.Arrived.After(v.began) {
			break
		}
		st, err := v.r.Feed(m)
		if err != nil {
			return err
		}
		v.rep.Last, v.rep.Epoch = v.r.Sequence(), v.r.Epoch()
		v.rep.Messages++
		if err := v.judge(&st, m.Sequence); err != nil {
			return err
		}
	}
	v.rep.Counts, v.rep.StateHash = v.r.Counts(), v.r.StateHash()
	return nil
}

// judge compares what is stored of one cause with what the fold says.
func (v *verifier) judge(st *decider.Step, sequence uint64) error {
	at := place{v.r.Epoch(), sequence}
	c := v.causes[at]
	if c != nil {
		c.folded = true
	}
	if cp := v.checkpoints[at]; cp != nil {
		v.compareCheckpoint(cp)
		delete(v.checkpoints, at)
	}
	if st.Outcome != decider.Folded {
		return nil
	}
	if !st.Speaks {
		if active, ok := v.r.Active(); ok && c != nil {
			c.other = &active
		}
		return nil
	}
	if len(st.Outputs) == 0 {
		return nil
	}
	batches, _, err := v.r.Batches(st)
	if err != nil {
		v.rep.Invalid++ // left out by the hosts too
	}
	for _, b := range batches {
		for _, m := range b.Messages {
			_, _, key, _ := decider.ParseMessageID(headerOf(m.Header, events.HeaderMsgID))
			v.compare(c, key, b.Stream, m, st.Event.Arrived)
		}
	}
	return nil
}

func (v *verifier) compare(c *stands, key events.OrderKey, stream string, m *nats.Msg, arrived time.Time) {
	var e *entry
	if c != nil {
		e = c.entries[key.Ordinal]
	}
	if e == nil {
		if v.began.Sub(arrived) < v.o.Grace {
			v.rep.Pending++
			return
		}
		v.rep.add(&v.rep.Missing, v.o.Findings, Finding{Key: key, Stream: stream, Subject: m.Subject, What: "the fold says it, the stream does not have it", Folded: string(m.Data)})
		return
	}
	delete(c.entries, key.Ordinal)
	v.rep.Compared++
	switch {
	case e.stream != stream:
		v.rep.add(&v.rep.Differing, v.o.Findings, Finding{Key: key, Stream: e.stream, StreamSequence: e.sequence, Subject: m.Subject, What: "it belongs into " + stream})
	case e.sum != digest(m.Subject, m.Header, m.Data):
		v.rep.add(&v.rep.Differing, v.o.Findings, Finding{Key: key, Stream: stream, StreamSequence: e.sequence, Subject: m.Subject, What: "it is not what the fold says", Folded: string(m.Data)})
	default:
		v.rep.Equal++
	}
}

func (v *verifier) compareCheckpoint(c *events.DeciderCheckpoint) {
	v.rep.Checkpoints++
	mine := v.r.Checkpoint()
	if *mine == *c {
		return
	}
	key := events.OrderKey{Epoch: c.Epoch, Sequence: c.Sequence}
	what := fmt.Sprintf("checkpoint: state %s, folded %d; stored state %s, folded %d", mine.StateHash, mine.Folded, c.StateHash, c.Folded)
	if mine.StateHash == c.StateHash && mine.Folded == c.Folded {
		what = "checkpoint: the same state from another journal (chain hash)"
	}
	v.rep.add(&v.rep.Differing, v.o.Findings, Finding{Key: key, Stream: events.StreamCommands, What: what})
}

// leftovers says what is with the stored outputs that no fold claimed.
func (v *verifier) leftovers(known []decider.Opening) {
	var epochs decider.Epochs
	for _, o := range known {
		epochs.Add(o)
	}
	var rest []place
	for at, c := range v.causes {
		if len(c.entries) > 0 {
			rest = append(rest, at)
		}
	}
	slices.SortFunc(rest, func(a, b place) int {
		return events.OrderKey{Epoch: a.epoch, Sequence: a.sequence}.Compare(events.OrderKey{Epoch: b.epoch, Sequence: b.sequence})
	})
	for _, at := range rest {
		c := v.causes[at]
		n := uint64(len(c.entries))
		switch {
		case c.other != nil:
			v.span(*c.other, at, n)
		case c.folded:
			for ordinal, e := range c.entries {
				v.rep.add(&v.rep.Extra, v.o.Findings, Finding{
					Key:    events.OrderKey{Epoch: at.epoch, Sequence: at.sequence, Ordinal: ordinal},
					Stream: e.stream, StreamSequence: e.sequence, What: "the fold does not say it",
				})
			}
		case at.sequence <= v.rep.Snapshot || at.sequence < v.rep.First && epochs.At(at.sequence) == at.epoch:
			v.rep.Before += n
		case at.sequence > v.rep.Last && c.since(v.began):
			v.rep.Behind += n
		default:
			v.lost(at, n, epochs.At(at.sequence) != at.epoch)
		}
	}
}

// span counts outputs of another version.
func (v *verifier) span(a decider.Activation, at place, n uint64) {
	s := v.spans[a]
	if s == nil {
		s = &Span{Activation: a, From: at.key()}
		v.spans[a] = s
		v.rep.OtherVersions = append(v.rep.OtherVersions, s)
	}
	s.To = at.key()
	s.Outputs += n
}

func (p place) key() events.OrderKey {
	return events.OrderKey{Epoch: p.epoch, Sequence: p.sequence}
}

// lost counts outputs whose cause the journal does not have.
func (v *verifier) lost(at place, n uint64, known bool) {
	if l := len(v.rep.Lost); l > 0 {
		if s := v.rep.Lost[l-1]; s.Epoch == at.epoch && s.KnownCut == known {
			s.To = at.sequence
			s.Causes++
			s.Outputs += n
			return
		}
	}
	v.rep.Lost = append(v.rep.Lost, &LostSpan{Epoch: at.epoch, From: at.sequence, To: at.sequence, Causes: 1, Outputs: n, KnownCut: known})
}

// payloads fetches the stored side of the findings that are listed.
func (v *verifier) payloads(ctx context.Context) error {
	want := make(map[string]map[uint64][]*Finding)
	for _, list := range [][]*Finding{v.rep.Differing.List, v.rep.Extra.List} {
		for _, f := range list {
			if f.StreamSequence == 0 {
				continue
			}
			if want[f.Stream] == nil {
				want[f.Stream] = make(map[uint64][]*Finding)
			}
			want[f.Stream][f.StreamSequence] = append(want[f.Stream][f.StreamSequence], f)
		}
	}
	for stream, places := range want {
		for m, err := range v.src.Read(ctx, stream) {
			if err != nil {
				return err
			}
			for _, f := range places[m.Sequence] {
				f.Subject, f.StoredData = m.Subject, string(m.Data)
			}
			delete(places, m.Sequence)
			if len(places) == 0 {
				break
			}
		}
	}
	return nil
}

// digest over everything of a message that must follow from the journal. The
// server's own headers and those of batches are not among it.
func digest(subject string, h nats.Header, data []byte) decider.Digest {
	s := sha256.New()
	part := func(b string) {
		fmt.Fprintf(s, "%d:%s,", len(b), b)
	}
	part(subject)
	for _, k := range []string{
		events.HeaderCESpecVersion, events.HeaderCEID, events.HeaderCEType, events.HeaderCESource, events.HeaderCETime,
		events.HeaderCausation, events.HeaderCorrelation, events.HeaderContentType, events.HeaderMsgID,
	} {
		part(headerOf(h, k))
	}
	s.Write(data)
	return decider.Digest(s.Sum(nil))
}

func headerOf(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// ErrNotClean is what Report.Err returns.
var ErrNotClean = errors.New("decisions do not follow from the journal")
