// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"

	"github.com/cespare/xxhash/v2"
)

// answer puts u under suspicion in p, which asks nothing more of it.
func (d *Dispatch) answer(u *unit, p *proof) {
	u.answers = p
	p.Members += u.suspect()
	if !u.answering {
		u.answering = true
		d.answering = append(d.answering, u)
		d.forgive()
	}
}

// acquit takes u out of the part that it left and still answers for.
func (d *Dispatch) acquit(u *unit) {
	p := u.answers
	if u.answers = nil; p.open() {
		p.Members -= u.suspect()
		d.touchPart(p)
	}
}

// acquitShown takes from suspicion the units that a reading has just shown to
// draw what they are told now, whatever became of what they were told before:
// those in the parts shown that were asked for more than the meter forgives. Of
// one that was asked for less it says nothing.
func (d *Dispatch) acquitShown(shown []*proof) {
	d.answering = slices.DeleteFunc(d.answering, func(u *unit) bool {
		if slices.Contains(shown, u.part) && u.asked > u.part.tolerance() {
			d.acquit(u)
		}
		u.answering = u.answers.open()
		return !u.answering
	})
}

// forgive drops from the list those who answer for nothing any more, when they
// are many.
func (d *Dispatch) forgive() {
	if len(d.answering) > 2*len(d.order)+64 {
		d.acquitShown(nil)
	}
}

// suspect is the part of u in the digest of the part that it answers for.
func (u *unit) suspect() uint64 {
	return mix2(xxhash.Sum64String(u.id), u.agent.idHash)
}
