// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
)

const (
	// jobVersion of headers, with the bits free that BIP 320 frees.
	jobVersion = 0x20000000
	// Bytes of extranonce: the pool's slice and the agent's part.
	prefixBytes     = 4
	extranonceBytes = 4
	// feeSats of a practice block.
	feeSats = 5_000_000
	// subsidyInterval in blocks, and the first subsidy.
	subsidyInterval = 210_000
	firstSubsidy    = 50_0000_0000
)

// chain is the practice chain: only its tip matters.
type chain struct {
	bits uint32
	// height and hash of the tip; the next block has height+1.
	height int64
	tip    hashengine.Hash
}

// newChain begins a chain of its own for every site.
func newChain(site string, bits uint32) chain {
	return chain{bits: bits, tip: hashengine.DoubleSHA256([]byte("practice chain of " + site))}
}

// subsidy of the block at a height, satoshi.
func subsidy(height int64) int64 {
	if halvings := height / subsidyInterval; halvings < 64 {
		return firstSubsidy >> halvings
	}
	return 0
}

// reward of the next block, satoshi.
func (c *chain) reward() int64 { return subsidy(c.height+1) + feeSats }

// template is what all jobs of one moment share.
type template struct {
	generation uint64
	height     int64
	prev       hashengine.Hash
	ntime      int64
	bits       uint32
	coinbase1  []byte
	coinbase2  []byte
	branches   []hashengine.Hash
}

// next makes the template of the next block. tag tells instances of the pool
// apart within the coinbase, so that no two ever hand out the same work.
func (c *chain) next(generation uint64, now time.Time, tag string) template {
	t := template{
		generation: generation, height: c.height + 1, prev: c.tip, ntime: now.Unix(), bits: c.bits,
	}
	script := pushHeight(t.height)
	text := "/ballast practice " + tag + "/"
	scriptLen := len(script) + 1 + prefixBytes + extranonceBytes + len(text)

	b := binary.LittleEndian.AppendUint32(nil, 1) // version
	b = append(b, 1)                              // inputs
	b = append(b, make([]byte, 32)...)            // no previous output
	b = binary.LittleEndian.AppendUint32(b, 0xffffffff)
	b = append(b, byte(scriptLen))
	b = append(b, script...)
	t.coinbase1 = append(b, prefixBytes+extranonceBytes) // push of both

	b = append([]byte(nil), text...)
	b = binary.LittleEndian.AppendUint32(b, 0xffffffff) // sequence
	b = append(b, 1)                                    // outputs
	b = binary.LittleEndian.AppendUint64(b, uint64(c.reward()))
	b = append(b, 1, 0x51)                                   // anybody may spend
	t.coinbase2 = binary.LittleEndian.AppendUint32(b, 0)     // lock time
	t.branches = []hashengine.Hash{payment(t.height, c.tip)} // the fee's origin
	return t
}

// pushHeight is the script that a coinbase begins with (BIP 34).
func pushHeight(height int64) []byte {
	if height >= 1 && height <= 16 {
		return []byte{byte(0x50 + height)}
	}
	var n []byte
	for v := height; v > 0; v >>= 8 {
		n = append(n, byte(v))
	}
	if len(n) > 0 && n[len(n)-1]&0x80 != 0 {
		n = append(n, 0)
	}
	return append([]byte{byte(len(n))}, n...)
}

// payment is the id of the one other transaction of a block, which pays the
// fee: it spends an output of the practice chain and leaves nothing.
func payment(height int64, prev hashengine.Hash) hashengine.Hash {
	b := binary.LittleEndian.AppendUint32(nil, 1)
	b = append(b, 1)
	b = append(b, prev[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(height))
	b = append(b, 0) // empty script
	b = binary.LittleEndian.AppendUint32(b, 0xffffffff)
	b = append(b, 1)
	b = binary.LittleEndian.AppendUint64(b, 0)
	b = append(b, 1, 0x6a) // unspendable
	b = binary.LittleEndian.AppendUint32(b, 0)
	return hashengine.DoubleSHA256(b)
}

// work is the template as a job, but for what depends on the agent.
func (t *template) work() events.WorkAssigned {
	w := events.WorkAssigned{
		Version: job.WordText(jobVersion), VersionMask: job.WordText(hashengine.VersionRollingMask),
		PrevHash:  hex.EncodeToString(t.prev[:]),
		Coinbase1: hex.EncodeToString(t.coinbase1), Coinbase2: hex.EncodeToString(t.coinbase2),
		ExtranonceBytes: extranonceBytes, NTime: t.ntime, NBits: job.WordText(t.bits), Height: t.height,
	}
	for _, h := range t.branches {
		w.MerkleBranches = append(w.MerkleBranches, hex.EncodeToString(h[:]))
	}
	return w
}
