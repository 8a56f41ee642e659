// SPDX-License-Identifier: Apache-2.0

package enginebench

import (
	"context"
	"time"
)

// stops times Stop with every thread hashing.
func (e *engine) stops(ctx context.Context, share time.Duration) (StopResult, error) {
	res := StopResult{Kernel: e.Engine.Name, Threads: e.miner.Threads(), Target: TargetStopMicros}
	took := make([]time.Duration, 0, e.Stops)
	begin := time.Now()
	for i := 0; i < e.Stops && (i < 3 || time.Since(begin) < 3*share); i++ {
		if err := e.hashing(ctx); err != nil {
			return res, err
		}
		// At any place of a call, not always at the same.
		if err := sleep(ctx, time.Duration(i*137%500)*time.Microsecond); err != nil {
			return res, err
		}
		from := time.Now()
		e.miner.Stop()
		took = append(took, time.Since(from))
		if i%50 == 0 {
			e.step("stops", shareStops, float64(i)/float64(e.Stops))
		}
	}
	res.Spread = spread(took)
	res.Met = res.P99 <= res.Target
	return res, nil
}

// hashing resumes the miner and returns when every thread is at it.
func (e *engine) hashing(ctx context.Context) error {
	from := e.miner.Stats().Hashes
	e.miner.Resume()
	for {
		s := e.miner.Stats()
		if s.Active == e.miner.Threads() && s.Hashes > from {
			return nil
		}
		if err := sleep(ctx, 100*time.Microsecond); err != nil {
			e.miner.Stop()
			return err
		}
	}
}
