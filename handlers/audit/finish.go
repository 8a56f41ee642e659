// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// finish says what is with the outputs that nobody claimed, and explains the
// first divergence.
func (t *track) finish(ctx context.Context) error {
	t.rep.Counts, t.rep.StateHash = t.r.Counts(), t.r.StateHash()
	keys := slices.SortedFunc(maps.Keys(t.expected), events.OrderKey.Compare)
	for _, k := range keys {
		t.missing(k, t.expected[k])
	}
	for _, at := range slices.SortedFunc(maps.Keys(t.ahead), place.compare) {
		for _, e := range t.ahead[at] {
			switch {
			case at.sequence > t.rep.Last && (e.arrived.After(t.began) || t.o.To > 0):
				t.rep.Behind++
			default:
				t.lost(at, 1, t.epochs.At(at.sequence) != at.epoch)
			}
		}
	}
	if err := t.settleLate(ctx); err != nil {
		return err
	}
	if err := t.payloads(ctx); err != nil {
		return err
	}
	return t.explain(ctx)
}

// settleLate looks into outputs whose cause was passed when they were read, and
// that no fold said: the cause may not be in the journal, or they are second
// copies of some that agreed long before.
func (t *track) settleLate(ctx context.Context) error {
	if len(t.late) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(t.late), events.OrderKey.Compare)
	causes := make(map[uint64]bool, len(keys))
	for _, k := range keys {
		causes[k.Sequence] = false
	}
	for m, err := range t.src.Read(ctx, events.StreamJournal, keys[0].Sequence) {
		if err != nil {
			return err
		}
		if _, asked := causes[m.Sequence]; asked {
			causes[m.Sequence] = true
		}
	}
	first := make(map[events.OrderKey]entry, len(keys))
	for _, stream := range []string{events.StreamCommands, events.StreamRevenue} {
		for m, err := range t.src.Read(ctx, stream, t.begin[stream]+1) {
			if err != nil {
				return err
			}
			_, name, key, ok := decider.ParseMessageID(headerOf(m.Header, events.HeaderMsgID))
			if !ok || name != t.id.Name {
				continue
			}
			if _, asked := t.late[key]; !asked {
				continue
			}
			if _, seen := first[key]; !seen {
				first[key] = entry{stream: stream, sequence: m.Sequence, sum: digest(m.Subject, m.Header, m.Data)}
			}
		}
	}
	for _, k := range keys {
		e := t.late[k]
		switch f := first[k]; {
		case f.stream == e.stream && f.sequence < e.sequence:
			t.copy(k, &e, f.sum)
		case causes[k.Sequence]:
			t.extra(placeOf(k), &e)
		default:
			t.lost(placeOf(k), 1, false)
		}
	}
	return nil
}

// span counts outputs of another version.
func (t *track) span(a decider.Activation, at place, n uint64) {
	if n == 0 {
		return
	}
	s := t.spans[a]
	if s == nil {
		s = &Span{Activation: a, From: at.key(), To: at.key()}
		t.spans[a] = s
		t.rep.OtherVersions = append(t.rep.OtherVersions, s)
	}
	if at.key().Compare(s.From) < 0 {
		s.From = at.key()
	}
	if at.key().Compare(s.To) > 0 {
		s.To = at.key()
	}
	s.Outputs += n
}

// maxLost spans are told apart.
const maxLost = 1000

// lost counts outputs whose cause the journal does not have.
func (t *track) lost(at place, n uint64, known bool) {
	for i := len(t.rep.Lost) - 1; i >= 0; i-- {
		s := t.rep.Lost[i]
		if s.Epoch != at.epoch || s.KnownCut != known {
			continue
		}
		if t.lastLost != at {
			s.Causes++
		}
		t.lastLost = at
		s.From, s.To = min(s.From, at.sequence), max(s.To, at.sequence)
		s.Outputs += n
		return
	}
	t.lastLost = at
	if len(t.rep.Lost) < maxLost {
		t.rep.Lost = append(t.rep.Lost, &LostSpan{Epoch: at.epoch, From: at.sequence, To: at.sequence, Causes: 1, Outputs: n, KnownCut: known})
	}
}

// payloads fetches the stored side of the findings that are listed.
func (t *track) payloads(ctx context.Context) error {
	for _, list := range [][]*Finding{t.rep.Differing.List, t.rep.Extra.List} {
		for _, f := range list {
			if f.StreamSequence == 0 {
				continue
			}
			for m, err := range t.src.Read(ctx, f.Stream, f.StreamSequence) {
				if err != nil {
					return err
				}
				if m.Sequence == f.StreamSequence {
					f.Subject, f.StoredData = m.Subject, string(m.Data)
				}
				break
			}
		}
	}
	return nil
}

// digested headers: everything of them that must follow from the journal. The
// server's own and those of batches are not among it.
var digested = [...]string{
	events.HeaderCESpecVersion, events.HeaderCEID, events.HeaderCEType, events.HeaderCESource, events.HeaderCETime,
	events.HeaderCausation, events.HeaderCorrelation, events.HeaderContentType, events.HeaderMsgID,
}

// digest over everything of a message that must follow from the journal.
func digest(subject string, h nats.Header, data []byte) decider.Digest {
	b := make([]byte, 0, 1024)
	part := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	part(subject)
	for _, k := range digested {
		part(headerOf(h, k))
	}
	return sha256.Sum256(append(b, data...))
}

func headerOf(h nats.Header, key string) string {
	if v := h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}
