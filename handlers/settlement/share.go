// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"crypto/sha256"
	"encoding/hex"
	"math/big"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

const (
	// keepSeen is how many share ids are remembered against double verdicts.
	keepSeen = 1 << 16
	// maxPurses bounds the (pool, basis) pairs of a site.
	maxPurses = 1024
)

type shareKey [16]byte

// seen is a ring of the newest share ids.
type seen struct {
	// Ring of keys, 16 bytes each, oldest at Next once full.
	Ring []byte
	Next int
}

// lastDifficulty spares parsing: shares of one job have one text.
type lastDifficulty struct {
	text  string
	value *big.Int
}

// keyOf shortens a share id. A header hash ends in bits that nobody chose
// (its beginning is zeros); anything else is hashed.
func keyOf(id string) (k shareKey) {
	if len(id) == 64 {
		if _, err := hex.Decode(k[:], []byte(id[32:])); err == nil {
			return k
		}
	}
	sum := sha256.Sum256([]byte(id))
	copy(k[:], sum[:])
	return k
}

// firstVerdict reports whether no verdict on this share is remembered.
func (d *Decider) firstVerdict(id string) bool {
	k := keyOf(id)
	if _, ok := d.seenAt[k]; ok {
		return false
	}
	s := &d.Seen
	if len(s.Ring) < keepSeen*len(k) {
		s.Ring = append(s.Ring, k[:]...)
	} else {
		at := s.Ring[s.Next*len(k):][:len(k)]
		delete(d.seenAt, shareKey(at))
		copy(at, k[:])
		s.Next = (s.Next + 1) % keepSeen
	}
	d.seenAt[k] = struct{}{}
	for i := 0; i < len(k); i += 8 {
		d.mix(uint64(k[i]) | uint64(k[i+1])<<8 | uint64(k[i+2])<<16 | uint64(k[i+3])<<24 |
			uint64(k[i+4])<<32 | uint64(k[i+5])<<40 | uint64(k[i+6])<<48 | uint64(k[i+7])<<56)
	}
	return true
}

// acceptance is the instant that a verdict counts from: when its own stream
// stored it, never later than the journal did.
func (d *Decider) acceptance(e *events.Event) int64 {
	if e.OriginArrived.IsZero() {
		return d.Now
	}
	return min(e.OriginArrived.UnixNano(), d.Now)
}

// home is the interval of an instant: the current one for instants that no
// kept interval covers.
func (d *Decider) home(at int64) *interval {
	if iv := d.intervalAt(at); iv != nil {
		return iv
	}
	d.raise("settlement-late-share", events.SeverityWarning,
		"verdicts on shares came later than any interval that can still be corrected and are booked in the present one",
		"find out why verdicts were held up: the gateway, the stream of shares, or its relay")
	return d.current()
}

// intervalAt is the interval of an instant, nil when it is final.
func (d *Decider) intervalAt(at int64) *interval {
	if len(d.Intervals) == 0 {
		if d.Early == nil {
			d.Early = &interval{End: never}
		}
		return d.Early
	}
	for i := len(d.Intervals) - 1; i >= 0; i-- {
		if iv := d.Intervals[i]; at >= iv.Start {
			if at < iv.End {
				return iv
			}
			// A silence that is not settled lies between: the next interval
			// takes it.
			return d.Intervals[min(i+1, len(d.Intervals)-1)]
		}
	}
	if first := d.Intervals[0]; first.ID == 0 {
		return first // from before the first configuration
	}
	return nil
}

// refused counts a share that earns nothing, and returns the interval that
// counts it; nil when it has been counted before.
func (d *Decider) refused(e *events.Event, id string, b events.Basis, rejected bool) (iv *interval, basis int) {
	basis, ok := basisIndex(b)
	if !ok || !d.firstVerdict(id) {
		return nil, 0
	}
	iv = d.home(d.acceptance(e))
	if rejected {
		iv.Totals[basis].Rejected++
	} else {
		iv.Totals[basis].Unknown++
	}
	iv.Dirty = iv.Closed
	return iv, basis
}

