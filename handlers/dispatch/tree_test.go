// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
)

// consistentNodes compares the sums, digests and arrays of the tree with what
// units and nodes give.
func (d *Dispatch) consistentNodes(want map[*node]books) error {
	below := make(map[*node]told, len(d.nodes))
	for i := len(d.nodes) - 1; i >= 0; i-- {
		n := d.nodes[i]
		switch {
		case n.index != i || n.up != nil && n.up.index >= i || (n.up == nil) != (n == d.root):
			return fmt.Errorf("node %s is out of place", n.id)
		case n.books != want[n]:
			return fmt.Errorf("node %s books %v, want %v", n.id, n.books, want[n])
		case d.site.tree && n.h != n.hash():
			return fmt.Errorf("node %s changed without its digest", n.id)
		case n.below != below[n]:
			return fmt.Errorf("node %s heard %+v, was told %+v", n.id, n.below, below[n])
		case n.over || n.rehash || n.rose:
			return fmt.Errorf("node %s keeps marks of an earlier fold", n.id)
		}
		if n.up != nil {
			t := below[n.up]
			t.add(&n.told, 1)
			below[n.up] = t
		}
		if d.unranked {
			continue
		}
		at := 0
		for rank, s := range d.steps {
			u := s.u
			for a := u.node; a != nil; a = a.up {
				if a != n {
					continue
				}
				if at >= len(n.members) || n.members[at] != int32(rank) || s.rank != rank || &u.steps[s.index] != s {
					return fmt.Errorf("node %s does not know unit %s", n.id, u.id)
				}
				at++
			}
			if w := u.holds(s); u.fixed && d.sets[rank] != 0 || !u.fixed && d.sets[rank] != w {
				return fmt.Errorf("unit %s stands with %d W in the array, not %d", u.id, d.sets[rank], w)
			}
		}
		if at != len(n.members) {
			return fmt.Errorf("node %s has %d members, not %d", n.id, len(n.members), at)
		}
	}
	for _, t := range [...]*timers{&d.rungs, &d.silences} {
		for i, m := range t.heap {
			if m.slot[t.kind] != i || i > 0 && t.less(m, t.heap[(i-1)/2]) {
				return fmt.Errorf("meter %s is out of its place in a heap", m.cfg.Meter)
			}
		}
		if len(t.heap) != len(d.site.meters) {
			return fmt.Errorf("%d meters are waited for, of %d", len(t.heap), len(d.site.meters))
		}
	}
	return nil
}
