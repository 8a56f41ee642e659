// SPDX-License-Identifier: Apache-2.0

package decider

// Opening is one journal.opened as far as order keys need it.
type Opening struct {
	// Epoch taken.
	Epoch uint64 `json:"epoch"`
	// After is the last journal sequence that does not belong to it.
	After uint64 `json:"after"`
}

// Epochs tells which epoch a journal sequence belongs to. The boundary is what
// journal.opened says, not where its relayed copy stands: a reading that
// arrived between the opening and the relay already belongs to the new epoch,
// or its decision would reuse the message id of one that a cut tail lost. The
// zero value knows epoch 0 only. Not safe for concurrent use.
type Epochs struct {
	list []Opening // rising by Epoch
}

// Add records an opening and reports whether it was new.
func (e *Epochs) Add(o Opening) bool {
	i := len(e.list)
	for i > 0 && e.list[i-1].Epoch >= o.Epoch {
		if e.list[i-1].Epoch == o.Epoch {
			return false
		}
		i--
	}
	e.list = append(e.list, Opening{})
	copy(e.list[i+1:], e.list[i:])
	e.list[i] = o
	return true
}

// At is the epoch of a sequence: the newest one opened before it.
func (e *Epochs) At(sequence uint64) uint64 {
	for i := len(e.list) - 1; i >= 0; i-- {
		if e.list[i].After < sequence {
			return e.list[i].Epoch
		}
	}
	return 0
}

// Newest epoch opened, 0 when none.
func (e *Epochs) Newest() uint64 {
	if len(e.list) == 0 {
		return 0
	}
	return e.list[len(e.list)-1].Epoch
}

// Openings are all that are known, oldest first; the slice is a copy.
func (e *Epochs) Openings() []Opening { return append([]Opening(nil), e.list...) }
