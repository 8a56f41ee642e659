// SPDX-License-Identifier: Apache-2.0

package software

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
)

// assignment is the job being worked on and how far its space is used.
type assignment struct {
	work     *events.WorkAssigned
	template *job.Template
	used     uint64 // extranonces given out
	rolled   uint32 // seconds that the time was moved on
}

// piece is the tag of the miner's work: what a hit needs besides its header.
type piece struct {
	work       *events.WorkAssigned
	extranonce []byte
}

// errUsedUp: every extranonce at every permitted time was searched.
var errUsedUp = errors.New("the job's whole space has been searched")

// maxRolled is how far the time may be moved on, seconds; pools accept two
// hours.
const maxRolled = 3600

// next makes the search of the next extranonce.
func (a *assignment) next() (hashengine.Work, error) {
	n := a.template.ExtranonceBytes
	if n < 8 && a.used>>(8*n) != 0 {
		if a.rolled == maxRolled || a.template.NTime > math.MaxUint32-maxRolled {
			return hashengine.Work{}, errUsedUp
		}
		a.used, a.rolled = 0, a.rolled+1
	}
	var count [8]byte
	binary.BigEndian.PutUint64(count[:], a.used)
	extranonce := make([]byte, n)
	if n >= 8 {
		copy(extranonce[n-8:], count[:])
	} else {
		copy(extranonce, count[8-n:])
	}
	a.used++
	header, err := a.template.Header(extranonce)
	if err != nil {
		return hashengine.Work{}, err
	}
	header.SetTime(a.template.NTime + a.rolled)
	w := hashengine.NewWork(header, a.template.VersionMask, a.template.ShareTarget)
	w.Tag = &piece{work: a.work, extranonce: extranonce}
	return w, nil
}

// Work implements agent.Worker.
func (u *unit) Work(w *events.WorkAssigned) {
	t, err := job.Parse(w)
	if err != nil {
		u.log.Warn("work ignored", "error", err)
		return
	}
	a := &assignment{work: w, template: t}
	search, err := a.next()
	if err == nil {
		err = u.miner.SetWork(search)
	}
	if err != nil {
		u.log.Warn("work ignored", "job", w.JobID, "error", err)
		return
	}
	u.mu.Lock()
	first := u.work == nil || time.Since(u.workAt) > u.cfg.WorkTimeout
	u.work, u.workAt = a, time.Now()
	u.mu.Unlock()
	if first {
		u.changed() // healthy now
	}
}

// next is the miner asking for more: on a goroutine of the miner's.
func (u *unit) next(_ context.Context, spent hashengine.Work) (hashengine.Work, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	p, ok := spent.Tag.(*piece)
	if !ok || u.work == nil || p.work != u.work.work {
		// A newer job is on its way to the miner.
		return hashengine.Work{}, errors.New("the job has been replaced")
	}
	w, err := u.work.next()
	if err != nil {
		return w, fmt.Errorf("job %s: %w", u.work.work.JobID, err)
	}
	return w, nil
}

// hit is the miner handing out a solution: on a goroutine of the miner's.
func (u *unit) hit(h hashengine.Hit) {
	p, ok := h.Tag.(*piece)
	if !ok {
		return
	}
	s := &events.ShareFound{
		ShareID: h.Hash.String(), JobID: p.work.JobID, Gateway: p.work.Gateway, Unit: u.cfg.Agent,
		Version: job.WordText(h.Header.Version()), NTime: int64(h.Header.Time()),
		Nonce: job.WordText(h.Header.Nonce()), Extranonce: hex.EncodeToString(p.extranonce),
		Difficulty: p.work.ShareDifficulty, FoundAt: time.Now().UTC(),
	}
	if err := u.outbox.Add(events.New(u.cfg.Site, u.cfg.Agent, s).WithID(s.ShareID)); err != nil {
		u.log.Warn("share lost", "error", err)
	}
}
