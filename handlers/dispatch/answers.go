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

// acquitAll takes from suspicion the units in p, which has been shown: they draw
// what they are told now, whatever became of what they were told before.
func (d *Dispatch) acquitAll(p *proof) {
	d.answering = slices.DeleteFunc(d.answering, func(u *unit) bool {
		if u.part == p {
			d.acquit(u)
		}
		u.answering = u.answers.open()
		return !u.answering
	})
}

// suspect is the part of u in the digest of the part that it answers for.
func (u *unit) suspect() uint64 {
	return mix2(xxhash.Sum64String(u.id), u.agent.idHash)
}
