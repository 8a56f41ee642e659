// SPDX-License-Identifier: Apache-2.0

package node

import (
	"crypto/sha256"
	"slices"
	"sync"

	"github.com/ballast-energy/ballast/hashengine"
)

// store keeps the transactions of the last templates, so that blocks can be
// made of jobs.
type store struct {
	mu     sync.Mutex
	limit  int
	order  []storeKey // oldest first
	kept   map[storeKey]*template
	last   *template
	height int64 // highest ever
}

// readyTemplates are those from which blocks are most likely: their
// transactions are kept in the form in which they are sent, too.
const readyTemplates = 3

// storeKey stands for the previous block and the exact list of transactions:
// the branches commit to it.
type storeKey [sha256.Size]byte

func keyOf(prev hashengine.Hash, branches []hashengine.Hash) storeKey {
	h := sha256.New()
	h.Write(prev[:])
	for i := range branches {
		h.Write(branches[i][:])
	}
	return storeKey(h.Sum(nil))
}

func newStore(limit int) *store {
	return &store{limit: limit, kept: map[storeKey]*template{}}
}

func (s *store) keep(t *template) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := keyOf(t.prev, t.branches)
	if _, ok := s.kept[k]; ok {
		// It has come back: the newest is the last to be forgotten.
		s.order = slices.DeleteFunc(s.order, func(o storeKey) bool { return o == k })
	}
	s.order = append(s.order, k)
	s.kept[k], s.last = t, t
	s.height = max(s.height, t.height)
	if i := len(s.order) - 1 - readyTemplates; i >= 0 {
		s.kept[s.order[i]].txs.forget()
	}
	for len(s.order) > s.limit {
		delete(s.kept, s.order[0])
		s.order = s.order[1:]
	}
}

// find the template of a job, nil if it is not kept.
func (s *store) find(prev hashengine.Hash, branches []hashengine.Hash) *template {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[keyOf(prev, branches)]
}

// newest transactions, nil without any.
func (s *store) newest() *transactions {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	return s.last.txs
}

// highest is the greatest height that has been mined at, 0 at first.
func (s *store) highest() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.height
}

// seen reports whether a template kept built on the block.
func (s *store) seen(prev hashengine.Hash) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.kept {
		if t.prev == prev {
			return true
		}
	}
	return false
}
