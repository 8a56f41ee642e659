// SPDX-License-Identifier: Apache-2.0

package dispatch

// rideThrough is how long a fall of what the AI load and its reserve take must
// have lasted until its room is given to mining: a dip of the voltage is over in less, and the load comes
// back at once.
const rideThrough = 5 * second

// crests are the highest values of the last seconds, one by one.
type crests struct {
	// Second of the newest value, −1 before the first; High of it and of those
	// before it.
	Second int64                         `json:"second"`
	High   [rideThrough/second + 1]int64 `json:"high"`
}

// push takes a value as of now.
func (c *crests) push(now, watts int64) {
	s, n := now/second, int64(len(c.High))
	switch gone := s - c.Second; {
	case c.Second < 0 || gone >= n:
		c.High = [rideThrough/second + 1]int64{}
	case gone > 0:
		copy(c.High[gone:], c.High[:n-gone])
		clear(c.High[:gone])
	}
	c.Second = s
	c.High[0] = max(c.High[0], watts)
}

// highest of the last rideThrough before now.
func (c *crests) highest(now int64) int64 {
	top, s := int64(0), now/second
	for i, w := range c.High {
		if c.Second < 0 || s-c.Second+int64(i) >= int64(len(c.High)) {
			break
		}
		top = max(top, w)
	}
	return top
}

func (c *crests) hash() uint64 {
	h := uint64(c.Second)
	for _, w := range c.High {
		h = mix2(h, uint64(w))
	}
	return h
}

// sagging is by how much what the AI load and its reserve take at n has fallen
// so lately that it may come back at once: nothing rises into that.
func (d *Dispatch) sagging(n *node) int64 {
	if d.unsafe || n.told.Estimated > 0 {
		return 0 // a balance of two meters rides through dips by itself
	}
	return max(n.crests.highest(d.now)-n.told.Plain-n.load.Reserve, 0)
}
