// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"encoding/binary"
	"time"

	"github.com/ballast-energy/ballast/hashengine/internal/sha256d"
)

// laneEngine drives a kernel that computes many hashes at a time. It visits
// the space time by time; at each time in blocks of as many versions as the
// kernel holds; in each block batch by batch of nonces, and each batch goes
// through all versions of the block before the next: what the versions share,
// the schedule of the header's second block, is computed once per nonce and
// block, and what the nonces share, the midstate, once per version and block.
//
// A tile is computed whole. What of its candidates does not fit into the
// caller's slice, or into the time of the call, waits for the next call.
type laneEngine struct {
	kernel sha256d.Kernel
	work   Work
	top    uint32 // most significant 32 bits of the target
	bound  uint32 // what the kernel compares with instead

	// The place: the next tile begins at slot and nonce.
	times  uint32 // seconds after the template's time
	block  uint64 // roll of the block's slot 0
	slots  int    // slots in use
	set    int    // of them, those that have their midstate
	slot   int
	nonce  uint32
	batch  int  // nonces of the batch that begins at nonce
	tested bool // the whole space has been computed

	tail    sha256d.Tail
	mid     sha256d.State    // scratch: of the slot being set
	first   sha256d.Schedule // scratch: the header's first block
	shrink  uint             // tiles are this many halvings smaller than the kernel's
	took    time.Duration    // by the newest tile
	checked int              // candidates already looked at
	found   int              // candidates of the newest tile
	origin  struct {         // of the newest tile
		header Header
		roll   uint64
		nonce  uint32
	}
	candidates [sha256d.MaxTile]sha256d.Candidate

	// now is the monotonic clock that calls are measured with.
	now func() time.Duration
}

func newLaneEngine(k sha256d.Kernel) *laneEngine {
	return &laneEngine{kernel: k, tested: true, now: monotonic}
}

// Load implements Engine.
func (e *laneEngine) Load(w *Work) error {
	e.tested, e.found, e.checked = true, 0, 0
	if err := w.Validate(); err != nil {
		return err
	}
	e.work = *w
	e.top = w.Target.top()
	e.bound = e.kernel.SetTarget(e.top)
	e.tested = false
	e.times = 0
	e.beginTime()
	return nil
}

// beginTime goes to the first block at the present time.
func (e *laneEngine) beginTime() {
	header := e.header()
	for i := range e.tail {
		e.tail[i] = binary.BigEndian.Uint32(header[64+4*i:])
	}
	for i := range 16 {
		e.first[i] = binary.BigEndian.Uint32(header[4*i:])
	}
	e.beginBlock(uint64(e.work.FirstRoll))
}

// header returns the template at the present time.
func (e *laneEngine) header() Header {
	h := e.work.Header
	h.SetTime(h.Time() + e.times)
	return h
}

// beginBlock goes to the first batch of the block whose first roll is given.
func (e *laneEngine) beginBlock(roll uint64) {
	e.block = roll
	e.slots = int(min(uint64(e.kernel.Slots()), uint64(e.work.LastRoll)-roll+1))
	e.set, e.slot = 0, 0
	e.nonce = e.work.FirstNonce
	e.batch = 0
}

// advance moves behind a tile of n slots.
func (e *laneEngine) advance(n int) {
	if e.slot += n; e.slot < e.slots {
		return
	}
	e.slot = 0
	last := e.nonce + uint32(e.batch-1)
	e.batch = 0
	if last != e.work.LastNonce {
		e.nonce = last + 1
		return
	}
	next := e.block + uint64(e.slots)
	switch {
	case next <= uint64(e.work.LastRoll):
		e.beginBlock(next)
	case e.times < e.work.TimeRolls:
		e.times++
		e.beginTime()
	default:
		e.tested = true
	}
}

// setSlot gives a slot its midstate.
func (e *laneEngine) setSlot(slot int) {
	version := e.work.Version(uint32(e.block) + uint32(slot))
	var bytes [4]byte
	binary.LittleEndian.PutUint32(bytes[:], version)
	e.first[0] = binary.BigEndian.Uint32(bytes[:])
	e.mid = sha256d.IV
	e.mid.Compress(&e.first)
	e.kernel.SetSlot(slot, &e.mid, &e.tail)
}

// shape returns the size of the next tile, not regarding the ends of the space.
func (e *laneEngine) shape() (slots, nonces int) {
	const fewest = 16 // nonces, before slots are cut
	slots, nonces = e.kernel.Shape(e.slots)
	for range e.shrink {
		if nonces > fewest {
			nonces /= 2
		} else {
			slots = max(slots/2, 1)
		}
	}
	return slots, nonces
}

// maxShrink halvings make one slot of sixteen nonces of any tile.
const maxShrink = 8

// tile computes the next tile and returns the number of its hashes.
func (e *laneEngine) tile() uint64 {
	slots, nonces := e.shape()
	if e.batch == 0 {
		e.batch = int(min(uint64(nonces), uint64(e.work.LastNonce-e.nonce)+1))
	}
	slots = min(slots, e.slots-e.slot)
	for e.set < e.slot+slots {
		e.setSlot(e.set)
		e.set++
	}
	e.origin.header, e.origin.roll, e.origin.nonce = e.header(), e.block+uint64(e.slot), e.nonce
	e.checked = 0
	e.found = e.kernel.Scan(e.slot, slots, e.nonce, e.batch, e.candidates[:])
	hashes := uint64(slots) * uint64(e.batch)
	e.advance(slots)
	return hashes
}

// confirm checks one candidate with plain code. If its header meets the
// target, confirm fills in hit and returns true.
func (e *laneEngine) confirm(c sha256d.Candidate, hit *Hit, faults *uint64) bool {
	header := e.origin.header
	header.SetVersion(e.work.Version(uint32(e.origin.roll) + uint32(c.Slot)))
	header.SetNonce(e.origin.nonce + uint32(c.Index))
	hash := header.Hash()
	if hash.top() > e.bound {
		*faults++
		return false
	}
	if !e.work.Target.Met(&hash) {
		return false
	}
	hit.Header, hit.Hash, hit.Tag = header, hash, e.work.Tag
	return true
}

// Scan implements Engine.
func (e *laneEngine) Scan(hits []Hit) Result {
	var res Result
	begin := e.now()
	for len(hits) > 0 {
		for e.checked < e.found && res.Hits < len(hits) {
			// A target that nearly every hash meets makes thousands of
			// candidates a tile; looking at all would make a call long.
			if e.checked%64 == 63 && res.Hits > 0 && e.now()-begin > callGoal {
				return res
			}
			if e.confirm(e.candidates[e.checked], &hits[res.Hits], &res.Faults) {
				res.Hits++
			}
			e.checked++
		}
		if e.checked < e.found || e.tested || res.Hits == len(hits) {
			break
		}
		before := e.now()
		if res.Hashes > 0 && before-begin+e.took > callGoal {
			break
		}
		res.Hashes += e.tile()
		e.adapt(e.now() - before)
	}
	res.Done = e.tested && e.checked == e.found
	return res
}

// adapt takes note of how long a tile took. Tiles are made for processors of
// today; on a slow or emulated one they shrink until a call is short again. A
// tile that the operating system interrupted looks slow, too, which costs
// little: the next ones grow back.
func (e *laneEngine) adapt(took time.Duration) {
	e.took = took
	switch {
	case took > callGoal && e.shrink < maxShrink:
		e.shrink++
	case took < callGoal/8 && e.shrink > 0:
		e.shrink--
	}
}
