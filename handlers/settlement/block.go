// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// maxBlocks bounds how many blocks of ours are remembered.
const maxBlocks = 4096

// block is a block of ours under solo, told apart by its hash.
type block struct {
	Key  [2]uint64
	Hash string
	// NBits of its header.
	NBits string
	// Matured: the chain holds it, so it shall be booked; At is when that was
	// first said.
	Matured    bool
	At         int64
	Purse      int32
	RewardSats int64
	// Booked is the accrual that stands for it, Event its id.
	Booked *events.RevenueAccrued `json:",omitempty"`
	Event  string                 `json:",omitempty"`
}

// found notes a block that is worth nothing yet.
func (d *Decider) found(b *events.Block) {
	if b.Scheme == events.SchemeSolo {
		d.blockOf(b)
	}
}

// matured books the coinbase of a block, once.
func (d *Decider) matured(e *events.Event, b *events.Block) {
	if b.Scheme != events.SchemeSolo {
		return
	}
	x := d.blockOf(b)
	if x == nil || x.Matured {
		return
	}
	x.Matured, x.At, x.RewardSats = true, d.acceptance(e), b.RewardSats
	d.mix(uint64(x.At))
	d.bookBlock(x, d.home(x.At))
}

// orphaned takes back what was booked for a block, once.
func (d *Decider) orphaned(e *events.Event, b *events.Block) {
	if b.Scheme != events.SchemeSolo {
		return
	}
	for i := range d.Blocks {
		if x := &d.Blocks[i]; x.Key == words(keyOf(b.BlockHash)) && x.Matured {
			x.Matured = false
			d.mix(x.Key[0])
			d.bookBlock(x, d.home(d.acceptance(e)))
		}
	}
}

// blockOf finds or remembers a block; nil when it cannot be told whose it is.
func (d *Decider) blockOf(b *events.Block) *block {
	key := words(keyOf(b.BlockHash))
	for i := range d.Blocks {
		if d.Blocks[i].Key == key {
			return &d.Blocks[i]
		}
	}
	basis, ok := basisIndex(b.Basis)
	if !ok {
		return nil
	}
	purse, err := d.purseAt(b.Pool, basis)
	if err != nil {
		d.raise("settlement-block", events.SeverityCritical, "a block of pool "+b.Pool+" cannot be booked: "+err.Error(),
			"remove pools that do not exist from the gateways; book the block by hand")
		return nil
	}
	if len(d.Blocks) >= maxBlocks && !d.forgetBlocks() {
		d.raise("settlement-block", events.SeverityCritical, "more than 4096 blocks wait to be booked; block "+b.BlockHash+" is not",
			"use shorter settlement intervals; book the block by hand")
		return nil
	}
	nbits := b.NBits
	if nbits == "" { // an older gateway's; the newest shares of the pool are of the same network
		nbits = d.termsOf(purse).NBits
	}
	d.Blocks = append(d.Blocks, block{Key: key, Hash: b.BlockHash, NBits: nbits, Purse: purse})
	d.mix(key[0])
	return &d.Blocks[len(d.Blocks)-1]
}

// forgetBlocks drops the oldest blocks that need nothing any more, and reports
// whether there were any.
func (d *Decider) forgetBlocks() bool {
	n := 0
	d.Blocks = slices.DeleteFunc(d.Blocks, func(x block) bool {
		if n >= maxBlocks/16 || x.Matured != (x.Booked != nil) {
			return false
		}
		n++
		return true
	})
	return n > 0
}

// bookBlocks books and takes back what an earlier interval had no room for.
func (d *Decider) bookBlocks() {
	for i := range d.Blocks {
		if x := &d.Blocks[i]; x.Matured != (x.Booked != nil) {
			d.bookBlock(x, d.current())
		}
	}
}

// bookBlock brings the books into line with the chain for one block: the whole
// coinbase while the chain holds it, else the reversal of what was booked.
func (d *Decider) bookBlock(x *block, iv *interval) {
	if x.Matured == (x.Booked != nil) || !d.configured() {
		return
	}
	p := &d.Accounts[x.Purse]
	t := &iv.Totals[p.Basis]
	iv.Dirty = iv.Dirty || iv.Closed
	if b := x.Booked; b != nil {
		if t.Millisats-b.ValueMillisats < -events.MaxInteger || t.Microusd-b.ValueMicrousd < -maxMicrousd {
			return
		}
		r := turned(b, x.Event)
		r.Key = d.out.Key()
		t.Millisats += r.ValueMillisats
		t.Microusd += r.ValueMicrousd
		d.mix(uint64(t.Millisats))
		x.Booked, x.Event = nil, ""
		d.recordBlock(x, r)
		d.out.Put(events.SiteSource, r)
		return
	}
	most := int64(events.MaxInteger)
	msat := most
	if x.RewardSats < most/1000 {
		msat = x.RewardSats * 1000
	}
	if msat > most-max(t.Millisats, 0) {
		d.raise("settlement-ceiling/"+p.Pool, events.SeverityWarning,
			"blocks of pool "+p.Pool+" are worth more in one interval than an event can carry; the rest is booked in the next ones",
			"use shorter settlement intervals")
		return
	}
	ev := &events.RevenueAccrued{
		From: stamp(x.At), Until: stamp(x.At + 1),
		Payout: events.Payout{
			Pool: p.Pool, NBits: x.NBits, RewardSats: x.RewardSats, Scheme: events.SchemeSolo, Basis: basisNames[p.Basis],
		},
		DifficultySum: "0", ValueMillisats: msat,
		CarryNumerator: work.Remainder(&p.Carry), CarryDenominator: work.DenominatorText,
		BlockHash: x.Hash, Key: d.out.Key(),
	}
	d.price(t, p.Basis, ev)
	x.Booked, x.Event = ev, d.eventID(ev.Key)
	d.recordBlock(x, ev)
	d.out.Put(events.SiteSource, ev)
}

// recordBlock notes a booking among the sums kept for statements: where the
// block matured, also when it is taken back.
func (d *Decider) recordBlock(x *block, ev *events.RevenueAccrued) {
	_, until := d.clip(ev.Payout.Pool, ev.Payout.Basis, x.At, x.At, after(x.At, d.Config.Accrual))
	if until <= d.Accounts[x.Purse].Forgotten {
		return
	}
	d.record(&cell{Until: until, First: x.At, Last: x.At, Purse: x.Purse, Millisats: ev.ValueMillisats, Newest: ev.Key})
}
