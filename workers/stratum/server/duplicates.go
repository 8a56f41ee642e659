// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/binary"
	"sync"

	"github.com/ballast-energy/ballast/hashengine"
)

// filterShards keeps connections from waiting for each other.
const filterShards = 16

// digest stands for a header: 128 bits of its double SHA-256 from the end that
// proof of work leaves random.
type digest [2]uint64

func digestOf(h *hashengine.Hash) digest {
	return digest{binary.LittleEndian.Uint64(h[0:]), binary.LittleEndian.Uint64(h[8:])}
}

// duplicates remembers the shares of one job, at most a fixed number of them.
type duplicates struct {
	perShard int
	shards   [filterShards]struct {
		mu   sync.Mutex
		seen map[digest]struct{}
	}
}

func newDuplicates(most int) *duplicates {
	return &duplicates{perShard: max(most/filterShards, 1)}
}

// remembered is what became of a digest.
type remembered int

const (
	isNew remembered = iota
	isDuplicate
	// isFull: not seen, and there is no room to remember it.
	isFull
)

// add remembers a digest. must overrides the bound.
func (f *duplicates) add(d digest, must bool) remembered {
	s := &f.shards[d[0]%filterShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.seen[d]; ok {
		return isDuplicate
	}
	if len(s.seen) >= f.perShard && !must {
		return isFull
	}
	if s.seen == nil {
		s.seen = make(map[digest]struct{})
	}
	s.seen[d] = struct{}{}
	return isNew
}

// forget a digest: its share could not be stored and may come again.
func (f *duplicates) forget(d digest) {
	s := &f.shards[d[0]%filterShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.seen, d)
}
