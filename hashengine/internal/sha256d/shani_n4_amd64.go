// SPDX-License-Identifier: Apache-2.0

package sha256d

import "math/bits"

//go:noescape
func scanN4(ctx *n4Context, records *n4Record, iterations int, found *laneHits) int

const (
	n4Nonces = 1000
	n4Groups = n4Nonces/n4Lanes + 1 // those at both ends may be used in part
)

// n4 computes four nonces under one midstate at a time.
type n4 struct {
	ctx     *n4Context
	records []n4Record // one before the first is readable: see readBefore
	found   [n4Groups + 1]laneHits
}

// NewSHANIN4 returns a kernel for processors with the SHA instructions that
// needs a single version only. It fails on other processors.
func NewSHANIN4() (Kernel, error) {
	if err := requireSHANI(); err != nil {
		return nil, err
	}
	k := &n4{ctx: &aligned[n4Context](1)[0], records: readBefore(aligned[n4Record](1 + n4Groups + 1))}
	*k.ctx = n4Constants
	k.SetTarget(0)
	return k, nil
}

func (k *n4) Slots() int { return 1 }

func (k *n4) Shape(int) (int, int) { return 1, n4Nonces }

func (k *n4) SetTarget(top uint32) (bound uint32) {
	k.ctx.mask, k.ctx.target, bound = wholeBytes(top)
	return bound
}

// SetExact implements Exact.
func (k *n4) SetExact(top uint32) { k.ctx.mask, k.ctx.target = wholeWord(top) }

func (k *n4) SetSlot(_ int, mid *State, tail *Tail) {
	c := k.ctx
	c.c4, c.c5, c.c7 = tail.linear()
	c.wk16 = vector{c.c4[0] + K[16], c.c4[1] + K[17]}
	s := tail.beforeNonce(mid)
	for l := range c.ab3 {
		c.ab3[l] = s.abef()
		c.ab3[l][1] += c.lane[l][3]
		c.ab3[l][3] += c.lane[l][3]
	}
	c.cd3, c.mab, c.mcd = s.cdgh(), mid.abef(), mid.cdgh()
}

func (k *n4) Scan(_, slots int, nonce uint32, nonces int, out []Candidate) int {
	if slots < 1 || nonces < 1 {
		return 0
	}
	// Whole groups, from the one of the first nonce to the one of the last:
	// what is in them beyond the tile is left out below.
	begin := nonce &^ (n4Lanes - 1)
	before := int(nonce - begin)
	groups := (before + nonces + n4Lanes - 1) / n4Lanes
	found := k.found[:groups+1] // as in vr5, one more, and a panic beyond Shape
	records := k.records[:groups]
	for i := range records {
		r := &records[i] // words that are never written are zero
		w := bits.ReverseBytes32(begin + uint32(i*n4Lanes))
		r[0][1], r[0][3], r[1][3] = w, w, w
	}
	n := 0
	for _, f := range found[:scanN4Aside(k.ctx, &records[0], len(found), &found[0])] {
		for lanes := f.lanes; lanes != 0; lanes &= lanes - 1 {
			i := (groups-int(f.left))*n4Lanes + bits.TrailingZeros32(lanes) - before
			if i >= 0 && i < nonces {
				out[n] = Candidate{Index: uint16(i)}
				n++
			}
		}
	}
	return n
}

// scanN4Aside is scanN4 as a system call is made (see aside.go).
//
//go:nosplit
func scanN4Aside(ctx *n4Context, records *n4Record, iterations int, found *laneHits) int {
	entersyscall()
	n := scanN4(ctx, records, iterations, found)
	exitsyscall()
	return n
}
