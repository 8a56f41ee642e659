// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"slices"
	"sort"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// OutputStreams are where deciders' outputs are stored.
func OutputStreams() []string { return []string{events.StreamCommands, events.StreamRevenue} }

// Said is one stored output.
type Said struct {
	events.OrderKey
	// Arrived is when its cause arrived in the journal, Unix nanoseconds.
	Arrived int64
}

// rememberForgotten outputs that no later cause can repeat before the memory of
// them is given back.
const rememberForgotten = 4096

// Outputs is what a replica has seen in the output streams of one decider at one
// site. Its memory is bounded by what is stored behind the positions it begins
// at.
type Outputs struct {
	site string
	id   decider.Identity

	from map[string]uint64 // first sequence looked at, per stream
	next map[string]uint64 // first sequence not looked at, per stream
	dec  events.Decoder
	keys []Said // rising up to looked, then as they came
	// looked keys are in order.
	looked int
	// checkpoints of this identity by (epoch, sequence).
	checkpoints map[[2]uint64]*events.DeciderCheckpoint
}

// NewOutputs begins behind the given positions; a stream that is missing there
// is looked at from its beginning.
func NewOutputs(site string, id decider.Identity, behind map[string]uint64) *Outputs {
	o := &Outputs{
		site: site, id: id,
		from: make(map[string]uint64), next: make(map[string]uint64), checkpoints: make(map[[2]uint64]*events.DeciderCheckpoint),
	}
	for _, s := range OutputStreams() {
		o.from[s], o.next[s] = behind[s]+1, behind[s]+1
	}
	return o
}

// From is the first sequence of a stream that was looked at.
func (o *Outputs) From(stream string) uint64 { return o.from[stream] }

// Start is the anchor of a session that folds on from a position in the journal
// and looks from where this one began: what the causes behind it gave may have
// been said long ago, so it must not be the end of the look.
func (o *Outputs) Start(journal uint64) Anchor {
	a := Anchor{Journal: journal, Outputs: make(map[string]uint64, len(o.from))}
	for _, s := range OutputStreams() {
		a.Outputs[s] = o.from[s] - 1
	}
	return a
}

// Next is the first sequence of a stream that was not looked at.
func (o *Outputs) Next(stream string) uint64 { return o.next[stream] }

// Rewind makes the next look at a stream begin at its first message: the stream
// is younger than was thought, and all of it is new.
func (o *Outputs) Rewind(stream string) { o.next[stream] = 1 }

// Skip leaves out what is stored before a position noted (see Anchors): it is of
// causes that will not be folded again.
func (o *Outputs) Skip(a Anchor) {
	for _, s := range OutputStreams() {
		o.next[s] = max(o.next[s], a.Outputs[s]+1)
	}
}

// Take notes one message of a stream; they come in order. What is no output and
// no checkpoint of this decider moves the position only. The message is not kept.
func (o *Outputs) Take(stream string, m *decider.Raw) {
	o.next[stream] = m.Sequence + 1
	site, name, key, ok := decider.ParseMessageID(m.Header.Get(events.HeaderMsgID))
	if ok {
		if site == o.site && name == o.id.Name {
			at, _ := time.Parse(time.RFC3339Nano, m.Header.Get(events.HeaderCETime))
			o.keys = append(o.keys, Said{key, at.UnixNano()})
		}
		return
	}
	a, err := events.ParseSubject(m.Subject)
	if err != nil || a.Type != events.TypeDeciderCheckpoint {
		return
	}
	e, err := o.dec.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return
	}
	if c, ok := e.Data.(*events.DeciderCheckpoint); ok && o.mine(c) {
		at := [2]uint64{c.Epoch, c.Sequence}
		if _, known := o.checkpoints[at]; !known {
			o.checkpoints[at] = c
		}
	}
}

func (o *Outputs) mine(c *events.DeciderCheckpoint) bool {
	return c.Decider == o.id.Name && c.Version == o.id.Version && c.ConfigHash == o.id.ConfigHash
}

// Looked ends a look: what was taken counts from now on.
func (o *Outputs) Looked() {
	if len(o.keys) > o.looked {
		slices.SortFunc(o.keys, func(a, b Said) int { return a.Compare(b.OrderKey) })
		o.keys = slices.CompactFunc(o.keys, func(a, b Said) bool { return a.OrderKey == b.OrderKey })
	}
	o.looked = len(o.keys)
}

// Said are the outputs known, by rising key. The slice must not be changed and
// is valid until the next call.
func (o *Outputs) Said() []Said { return o.keys[:o.looked] }

// Holds reports whether the output k is stored, as far as was looked.
func (o *Outputs) Holds(k events.OrderKey) bool {
	said := o.Said()
	i := sort.Search(len(said), func(i int) bool { return said[i].Compare(k) >= 0 })
	return i < len(said) && said[i].OrderKey == k
}

// Unsaid are those of a cause's batches that are not stored, as far as was
// looked. What is known of causes up to this one is forgotten: causes rise.
func (o *Outputs) Unsaid(cause *events.Event, batches []decider.Batch) []decider.Batch {
	var out []decider.Batch
	for _, b := range batches {
		if !o.Holds(b.First) {
			out = append(out, b)
		}
	}
	o.forget(events.OrderKey{Epoch: cause.Epoch, Sequence: cause.Sequence, Ordinal: ^uint32(0)})
	return out
}

// forget drops what is known about causes at or before k.
func (o *Outputs) forget(k events.OrderKey) {
	said := o.Said()
	i := sort.Search(len(said), func(i int) bool { return said[i].Compare(k) > 0 })
	if i > 0 && (i == len(said) || i > rememberForgotten) {
		o.keys = slices.Clone(o.keys[i:])
		o.looked -= i
	}
}

// Checkpoint takes out the first stored checkpoint of this identity at a place
// in the journal, nil when none was seen.
func (o *Outputs) Checkpoint(epoch, sequence uint64) *events.DeciderCheckpoint {
	at := [2]uint64{epoch, sequence}
	c := o.checkpoints[at]
	delete(o.checkpoints, at)
	return c
}
