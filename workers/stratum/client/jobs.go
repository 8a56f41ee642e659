// SPDX-License-Identifier: Apache-2.0

package client

import (
	"fmt"
	"hash/maphash"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream"
)

const (
	// rollSeconds is how far past the job's time a header may go; pools refuse
	// from 7000 s on, nodes beyond 7200 s ahead of their clock.
	rollSeconds = 600
	// clockTolerance between the pool's clock and ours before it is Trouble;
	// beyond two hours nodes refuse blocks.
	clockTolerance = time.Hour
	// jobLife and maxJobs bound the jobs whose shares are still passed on for
	// the pool to judge; pools forget a job after about five minutes.
	jobLife = 10 * time.Minute
	maxJobs = 512
	// longestJobID that is used downstream as it is.
	longestJobID = 64
	// maxPoolIDs of a session are used as they are: at a job every half minute,
	// those of eleven days.
	maxPoolIDs = 1 << 15
	// plausibleHeight: a number above it in a coinbase is no height. The chain
	// gets there in the year 2199.
	plausibleHeight = 10_000_000
)

// work is a job with what is needed to submit its shares.
type work struct {
	job      *upstream.Job
	poolID   string // the pool's own text, as it goes into mining.submit
	seen     map[hashengine.Hash]struct{}
	received time.Time
}

// book holds the jobs of a session, the oldest first.
type book struct {
	byID  map[string]*work
	order []string
	made  uint64 // ids of our own
	// given are the ids of all jobs of the session that are the pool's own
	// texts, however old, by a hash under seed: one that is taken for another
	// only gets an id of ours.
	given map[uint64]struct{}
	seed  maphash.Seed
}

// add files w under an id that no other job of the session has or had, and
// forgets those that are too old. A share of a job forgotten is then never
// taken for one of another job, whatever ids the pool uses again.
func (b *book) add(w *work) {
	for len(b.order) > 0 && (len(b.order) >= maxJobs || w.received.Sub(b.byID[b.order[0]].received) > jobLife) {
		delete(b.byID, b.order[0])
		b.order = b.order[1:]
	}
	if b.byID == nil {
		b.byID, b.given, b.seed = map[string]*work{}, map[uint64]struct{}{}, maphash.MakeSeed()
	}
	id := w.poolID
	if len(b.given) >= maxPoolIDs || !usableID(id) || !b.give(id) {
		id = b.ownID()
	}
	w.job.ID = id
	b.byID[id] = w
	b.order = append(b.order, id)
}

// give notes that a text of the pool's becomes an id, and reports whether it
// is none yet.
func (b *book) give(id string) bool {
	h := maphash.String(b.seed, id)
	if _, known := b.given[h]; known || b.isOwn(id) {
		return false
	}
	b.given[h] = struct{}{}
	return true
}

const ownIDs = "job-"

// ownID makes the next id of ours that the pool has not used before us.
func (b *book) ownID() string {
	for {
		b.made++
		id := ownIDs + strconv.FormatUint(b.made, 10)
		if _, known := b.given[maphash.String(b.seed, id)]; !known {
			return id
		}
	}
}

// isOwn reports whether a text of the pool's is an id that we have made.
func (b *book) isOwn(id string) bool {
	digits, ok := strings.CutPrefix(id, ownIDs)
	if !ok {
		return false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return err == nil && n <= b.made
}

// usableID reports a text that may go over the bus as a name.
func usableID(id string) bool {
	if id == "" || len(id) > longestJobID {
		return false
	}
	for i := 0; i < len(id); i++ {
		switch c := id[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '.', c == '_', c == ':', c == '-':
		default:
			return false
		}
	}
	return true
}

// offer is a notification with what was in force when it came.
type offer struct {
	notify     *stratum.Notify
	difficulty string
	extranonce stratum.Extranonce
	mask       uint32
	received   time.Time
}

// newWork makes a job of an offer and checks what the form did not tell. A job
// that comes with an error is not to be worked on.
func newWork(o offer, session string, terms upstream.Terms) (*work, error) {
	n := o.notify
	if _, err := hashengine.TargetFromBits(n.Bits); err != nil {
		return nil, fmt.Errorf("job %s: network target: %w", strconv.QuoteToASCII(n.JobID), err)
	}
	if _, err := hashengine.TargetFromDifficultyText(o.difficulty); err != nil {
		return nil, fmt.Errorf("job %s: %w", strconv.QuoteToASCII(n.JobID), err)
	}
	j := &upstream.Job{
		Session: session, Version: n.Version, VersionMask: o.mask, PrevHash: n.PrevHash,
		Coinbase1: n.Coinbase1, Coinbase2: n.Coinbase2, Extranonce1: o.extranonce.Extranonce1, Extranonce2Bytes: o.extranonce.Extranonce2Bytes,
		Branches: n.Branches, NTime: n.NTime, MinTime: n.NTime, MaxTime: n.NTime + min(rollSeconds, math.MaxUint32-n.NTime), Bits: n.Bits,
		Difficulty: o.difficulty, Clean: n.Clean, Terms: terms, Received: o.received,
	}
	if n.Version&o.mask != 0 {
		// Pools differ in how they combine the bits, and agree only where the
		// job leaves them zero: this one is not rolled.
		j.VersionMask = 0
	}
	start := make([]byte, 0, len(n.Coinbase1)+len(j.Extranonce1)+j.Extranonce2Bytes+len(n.Coinbase2))
	start = append(append(start, n.Coinbase1...), j.Extranonce1...)
	start = append(append(start, make([]byte, j.Extranonce2Bytes)...), n.Coinbase2...)
	j.Height = coinbaseHeight(start)
	return &work{job: j, poolID: n.JobID, seen: map[hashengine.Hash]struct{}{}, received: o.received}, nil
}

// clockError says that the job's time and our clock are far apart, nil when
// they are not.
func clockError(ntime uint32, now time.Time) error {
	off := time.Unix(int64(ntime), 0).Sub(now)
	if off.Abs() <= clockTolerance {
		return nil
	}
	return fmt.Errorf("the pool's time %s is %s from this machine's: set the clock (NTP), or shares and blocks will be refused",
		time.Unix(int64(ntime), 0).UTC().Format(time.RFC3339), off.Round(time.Second))
}

// coinbaseHeight reads the height that a coinbase begins its script with (BIP
// 34), 0 when there is none.
func coinbaseHeight(tx []byte) int64 {
	const script = 4 + 1 + 36 + 1 // version, one input, its outpoint, the length
	if len(tx) < script+1 || tx[4] != 1 || tx[41] < 2 || tx[41] > 100 {
		return 0
	}
	switch n := int(tx[script]); {
	case n >= 0x51 && n <= 0x60: // OP_1 to OP_16
		return int64(n - 0x50)
	case n >= 1 && n <= 5 && len(tx) > script+n && n < int(tx[41]):
		var h int64
		for i := n; i > 0; i-- {
			h = h<<8 | int64(tx[script+i])
		}
		if tx[script+n]&0x80 != 0 || h > plausibleHeight {
			return 0
		}
		return h
	default:
		return 0
	}
}
