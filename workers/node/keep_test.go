// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/shelf"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// copied is a folder as a process that is killed now leaves it.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// eventually waits until ok holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-time.After(time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// size of all files below a folder.
func size(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return n
}

func TestBlocksAreMadeOfTemplatesBeforeARestart(t *testing.T) {
	f := newFake(t)
	f.template["transactions"] = []any{someTransaction(t)}
	delete(f.template, "default_witness_commitment")
	c := config(f)
	c.Dir = t.TempDir()
	e, _ := run(t, newNode(t, c))
	s := solve(t, e.number(1), 1)
	eventually(t, "the template to be kept", func() bool { return size(t, filepath.Join(c.Dir, "templates")) > 100 })
	c.Dir = copied(t, c.Dir) // killed
	f.set(func() { f.template = template(2, blockHash(2)) })
	again := newNode(t, c)
	if err := again.SubmitBlock(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if b := f.lastBlock(); b.BlockHash() != [32]byte(s.Hash) || len(b.Transactions) != 2 {
		t.Errorf("block %+v", b.Header)
	}
	// Nothing of it is left to be sent again.
	again.Close()
	if left, err := os.ReadDir(filepath.Join(c.Dir, "blocks")); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
	// Without the folder it cannot be made.
	c.Dir = ""
	if err := newNode(t, c).SubmitBlock(t.Context(), s); !errors.Is(err, node.ErrNoTransactions) || !errors.Is(err, shelf.ErrNotKept) {
		t.Errorf("%v", err)
	}
}

func TestABlockThatNoNodeHasAnsweredIsSentAfterARestart(t *testing.T) {
	f := newFake(t)
	f.template["transactions"] = []any{someTransaction(t)}
	delete(f.template, "default_witness_commitment")
	c := config(f)
	c.Dir = t.TempDir()
	n := newNode(t, c)
	e, stop := run(t, n)
	s := solve(t, e.number(1), 1)
	f.set(func() { f.raw["submitblock"] = &refusal{-28, "Loading block index…"} })
	verdicts := make(chan upstream.Verdict, 1)
	n.Submit(s, func(v upstream.Verdict) { verdicts <- v })
	blocks := filepath.Join(c.Dir, "blocks")
	path := filepath.Join(blocks, s.Hash.String()+".block")
	eventually(t, "the block to be kept", func() bool { _, err := os.Stat(path); return err == nil })
	stop()
	if v := <-verdicts; v.State != upstream.Unknown {
		t.Errorf("%+v", v)
	}
	// What is no block is said, what is old forgotten.
	other := hashengine.DoubleSHA256([]byte("other")).String()
	for name, text := range map[string]string{other + ".block": "short", "x.part": "cut", "old.block": "old"} {
		if err := os.WriteFile(filepath.Join(blocks, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	old := time.Now().Add(-25 * time.Hour)
	for _, name := range []string{"x.part", "old.block"} {
		if err := os.Chtimes(filepath.Join(blocks, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	f.set(func() { delete(f.raw, "submitblock") })
	e, stop = run(t, newNode(t, c))
	e.trouble("no block")
	eventually(t, "the block to be settled", func() bool { _, err := os.Stat(path); return err != nil })
	if b := f.lastBlock(); b.BlockHash() != [32]byte(s.Hash) || len(b.Transactions) != 2 {
		t.Errorf("block %+v", b.Header)
	}
	stop()
	if left, err := os.ReadDir(blocks); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

// A folder that cannot be written to is said, and does not keep from mining.
func TestMiningGoesOnWithoutAFolder(t *testing.T) {
	f := newFake(t)
	f.template["transactions"] = []any{someTransaction(t)}
	delete(f.template, "default_witness_commitment")
	c := config(f)
	c.Dir = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(c.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, c)
	e, _ := run(t, n)
	s := solve(t, e.number(1), 1)
	e.trouble("cannot be made after a restart")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.SubmitBlock(ctx, s); err != nil {
		t.Fatal(err)
	}
	if v := submit(t, n, solve(t, e.number(1), 2)); v.State != upstream.Accepted {
		t.Errorf("%+v", v)
	}
}
