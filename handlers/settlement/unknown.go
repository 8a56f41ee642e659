// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"encoding/binary"
	"math/big"

	"github.com/ballast-energy/ballast/events"
)

const (
	// maxUnknown bounds how many shares without a verdict are remembered for
	// the pool's statement.
	maxUnknown = 1 << 14
	// maxGateways bounds whose payout terms are remembered.
	maxGateways = 1024
)

// gateway is the newest payout that a gateway had a share accepted under.
type gateway struct {
	ID     string
	Payout events.Payout
}

// unknown is a share without a verdict. A statement of its pool can move it.
type unknown struct {
	Key   [2]uint64
	At    int64
	Basis int
	// Interval that counts it.
	Interval   uint64
	Difficulty big.Int
	// Payout by which it would be paid; no pool when its gateway had none yet.
	Payout                 events.Payout
	MillijoulesPerTerahash int64
}

func words(k shareKey) [2]uint64 {
	return [2]uint64{binary.BigEndian.Uint64(k[:8]), binary.BigEndian.Uint64(k[8:])}
}

// pays notes what a gateway's shares are paid by.
func (d *Decider) pays(source string, p *events.Payout) {
	i, ok := d.gatewayOf[source]
	switch {
	case ok && d.Gateways[i].Payout == *p:
		return
	case !ok && len(d.Gateways) >= maxGateways:
		return
	case !ok:
		i = int32(len(d.Gateways))
		d.Gateways = append(d.Gateways, gateway{ID: source})
		d.gatewayOf[source] = i
		d.mixText(source)
	}
	d.Gateways[i].Payout = *p
	d.mixPayout(p)
}

func (d *Decider) mixPayout(p *events.Payout) {
	for _, text := range []string{p.Pool, p.NBits, string(p.Scheme), string(p.Basis)} {
		d.mixText(text)
	}
	d.mix(uint64(p.RewardSats))
	d.mix(uint64(p.FeePPM))
}

// unjudged remembers a share without a verdict that iv counts.
func (d *Decider) unjudged(e *events.Event, s *events.ShareUnknown, basis int, iv *interval) {
	difficulty, err := d.parse(s.Difficulty)
	if err != nil {
		return // it is counted, and nothing could be booked for it
	}
	u := unknown{Key: words(keyOf(s.ShareID)), At: d.acceptance(e), Basis: basis, Interval: iv.ID}
	u.Difficulty.Set(difficulty)
	if i, ok := d.gatewayOf[e.Source]; ok && d.Gateways[i].Payout.Basis == s.Basis {
		u.Payout = d.Gateways[i].Payout
	}
	if i, ok := d.unitOf[s.Unit]; ok {
		u.MillijoulesPerTerahash = d.Units[i].MillijoulesPerTerahash
	}
	if len(d.Unknown) >= maxUnknown {
		d.Unknown = append(d.Unknown[:0], d.Unknown[maxUnknown/16:]...)
	}
	d.Unknown = append(d.Unknown, u)
	d.mix(u.Key[0])
	d.mix(uint64(u.At))
}

// belongs reports whether an unknown share may be of a purse: its pool is that
// of the purse, or not known.
func (u *unknown) belongs(p *purse) bool {
	return u.Basis == p.Basis && (u.Payout.Pool == p.Pool || u.Payout.Pool == "")
}

// move makes the unknown shares that a statement names accepted or rejected,
// at the instant of the span that is nearest to when they were lost.
func (d *Decider) move(s *statement) {
	if len(s.Credited)+len(s.Refused) == 0 {
		return
	}
	verdicts := make(map[[2]uint64]bool, (len(s.Credited)+len(s.Refused))/len(shareKey{}))
	add := func(keys []byte, accepted bool) {
		for ; len(keys) > 0; keys = keys[len(shareKey{}):] {
			verdicts[words(shareKey(keys))] = accepted
		}
	}
	add(s.Credited, true)
	add(s.Refused, false) // named twice: the worse counts
	s.Credited, s.Refused = nil, nil
	kept := d.Unknown[:0]
	for i := range d.Unknown {
		u := &d.Unknown[i]
		accepted, named := verdicts[u.Key]
		if !named || !u.belongs(&d.Accounts[s.Purse]) {
			kept = append(kept, *u)
			continue
		}
		d.rule(s, u, accepted)
	}
	clear(d.Unknown[len(kept):])
	d.Unknown = kept
}

// rule gives an unknown share the verdict of a statement.
func (d *Decider) rule(s *statement, u *unknown, accepted bool) {
	was := d.intervalByID(u.Interval)
	if was == nil {
		was = d.current() // its own is final: the present one takes it off
	}
	was.Totals[u.Basis].Unknown--
	was.Dirty = was.Closed
	at := min(max(u.At, s.From), s.Until-1)
	iv := d.intervalAt(at)
	if iv == nil {
		iv = d.current()
	}
	iv.Dirty = iv.Closed
	d.mix(u.Key[0] ^ flag(accepted))
	if !accepted {
		s.Rejected++
		iv.Totals[u.Basis].Rejected++
		return
	}
	s.Accepted++
	iv.Totals[u.Basis].Accepted++
	iv.Witness.Add(&u.Difficulty, u.MillijoulesPerTerahash)
	payout := u.Payout
	if payout.Pool == "" {
		payout = d.termsOf(s.Purse)
	}
	d.pend(iv, &payout, at, &u.Difficulty)
}

// unknownLeft counts the unknown shares of a span that may be of a purse.
func (d *Decider) unknownLeft(purse int32, from, until int64) (n int64) {
	for i := range d.Unknown {
		if u := &d.Unknown[i]; from <= u.At && u.At < until && u.belongs(&d.Accounts[purse]) {
			n++
		}
	}
	return n
}
