// SPDX-License-Identifier: Apache-2.0

package replica

// Anchor joins a position in the journal with positions in the output streams:
// every output of a message behind Journal is stored behind Outputs.
type Anchor struct {
	Journal uint64
	// Outputs by stream; what is missing is 0. Not to be changed.
	Outputs map[string]uint64
}

// maxAnchors kept at a time.
const maxAnchors = 256

// Anchors are the positions that a session has noted. The zero value has none
// and knows nothing: begin with that of the state folded on from.
type Anchors struct {
	list []Anchor
}

// Note adds an anchor. To make one, ask the output streams for their ends first
// and the journal after that: an output of a message that arrives later is
// stored behind what they answered.
func (l *Anchors) Note(a Anchor) {
	if n := len(l.list); n > 1 && l.list[n-1].Journal == a.Journal {
		return // nothing new: the older positions are as true
	}
	l.list = append(l.list, a)
	if len(l.list) <= maxAnchors {
		return
	}
	// Thin out the middle: the first is needed by what is unconfirmed, the
	// last by the next snapshot.
	kept := l.list[:1]
	for i := 1; i < len(l.list); i++ {
		if i%2 == 1 || i == len(l.list)-1 {
			kept = append(kept, l.list[i])
		}
	}
	l.list = kept
}

// Before is the newest anchor whose journal position is before sequence; ok is
// false when there is none. Older ones are forgotten: causes only rise.
func (l *Anchors) Before(sequence uint64) (a Anchor, ok bool) {
	at := -1
	for i := range l.list {
		if l.list[i].Journal >= sequence {
			break
		}
		at = i
	}
	if at < 0 {
		return Anchor{}, false
	}
	l.list = l.list[at:]
	return l.list[0], true
}
