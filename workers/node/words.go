// SPDX-License-Identifier: Apache-2.0

package node

import (
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// maxWords is how much is kept of what a node says.
const maxWords = 512

// classify reads what submitblock says: BIP 22's words from Bitcoin Core, free
// text behind "rejected:" from btcd.
func classify(words string) answer {
	if len(words) > maxWords {
		words = words[:maxWords] + "…"
	}
	a := answer{state: refused, words: words, reason: events.RejectInvalid}
	text := strings.ToLower(strings.TrimSpace(words))
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch {
	case text == "":
		a.state, a.words = taken, ""
	case text == "duplicate", text == "inconclusive", text == "duplicate-inconclusive":
		// It has the block: from an earlier try, another gateway, or as one of
		// two of a height.
		a.state = taken
	case text == "duplicate-invalid":
	case strings.HasPrefix(text, "rejected: already have block"):
		a.state = taken
	case text == "high-hash", has("higher than expected max"):
		a.reason = events.RejectLow
	case text == "stale-prevblk", text == "bad-prevblk", text == "prev-blk-not-found", text == "stale-work", has("previous block"):
		a.reason = events.RejectStale
	}
	return a
}
