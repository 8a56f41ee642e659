// SPDX-License-Identifier: Apache-2.0

package hashengine

import (
	"context"
	"fmt"
)

// Search scans the work with one engine on the calling goroutine until the
// space is done, found returns false, or ctx is cancelled, whichever is first.
// It returns the number of hashes done, and the context's cause as an error if
// that ended it. found is called for every hit in the order of finding, between
// calls of [Engine.Scan]; hits of a call that found some before ctx was
// cancelled are still handed out, those that waited for the next call are not.
//
// Search is for short searches, such as blocks of a regression test chain. A
// [Miner] is for mining: it uses all cores and keeps out of the way of others.
func Search(ctx context.Context, e Engine, w *Work, found func(Hit) bool) (hashes uint64, err error) {
	if err := e.Load(w); err != nil {
		return 0, err
	}
	var hits [8]Hit
	for {
		if ctx.Err() != nil {
			return hashes, fmt.Errorf("search ended after %d hashes: %w", hashes, context.Cause(ctx))
		}
		r := e.Scan(hits[:])
		hashes += r.Hashes
		for _, hit := range hits[:r.Hits] {
			if !found(hit) {
				return hashes, nil
			}
		}
		if r.Done {
			return hashes, nil
		}
	}
}
