// SPDX-License-Identifier: Apache-2.0

package stratum

import (
	"fmt"
	"strconv"

	"github.com/ballast-energy/ballast/hashengine"
)

// Bounds of a job.
const (
	// MaxBranches of a merkle tree: more than any block can have, and what
	// small firmware has room for.
	MaxBranches = 32
	// MaxCoinbase is the most bytes of a half of the coinbase: what a job on
	// the bus may carry.
	MaxCoinbase = 50000
	// MaxJobID is the longest id of a job, bytes.
	MaxJobID = 256
)

// Notify (mining.notify) is a job.
type Notify struct {
	// JobID is a text of any form.
	JobID string
	// PrevHash in header order; on the wire its words are reversed.
	PrevHash hashengine.Hash
	// Coinbase1 and Coinbase2 enclose the extranonces.
	Coinbase1, Coinbase2 []byte
	// Branches in header order.
	Branches []hashengine.Hash
	// Version, Bits (compact network target) and NTime of the header.
	Version, Bits, NTime uint32
	// Clean: earlier jobs are void.
	Clean bool
}

// ParseNotify reads the params of mining.notify. It checks their form and
// bounds; whether the job makes sense is for the caller. Params after the
// ninth are ignored.
func ParseNotify(params []byte) (*Notify, error) {
	n, err := parseNotify(params)
	if err != nil {
		return nil, paramError(MethodNotify, err)
	}
	return n, nil
}

func parseNotify(params []byte) (*Notify, error) {
	var room [9][]byte
	p, count, err := elements(params, room[:0])
	if err != nil {
		return nil, err
	}
	if count < len(room) {
		return nil, tooFew(count, len(room))
	}
	n := &Notify{}
	var errs [7]error
	n.JobID, errs[0] = boundedText(p[0], "job id", MaxJobID)
	n.PrevHash, errs[1] = hash(p[1], "previous block")
	n.PrevHash = ReverseWords(n.PrevHash)
	n.Coinbase1, errs[2] = hexBytes(nil, p[2], "first half of the coinbase", 1, MaxCoinbase)
	n.Coinbase2, errs[3] = hexBytes(nil, p[3], "second half of the coinbase", 0, MaxCoinbase)
	n.Version, errs[4] = word(p[5], "version")
	n.Bits, errs[5] = word(p[6], "nbits")
	n.NTime, errs[6] = word(p[7], "ntime")
	for _, err := range errs {
		if err != nil {
			return nil, err // the first says enough
		}
	}
	var list [MaxBranches][]byte
	branches, count, err := elements(p[4], list[:0])
	if err != nil {
		return nil, fmt.Errorf("merkle branches: %w", err)
	}
	if count > MaxBranches {
		return nil, fmt.Errorf("%d merkle branches; at most %d", count, MaxBranches)
	}
	if count > 0 {
		n.Branches = make([]hashengine.Hash, count)
	}
	for i, b := range branches {
		if n.Branches[i], err = hash(b, "merkle branch "+strconv.Itoa(i)); err != nil {
			return nil, err
		}
	}
	var ok bool
	if n.Clean, ok = truth(p[8]); !ok {
		return nil, fmt.Errorf("clean_jobs: %s is neither true nor false", clip(p[8]))
	}
	return n, nil
}

// Append writes the notification as one line. There is no extranonce in it, so
// one text serves every session.
func (n *Notify) Append(b []byte) []byte {
	b = append(b, `{"id":null,"method":"mining.notify","params":[`...)
	b = appendString(b, n.JobID)
	b = append(b, `,"`...)
	prev := ReverseWords(n.PrevHash)
	b = appendHex(b, prev[:])
	b = append(b, `","`...)
	b = appendHex(b, n.Coinbase1)
	b = append(b, `","`...)
	b = appendHex(b, n.Coinbase2)
	b = append(b, `",[`...)
	for i := range n.Branches {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = appendHex(b, n.Branches[i][:])
		b = append(b, '"')
	}
	b = append(b, `],"`...)
	b = appendWord(b, n.Version)
	b = append(b, `","`...)
	b = appendWord(b, n.Bits)
	b = append(b, `","`...)
	b = appendWord(b, n.NTime)
	b = append(b, `",`...)
	b = strconv.AppendBool(b, n.Clean)
	return append(b, "]}\n"...)
}
