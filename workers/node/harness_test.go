// SPDX-License-Identifier: Apache-2.0

package node_test

import (
	"context"
	"encoding/binary"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/node"
	"github.com/ballast-energy/ballast/workers/node/coinbase"
	"github.com/ballast-energy/ballast/workers/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long tests wait for what must come.
const patience = 60 * time.Second

// ears is a sink that tests wait on.
type ears struct {
	t        *testing.T
	mu       sync.Mutex
	changed  chan struct{}
	sessions []upstream.Session
	jobs     []*upstream.Job
	closed   []string
	causes   []error
	troubles []string
}

func newEars(t *testing.T) *ears { return &ears{t: t, changed: make(chan struct{})} }

func (e *ears) note(f func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	f()
	close(e.changed)
	e.changed = make(chan struct{})
}

func (e *ears) Opened(s upstream.Session) { e.note(func() { e.sessions = append(e.sessions, s) }) }
func (e *ears) Job(j *upstream.Job)       { e.note(func() { e.jobs = append(e.jobs, j) }) }
func (e *ears) Trouble(err error)         { e.note(func() { e.troubles = append(e.troubles, err.Error()) }) }
func (e *ears) Closed(id string, cause error) {
	e.note(func() { e.closed, e.causes = append(e.closed, id), append(e.causes, cause) })
}

// await waits until the condition, called under the lock, holds.
func (e *ears) await(what string, holds func() bool) {
	e.t.Helper()
	deadline := time.After(patience)
	for {
		e.mu.Lock()
		ok, changed := holds(), e.changed
		e.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			e.mu.Lock()
			defer e.mu.Unlock()
			e.t.Fatalf("waited in vain for %s; sessions %v, %d jobs, closed %v %v, troubles %.2000q", what, e.sessions, len(e.jobs), e.closed, e.causes, e.troubles)
		}
	}
}

// job waits for a job that meets the condition, the newest first.
func (e *ears) job(what string, wanted func(*upstream.Job) bool) *upstream.Job {
	e.t.Helper()
	var found *upstream.Job
	e.await(what, func() bool {
		for i := len(e.jobs) - 1; i >= 0; i-- {
			if wanted(e.jobs[i]) {
				found = e.jobs[i]
				return true
			}
		}
		return false
	})
	return found
}

// trouble waits for words in a trouble.
func (e *ears) trouble(words string) {
	e.t.Helper()
	e.await("trouble "+words, func() bool {
		for _, s := range e.troubles {
			if strings.Contains(s, words) {
				return true
			}
		}
		return false
	})
}

// run runs the node until the test ends or stop is called.
func run(t *testing.T, n *node.Node) (e *ears, stop func()) {
	t.Helper()
	e = newEars(t)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, e) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return e, stop
}

// solve searches a block for the job, versions rolled.
func solve(t *testing.T, j *upstream.Job, extranonce uint64) upstream.Submission {
	t.Helper()
	target, err := hashengine.TargetFromDifficultyText(j.Difficulty)
	if err != nil {
		t.Fatal(err)
	}
	return search(t, j, extranonce, target)
}

func search(t *testing.T, j *upstream.Job, extranonce uint64, target hashengine.Target) upstream.Submission {
	t.Helper()
	s := upstream.Submission{Session: j.Session, Job: j, Extranonce2: binary.BigEndian.AppendUint64(nil, extranonce)}
	tx := coinbase.Parts{Before: j.Coinbase1, After: j.Coinbase2}.Transaction(j.Extranonce1, s.Extranonce2)
	var h hashengine.Header
	h.SetVersion(j.Version)
	h.SetPrevHash(j.PrevHash)
	h.SetMerkleRoot(coinbase.Climb(hashengine.DoubleSHA256(tx), j.Branches))
	h.SetTime(j.NTime)
	h.SetBits(j.Bits)
	w := hashengine.NewWork(h, j.VersionMask, target)
	w.FirstRoll = 1 // so that a version other than the template's is sent
	kernel, err := hashengine.Fastest()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := kernel.New()
	if err != nil {
		t.Fatal(err)
	}
	_, err = hashengine.Search(t.Context(), engine, &w, func(hit hashengine.Hit) bool {
		s.Header, s.Hash = hit.Header, hit.Hash
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	network, err := hashengine.TargetFromBits(j.Bits)
	if err != nil {
		t.Fatal(err)
	}
	s.Version, s.NTime, s.Nonce = s.Header.Version(), s.Header.Time(), s.Header.Nonce()
	s.Block = network.Met(&s.Hash)
	return s
}

// submit waits for the verdict.
func submit(t *testing.T, n *node.Node, s upstream.Submission) upstream.Verdict {
	t.Helper()
	verdicts := make(chan upstream.Verdict, 1)
	n.Submit(s, func(v upstream.Verdict) { verdicts <- v })
	select {
	case v := <-verdicts:
		return v
	case <-time.After(patience):
		t.Fatal("no verdict")
		return upstream.Verdict{}
	}
}
