// SPDX-License-Identifier: Apache-2.0

package sha256d

import "math/bits"

//go:noescape
func scanVR5(ctx *vr5Context, records *vr5Record, iterations int, found *laneHits) int

//go:noescape
func fillVR5(ctx *fillContext, records *vr5Record, rounds int)

const (
	vr5Slots  = 64 * vr5Lanes
	vr5Nonces = 248 // records of 208 bytes: as much as stays in a second-level cache
)

// vr5Slot is what the loop needs of a midstate.
type vr5Slot struct {
	ab3, cd3, mab, mcd vector
	tail               Tail
}

// vr5 computes five versions under one nonce at a time. What the second blocks
// of the headers have in common, the message schedule, is computed once per
// nonce and serves all slots.
type vr5 struct {
	slots   []vr5Slot
	ctx     *vr5Context
	fill    *fillContext
	records []vr5Record // one before the first is readable: see readBefore
	found   [vr5Nonces + 1]laneHits

	// What the records hold.
	tail   Tail
	nonce  uint32
	nonces int
}

// NewSHANIVR5 returns a kernel for processors with the SHA instructions that
// is at its best with five or more version slots and wastes the time of those
// that are missing. It fails on other processors.
func NewSHANIVR5() (Kernel, error) {
	if err := requireSHANI(); err != nil {
		return nil, err
	}
	k := &vr5{
		slots:   aligned[vr5Slot](vr5Slots),
		ctx:     &aligned[vr5Context](1)[0],
		fill:    &aligned[fillContext](1)[0],
		records: readBefore(aligned[vr5Record](1 + vr5Nonces + fillLanes)),
	}
	*k.ctx, *k.fill = vr5Constants, fillConstants
	k.SetTarget(0)
	return k, nil
}

func (k *vr5) Slots() int { return vr5Slots }

func (k *vr5) Shape(slots int) (int, int) { return min(slots, vr5Lanes), vr5Nonces }

func (k *vr5) SetTarget(top uint32) (bound uint32) {
	k.ctx.mask, k.ctx.target, bound = wholeBytes(top)
	return bound
}

// SetExact implements Exact.
func (k *vr5) SetExact(top uint32) { k.ctx.mask, k.ctx.target = wholeWord(top) }

func (k *vr5) SetSlot(slot int, mid *State, tail *Tail) {
	s := tail.beforeNonce(mid)
	k.slots[slot] = vr5Slot{s.abef(), s.cdgh(), mid.abef(), mid.cdgh(), *tail}
}

func (k *vr5) Scan(slot, slots int, nonce uint32, nonces int, out []Candidate) int {
	if slots < 1 || nonces < 1 {
		return 0
	}
	use := k.slots[slot : slot+slots]
	// Every lane ends its last hash one iteration after it began: one more. A
	// tile beyond Shape panics here, before assembly writes anywhere.
	found := k.found[:nonces+1]
	k.prepare(&use[0].tail, nonce, nonces)
	for l := range vr5Lanes {
		s := &use[min(l, slots-1)] // lanes without a slot repeat the last one
		k.ctx.ab3[l], k.ctx.cd3[l], k.ctx.mab[l], k.ctx.mcd[l] = s.ab3, s.cd3, s.mab, s.mcd
	}
	n := 0
	for _, f := range found[:scanVR5Aside(k.ctx, &k.records[0], len(found), &found[0])] {
		for lanes := f.lanes & (1<<slots - 1); lanes != 0; lanes &= lanes - 1 {
			out[n] = Candidate{Slot: uint16(bits.TrailingZeros32(lanes)), Index: uint16(nonces - int(f.left))}
			n++
		}
	}
	return n
}

// prepare fills the records unless they hold just that.
func (k *vr5) prepare(tail *Tail, nonce uint32, nonces int) {
	if k.nonce == nonce && k.nonces == nonces && k.tail == *tail {
		return
	}
	k.tail, k.nonce, k.nonces = *tail, nonce, nonces
	k.fill.c4, k.fill.c5, k.fill.c7 = tail.linear()
	records := k.records[:nonces]
	for i := range records {
		r := &records[i][0] // words that are never written are zero
		w := bits.ReverseBytes32(nonce + uint32(i))
		r[1], r[3] = w, w
	}
	fillVR5(k.fill, &k.records[0], (nonces+fillLanes-1)/fillLanes)
}

// scanVR5Aside is scanVR5 as a system call is made (see aside.go).
//
//go:nosplit
func scanVR5Aside(ctx *vr5Context, records *vr5Record, iterations int, found *laneHits) int {
	entersyscall()
	n := scanVR5(ctx, records, iterations, found)
	exitsyscall()
	return n
}
