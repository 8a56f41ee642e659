// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/roster"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// ground is what a job searches, whatever its id, its time, its difficulty and
// the bits that may be rolled: two jobs of one ground that begin at one time
// are the same search, and their shares the same shares. Pools send a job again
// under another id, or two jobs in turns.
type ground [16]byte

// groundOf a job.
func groundOf(j *upstream.Job) (g ground) {
	h := sha256.New()
	word := func(v uint32) {
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], v)
		_, _ = h.Write(b[:]) // never fails
	}
	word(j.Version &^ hashengine.VersionRollingMask)
	word(j.Bits)
	_, _ = h.Write(j.PrevHash[:])
	for _, part := range [][]byte{j.Coinbase1, j.Extranonce1, j.Coinbase2} {
		word(uint32(len(part)))
		_, _ = h.Write(part)
	}
	word(uint32(j.Extranonce2Bytes))
	for i := range j.Branches {
		_, _ = h.Write(j.Branches[i][:])
	}
	copy(g[:], h.Sum(nil))
	return g
}

// keptGrounds is how many grounds a slice remembers by themselves.
const keptGrounds = 8

// worked is what a slice of search space has been used for: the newest time
// handed out for each of the last grounds. Those forgotten share floor, above
// which any of them may be gone over again; as times move on with the clock,
// that costs nothing where nobody plays tricks.
type worked struct {
	last  []workedGround
	floor uint32
}

type workedGround struct {
	ground ground
	ntime  uint32
}

// begin is the first time from at on for which the slice has not been used on a
// ground.
func (w *worked) begin(g ground, at uint32) uint64 {
	for i := range w.last {
		if w.last[i].ground == g {
			return max(uint64(at), uint64(w.last[i].ntime)+1)
		}
	}
	if w.floor == 0 {
		return uint64(at)
	}
	return max(uint64(at), uint64(w.floor)+1)
}

// use notes that a time is handed out.
func (w *worked) use(g ground, ntime uint32) {
	for i := range w.last {
		if w.last[i].ground == g {
			// The newest stands last.
			copy(w.last[i:], w.last[i+1:])
			w.last[len(w.last)-1] = workedGround{g, ntime}
			return
		}
	}
	if len(w.last) == keptGrounds {
		w.floor = max(w.floor, w.last[0].ntime)
		copy(w.last, w.last[1:])
		w.last = w.last[:keptGrounds-1]
	}
	w.last = append(w.last, workedGround{g, ntime})
}

// aheadOfTime is how far past the clock the work of an agent that could as well
// go on with what it has may begin, seconds.
const aheadOfTime = 60

// errand is what is to be done for an agent.
type errand int

const (
	leave     errand = iota // it goes on with what it has
	handOut                 // the work is due
	elsewhere               // the work is due, in another slice: all times of this one have been searched
)

// due says whether an agent needs work of a task, and the time that its header
// begins with: never one that its slice has been searched at on the same
// ground, or it would find the same shares again.
func (d *dispatcher) due(m *roster.Miner, st *seat, t *task, now time.Time) (ntime uint32, e errand) {
	at := t.moved(now)
	begin := st.worked.begin(t.ground, at)
	past := begin > uint64(t.maxTime())
	since := now.Sub(st.sent)
	// Shares of work that was handed out long ago are refused.
	old := since >= d.g.cfg.RefreshPeriod
	switch {
	case st.task == nil || st.task.ground != t.ground || st.task != t && (st.task.serial < t.session.clean || old):
		if past {
			return 0, elsewhere
		}
	case past || begin > uint64(at)+aheadOfTime:
		return 0, leave
	case st.task == t && !old && (m.Healthy || since < nudge) &&
		(since < beat || !d.farOff(st.difficulty, d.shareDifficulty(m, t))):
		return 0, leave
	}
	return uint32(begin), handOut
}
