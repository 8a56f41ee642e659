// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// ErrJob is wrapped by [Server.SetJob] for a job that cannot be handed out.
var ErrJob = errors.New("stratum server: the job cannot be handed out")

// laterTime is how far a share's time may be ahead of its job's where the job
// does not say, seconds.
const laterTime = 600

// work is a job as it is handed out: the same text for every connection.
type work struct {
	serial uint32
	job    *upstream.Job
	space  *space
	// notify is the message, to be completed with id, time and clean flag.
	notify stratum.Notify
	// text of the notify as it is fanned out, and with clean_jobs set.
	text, cleanText []byte
	// mask of the version bits that may be rolled.
	mask uint32
	// minTime and maxTime of a share, both allowed.
	minTime, maxTime  uint32
	network, upstream hashengine.Target
	// highest exponent that is not above the network's difficulty.
	highest int
	// prefix of the coinbase, before the slot.
	prefix []byte
	seen   *duplicates
	issued time.Time
	// voided is when it became void, Unix nanoseconds, 0 before.
	voided atomic.Int64
	// lost: its session is over, and it is valid only until there is another.
	lost atomic.Bool
}

// newWork decodes a job for the connections of a space.
func newWork(serial uint32, j *upstream.Job, s *space, c *settings, now time.Time) (*work, error) {
	w := &work{
		serial: serial, job: j, space: s, mask: j.VersionMask & c.VersionMask, issued: now,
		minTime: j.MinTime, maxTime: j.MaxTime, seen: newDuplicates(c.Limits.SharesPerJob),
	}
	fail := func(err error) (*work, error) {
		return nil, fmt.Errorf("%w: session %s, job %q: %w", ErrJob, j.Session, j.ID, err)
	}
	var err error
	if w.network, err = hashengine.TargetFromBits(j.Bits); err != nil {
		return fail(err)
	}
	if w.upstream, err = hashengine.TargetFromDifficultyText(j.Difficulty); err != nil {
		return fail(err)
	}
	if len(j.Branches) > stratum.MaxBranches {
		return fail(fmt.Errorf("%d merkle branches; miners take %d", len(j.Branches), stratum.MaxBranches))
	}
	w.highest = levelAtMost(w.network.Difficulty()).exponent
	if j.Version&j.VersionMask != 0 {
		// Pools differ in how they combine bits that are set already, so such
		// a job is not rolled.
		w.mask = 0
	}
	if w.minTime == 0 || w.minTime > j.NTime {
		w.minTime = j.NTime
	}
	if w.maxTime < j.NTime {
		w.maxTime = j.NTime + laterTime
	}
	w.prefix = append(w.prefix, j.Coinbase1...)
	w.prefix = append(w.prefix, s.extranonce1...)
	w.notify = stratum.Notify{
		JobID: jobID(w.position()), PrevHash: j.PrevHash, Coinbase1: j.Coinbase1, Coinbase2: j.Coinbase2,
		Branches: j.Branches, Version: j.Version, Bits: j.Bits, NTime: j.NTime, Clean: j.Clean,
	}
	w.text = w.notify.Append(nil)
	w.cleanText = w.text
	if !j.Clean {
		clean := w.notify
		clean.Clean = true
		w.cleanText = clean.Append(nil)
	}
	return w, nil
}

// position orders jobs and their renewals: the serial, and below it the number
// of the renewal.
func (w *work) position() uint64 { return uint64(w.serial) << renewalBits }

const (
	renewalBits = 16
	maxRenewals = 1<<renewalBits - 1
)

// jobID is 8 hex digits of the serial, and 4 more for a renewal.
func jobID(position uint64) string {
	if renewal := position & maxRenewals; renewal != 0 {
		return fmt.Sprintf("%012x", position)
	}
	return fmt.Sprintf("%08x", position>>renewalBits)
}

// positionOf is the inverse of jobID.
func positionOf(id []byte) (uint64, bool) {
	if len(id) != 8 && len(id) != 12 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(id), 16, 48)
	if err != nil {
		return 0, false
	}
	if len(id) == 8 {
		n <<= renewalBits
	}
	return n, true
}

// renewed is the text of the job under another id and with a later time: to
// the machine it is new work, so it does not go over the same ground again.
func (w *work) renewed(b []byte, renewal uint16, clean bool) []byte {
	n := w.notify
	n.JobID = jobID(w.position() | uint64(renewal))
	n.NTime = min(n.NTime+uint32(renewal), w.maxTime)
	n.Clean = clean
	return n.Append(b)
}

// void marks the work as stale.
func (w *work) void(now time.Time) { w.voided.CompareAndSwap(0, now.UnixNano()) }

// stale reports whether shares of it are late.
func (w *work) stale(now time.Time, lifetime time.Duration) bool {
	return w.voided.Load() != 0 || now.Sub(w.issued) > lifetime
}

// forgotten reports whether even its blocks are no longer looked for.
func (w *work) forgotten(now time.Time, lifetime time.Duration) bool {
	if v := w.voided.Load(); v != 0 {
		return now.UnixNano()-v > int64(lifetime)
	}
	return now.Sub(w.issued) > 2*lifetime
}

// scratch is room for building a coinbase.
type scratch struct {
	coinbase []byte
	pair     [64]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// header builds the header of a share from a connection's slot and the miner's
// extranonce2. It does not allocate once the scratch has grown.
func (w *work) header(slot, extranonce2 []byte, version, ntime, nonce uint32) (h hashengine.Header) {
	s := scratches.Get().(*scratch)
	b := append(s.coinbase[:0], w.prefix...)
	b = append(b, slot...)
	b = append(b, extranonce2...)
	b = append(b, w.job.Coinbase2...)
	s.coinbase = b
	root := hashengine.DoubleSHA256(b)
	for i := range w.job.Branches {
		copy(s.pair[:32], root[:])
		copy(s.pair[32:], w.job.Branches[i][:])
		root = hashengine.DoubleSHA256(s.pair[:])
	}
	scratches.Put(s)
	h.SetVersion(version)
	h.SetPrevHash(w.job.PrevHash)
	h.SetMerkleRoot(root)
	h.SetTime(ntime)
	h.SetBits(w.job.Bits)
	h.SetNonce(nonce)
	return h
}

// difficultyOf reads a client's wish; nil when it makes no sense.
func difficultyOf(text string) *big.Rat {
	plain, err := stratum.PlainDifficulty([]byte(text))
	if err != nil {
		return nil
	}
	d, err := hashengine.ParseDifficulty(plain)
	if err != nil {
		return nil
	}
	return d
}
