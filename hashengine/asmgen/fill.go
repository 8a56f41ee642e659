// SPDX-License-Identifier: Apache-2.0

package main

// fillLanes is how many records the fill writes at a time, so that one's
// latencies are another's work. Each needs its four newest vectors and the one
// that grows: three times five is what 16 registers hold.
const fillLanes = 3

// fill builds the loop that writes the records of the vr5 kernel. The nonce
// vectors are there already; what is added are the words 16 to 63 of the
// second block plus their round constants.
func fill() kernel {
	b := &builder{kernel: kernel{name: "fill", lanes: fillLanes, record: versionRecord}}
	c := &b.context
	c.add("k", "round constants 16 to 63", 12, quads(16, 64)...)
	c.add("c4", "W16 to W19 less what the nonce adds", 1)
	c.add("c5", "W20 to W23 less what W18 to W21 add", 1)
	c.add("c7", "what W15 and W16 add to W28 to W31", 1)
	c.add("zero", "where a schedule step's words are zero", 1, vector{})

	// Each lane's list by itself, then one of each in turn.
	var lists [fillLanes][]inst
	for l := range lists {
		b.list = nil
		b.fillLane(l)
		lists[l] = b.list
	}
	b.list = nil
	for n := range lists[0] {
		for l := range lists {
			b.emit(lists[l][n])
		}
	}
	return b.kernel
}

// fillLane writes one record.
func (b *builder) fillLane(lane int) {
	record := func(i int) memory {
		return memory{base: recordBase, offset: int32(lane)*versionRecord + int32(i)*vectorBytes}
	}
	// The vector t is in v[t%4] while it is among the newest four; the vector
	// t+1 is made in the register of t-3.
	first := uint8(lane * 5)
	v := func(t int) uint8 { return first + uint8(t%4) }
	s := first + 4
	keep := func(t int) {
		b.emit(inst{op: opAdd, dst: s, a: v(t), mem: b.context.at("k", t-4)})
		b.emit(inst{op: opStore, a: s, mem: record(t - 3)})
	}
	b.emit(inst{op: opLoad, dst: v(4), mem: record(0)})
	b.emit(inst{op: opShuffle, dst: v(4), a: v(4), imm: 0 | 1<<6}) // 0 0 0 W3
	b.emit(inst{op: opMsg1, dst: v(4), mem: b.context.at("zero", 0)})
	b.emit(inst{op: opAdd, dst: v(4), a: v(4), mem: b.context.at("c4", 0)})
	for t := 5; t < 16; t++ {
		w, p := v(t), v(t-1)
		switch t {
		case 5:
			b.emit(inst{op: opLoad, dst: w, mem: b.context.at("c5", 0)})
		case 6, 7:
			b.emit(inst{op: opAlign, dst: w, a: p, b: v(t - 2), imm: 4})
			if t == 7 {
				b.emit(inst{op: opAdd, dst: w, a: w, mem: b.context.at("c7", 0)})
			}
		default: // w holds the vector t-4
			b.emit(inst{op: opMsg1, dst: w, b: v(t - 3)})
			b.emit(inst{op: opAlign, dst: s, a: p, b: v(t - 2), imm: 4})
			b.emit(inst{op: opAdd, dst: w, a: w, b: s})
		}
		b.emit(inst{op: opMsg2, dst: w, b: p})
		keep(t - 1)
	}
	keep(15)
}