// accepted books a share that a pool accepted, or one that proves work only.
func (d *Decider) accepted(e *events.Event, s *events.ShareAccepted) {
	basis, ok := basisIndex(s.Payout.Basis)
	if !ok || !d.firstVerdict(s.ShareID) {
		return
	}
	at := d.acceptance(e)
	iv := d.home(at)
	iv.Totals[basis].Accepted++
	iv.Dirty = iv.Closed
	difficulty, err := d.parse(s.Difficulty)
	if err != nil {
		d.unvalued(&s.Payout, err)
		return
	}
	proven := difficulty
	if s.WorkDifficulty != "" {
		// Shares that the pool does not want prove their part beside it:
		// counting what it credits would count their work twice.
		if proven, err = work.ParseDifficulty(s.WorkDifficulty); err != nil {
			proven = difficulty
		}
		d.mixText(s.WorkDifficulty)
	}
	if i, ok := d.unitOf[s.Unit]; ok {
		iv.Witness.Add(proven, d.Units[i].MillijoulesPerTerahash)
	}
	payout := s.Payout
	if payout.Scheme == "" && d.Config != nil {
		payout.Scheme, payout.FeePPM = d.Config.Scheme, d.Config.FeePPM
	}
	d.worth(s, &payout, at)
	if s.Local {
		d.mixText(s.Difficulty)
		return
	}
	d.pays(e.Source, &payout)
	d.pend(iv, &payout, at, difficulty)
}

// pend adds a share accepted at an instant to what waits to be credited.
func (d *Decider) pend(iv *interval, payout *events.Payout, at int64, difficulty *big.Int) {
	p, err := d.pendingOf(iv, payout, at)
	if err != nil {
		d.unvalued(payout, err)
		return
	}
	p.First, p.Last = min(p.First, at), max(p.Last, at)
	p.epoch.Add(&p.Sum, difficulty)
	for _, w := range p.Sum.Difficulty.Bits() {
		d.mix(uint64(w))
	}
}

// parse reads a difficulty, which is nearly always the one of the last share.
func (d *Decider) parse(text string) (*big.Int, error) {
	if l := &d.difficulty; l.value != nil && l.text == text {
		return l.value, nil
	}
	v, err := work.ParseDifficulty(text)
	if err != nil {
		return nil, err
	}
	d.difficulty = lastDifficulty{text, v}
	return v, nil
}

func (d *Decider) unvalued(p *events.Payout, err error) {
	d.raise("settlement-payout", events.SeverityCritical,
		"accepted shares of pool "+p.Pool+" cannot be valued: "+err.Error(),
		"correct the payout terms that the gateway writes into its verdicts; the shares are counted at value 0")
}

// pendingOf finds where the shares of a payout epoch and accrual window are
// added up.
func (d *Decider) pendingOf(iv *interval, p *events.Payout, at int64) (*pending, error) {
	from, until := at, never
	if d.Config != nil {
		until = after(at, d.Config.Accrual)
		from, until = d.clip(p.Pool, p.Basis, at, until-d.Config.Accrual, until)
	}
	for i := len(iv.Pending) - 1; i >= 0; i-- {
		if q := &iv.Pending[i]; q.Payout == *p && (q.Until == until || d.Config == nil) {
			q.From = min(q.From, from)
			return q, nil
		}
	}
	epoch, err := work.NewEpoch(p.NBits, p.RewardSats, p.FeePPM)
	if err != nil {
		return nil, err
	}

	iv.Pending = append(iv.Pending, pending{
		Payout: *p, From: from, Until: until, First: at, Last: at,
		Worth: p.Scheme == events.SchemeFPPS || p.Scheme == events.SchemePPS,
		epoch: epoch,
	})
	d.mixPayout(p)
	return &iv.Pending[len(iv.Pending)-1], nil
}

// accrue credits every sum of iv whose window ended by d.Now, or all of them.
func (d *Decider) accrue(iv *interval, all bool) {
	kept := 0
	for i := range iv.Pending {
		if p := &iv.Pending[i]; !all && p.Until > d.Now && iv.End > d.Now {
			iv.Pending[kept] = iv.Pending[i]
			kept++
			continue
		}
		d.credit(iv, &iv.Pending[i])
	}
	clear(iv.Pending[kept:])
	iv.Pending = iv.Pending[:kept]
}
