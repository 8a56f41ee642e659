// SPDX-License-Identifier: Apache-2.0

package simulate

import "time"

// agenda is the virtual clock: what is to happen, in the order of time and, at
// one instant, of planning. True time only rises; what clocks show is kept by
// whoever has one.
type agenda struct {
	now   time.Duration
	count uint64
	heap  []task
	steps uint64
}

type task struct {
	at time.Duration
	n  uint64
	do func()
}

func (t *task) before(o *task) bool { return t.at < o.at || t.at == o.at && t.n < o.n }

// at plans do; a time that is past means now, behind what is planned for now.
func (a *agenda) at(t time.Duration, do func()) {
	a.count++
	a.heap = append(a.heap, task{max(t, a.now), a.count, do})
	for i := len(a.heap) - 1; i > 0; {
		p := (i - 1) / 2
		if !a.heap[i].before(&a.heap[p]) {
			break
		}
		a.heap[i], a.heap[p] = a.heap[p], a.heap[i]
		i = p
	}
}

// after plans do for a while from now.
func (a *agenda) after(d time.Duration, do func()) { a.at(a.now+d, do) }

// next does the earliest task, unless it lies beyond end.
func (a *agenda) next(end time.Duration) bool {
	if len(a.heap) == 0 || a.heap[0].at > end {
		return false
	}
	t := a.heap[0]
	last := len(a.heap) - 1
	a.heap[0] = a.heap[last]
	a.heap[last] = task{}
	a.heap = a.heap[:last]
	for i := 0; ; {
		c := 2*i + 1
		if c >= last {
			break
		}
		if c+1 < last && a.heap[c+1].before(&a.heap[c]) {
			c++
		}
		if !a.heap[c].before(&a.heap[i]) {
			break
		}
		a.heap[i], a.heap[c] = a.heap[c], a.heap[i]
		i = c
	}
	a.now = t.at
	a.steps++
	t.do()
	return true
}
