// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"github.com/ballast-energy/ballast/workers/node/shelf"
)

// keeper puts templates on a shelf behind the back of who mines: no job waits
// for a disk. A nil keeper keeps nothing.
type keeper struct {
	shelf *shelf.Shelf
	log   *slog.Logger
	more  chan struct{} // capacity 1

	mu      sync.Mutex
	waiting []*template // oldest first
}

// mostWaiting templates: a disk that is slower than that is said to be.
const mostWaiting = 8

func newKeeper(c Config) *keeper {
	return &keeper{shelf: shelf.New(shelf.Config{Dir: filepath.Join(c.Dir, "templates"), Keep: c.Keep}), log: c.Log, more: make(chan struct{}, 1)}
}

// put a template aside, to be kept soon.
func (k *keeper) put(t *template) {
	if k == nil || len(t.branches) == 0 {
		return // a block without transactions needs none
	}
	k.mu.Lock()
	if k.waiting = append(k.waiting, t); len(k.waiting) > mostWaiting {
		k.log.Warn("a block template is not kept over a restart: the disk is too slow", "height", k.waiting[0].height)
		k.waiting = append([]*template(nil), k.waiting[1:]...)
	}
	k.mu.Unlock()
	select {
	case k.more <- struct{}{}:
	default:
	}
}

// next template that waits, nil when none does.
func (k *keeper) next() *template {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.waiting) == 0 {
		return nil
	}
	t := k.waiting[0]
	k.waiting = k.waiting[1:]
	return t
}

// run keeps what waits until stop is called, which returns when all is kept.
func (k *keeper) run(trouble func(error)) (stop func()) {
	if k == nil {
		return func() {}
	}
	var working sync.WaitGroup
	stopping := make(chan struct{})
	working.Go(func() {
		for last := false; ; {
			for t := k.next(); t != nil; t = k.next() {
				if err := k.keep(t); err != nil {
					trouble(fmt.Errorf("blocks of the jobs at height %d cannot be made after a restart: %w", t.height, err))
				}
			}
			if last {
				return
			}
			select {
			case <-k.more:
			case <-stopping:
				last = true
			}
		}
	})
	return func() {
		close(stopping)
		working.Wait()
		if err := k.shelf.Close(); err != nil {
			k.log.Warn("block templates may not be kept over a restart", "error", err)
		}
	}
}

func (k *keeper) keep(t *template) error {
	return k.shelf.Put(shelf.Template{Key: shelf.Key(keyOf(t.prev, t.branches)), Previous: t.prev, IDs: t.txs.hashes, Data: t.txs.data})
}

// find the transactions of a template of an earlier start, or one that is no
// longer in memory.
func (k *keeper) find(key storeKey) (*transactions, error) {
	if k == nil {
		return nil, shelf.ErrNotKept
	}
	data, err := k.shelf.Find(shelf.Key(key))
	if err != nil {
		return nil, err
	}
	return &transactions{data: data}, nil
}
