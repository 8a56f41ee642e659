// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// Shares written per second, their hours included, in batches as large as a
// projector that catches up makes them.
func BenchmarkShares(b *testing.B) {
	bench := func(b *testing.B, address string) {
		s := openStore(b, address)
		f := newFacts(1)
		pay := f.payout()
		r := rand.New(rand.NewPCG(1, 1))
		var v valuer
		at := position{}
		b.ResetTimer()
		for i := 0; i < b.N; {
			var rows []row
			to := at
			for ; i < b.N && len(rows) < maxBatch; i++ {
				to = position{to.sequence + 1, int64(to.sequence + 1)}
				e := events.New("tx1", "gw-1", &events.ShareAccepted{ShareID: fmt.Sprintf("%064x", r.Uint64()), JobID: "j", Agent: "a",
					Unit: fmt.Sprintf("u%d", r.IntN(500)), Difficulty: "1048576", Payout: pay, JudgedAt: f.at})
				e.ID, e.Arrived = fmt.Sprintf("%020d", i), f.at
				x, _ := rowOf(e)
				rows = append(rows, x)
			}
			if _, err := s.commit(context.Background(), &batch{stream: events.StreamShares, from: at, to: to, rows: rows}, &v, nil); err != nil {
				b.Fatal(err)
			}
			at = to
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "shares/s")
	}
	b.Run("sqlite", func(b *testing.B) { bench(b, filepath.Join(b.TempDir(), "ledger")) })
	b.Run("postgres", func(b *testing.B) { bench(b, postgresLedger(b)) })
}
