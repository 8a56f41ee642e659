// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
)

// Bounds of the spool.
const (
	// spoolAge after which a block is no longer sent: its chain has gone on.
	spoolAge = 24 * time.Hour
	// mostSpooled blocks are sent after a start; the others wait for the next.
	mostSpooled = 64
	spoolSuffix = ".block"
	partSuffix  = ".part" // one that is being written
)

// spool keeps blocks whole until a node has answered, so that one which no node
// has got is sent again after a restart. A nil spool keeps nothing.
type spool struct {
	dir string
	log *slog.Logger
}

func newSpool(c Config) *spool { return &spool{dir: filepath.Join(c.Dir, "blocks"), log: c.Log} }

// held is a block in the spool.
type held struct {
	spool   *spool
	path    string
	writing sync.WaitGroup
}

// hold writes a block down, at the same time as it is sent.
func (s *spool) hold(b *block) *held {
	if s == nil {
		return nil
	}
	h := &held{spool: s, path: filepath.Join(s.dir, b.hash.String()+spoolSuffix)}
	h.writing.Go(func() {
		if err := s.write(h.path, b); err != nil {
			s.log.Warn("a block is not kept over a restart", "hash", b.hash.String(), "error", err)
		}
	})
	return h
}

func (s *spool) write(path string, b *block) error {
	if _, err := os.Stat(path); err == nil {
		return nil // of an earlier try
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(s.dir, "*"+partSuffix)
	if err != nil {
		return err
	}
	_, err = f.Write(b.head)
	for _, d := range b.txs.data {
		if err == nil {
			_, err = f.Write(d)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // it is of no use
	}
	return err
}

// release a block: it goes once a node has answered, and else is sent again
// after the next start.
func (h *held) release(answered bool) {
	if h == nil {
		return
	}
	h.writing.Wait()
	if !answered {
		return
	}
	if err := os.Remove(h.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		h.spool.log.Warn("a block that is settled could not be removed; it will be sent again", "error", err)
	}
}

// left are the blocks that no node has answered.
func (s *spool) left() ([]*block, error) {
	if s == nil {
		return nil, nil
	}
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var blocks []*block
	failed := err
	for _, e := range entries {
		path := filepath.Join(s.dir, e.Name())
		info, err := e.Info()
		switch {
		case err != nil || !info.Mode().IsRegular():
		case time.Since(info.ModTime()) > spoolAge:
			_ = os.Remove(path) // nobody wants it any more; nor what was cut short
		case strings.HasSuffix(e.Name(), spoolSuffix) && len(blocks) < mostSpooled:
			b, err := readBlock(path, info.Size())
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			blocks = append(blocks, b)
		}
	}
	return blocks, failed
}

func readBlock(path string, size int64) (*block, error) {
	if size > 2*maxBlockBytes {
		return nil, fmt.Errorf("%s: a block of %d bytes", path, size)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var h hashengine.Header
	if copy(h[:], raw) < len(h) {
		return nil, fmt.Errorf("%s: %d bytes are no block", path, len(raw))
	}
	hash := h.Hash()
	if hash.String()+spoolSuffix != filepath.Base(path) {
		return nil, fmt.Errorf("%s: its block has the hash %s", path, hash)
	}
	return &block{hash: hash, head: raw, txs: &transactions{}}, nil
}

// sendAgain sends the blocks of an earlier start that no node has answered.
// Nobody waits for a verdict.
func (n *Node) sendAgain(trouble func(error)) {
	blocks, err := n.spool.left()
	if err != nil {
		trouble(fmt.Errorf("blocks that an earlier start left: %w", err))
	}
	for _, b := range blocks {
		abort, stopping, ok := n.enter()
		if !ok {
			return
		}
		n.config.Log.Info("a block of an earlier start that no node has answered is sent again", "hash", b.hash.String())
		go func() {
			defer n.inflight.Done()
			o := n.offer(abort, stopping, b)
			o.decide(abort)
			o.rest(stopping)
		}()
	}
}
