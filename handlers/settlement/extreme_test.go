// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// TestExtremes feeds numbers at and beyond every limit of the contract: no
// panic, and whatever comes out is valid and balances (the journal checks).
func TestExtremes(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 11))
		wild := func() int64 {
			return []int64{0, 1, -1, 1000, events.MaxWatts, -events.MaxWatts, events.MaxInteger, -events.MaxInteger, math.MaxInt64, math.MinInt64 + 1, r.Int64()}[r.IntN(11)]
		}
		j := newJournal(t)
		for i := range 400 {
			switch r.IntN(9) {
			case 0:
				c := randomConfig(r)
				c.LimitWatts, c.ContractedWatts, c.AINameplateWatts, c.HouseWatts = wild(), wild(), wild(), wild()
				c.Policy.LeaseMilliseconds = wild()
				c.Tariff.EnergyPriceMicrousdPerMWh = wild()
				if r.IntN(3) == 0 {
					c.Tariff.IntervalSeconds, c.Tariff.AccrualSeconds, c.Tariff.GraceSeconds = 86_400, 86_400, 86_400
				}
				for k := range c.Meters {
					c.Meters[k].MinWatts, c.Meters[k].MaxWatts = -events.MaxWatts, events.MaxWatts
					c.Meters[k].StaleMilliseconds = wild()
					c.Meters[k].CounterModulusMilliwattHours = max(wild(), 0)
				}
				j.fold("operator", c)
			case 1, 2:
				id := []string{"ai", "ai-b", "ai-c", "mine", "total", "house"}[r.IntN(6)]
				if r.IntN(2) == 0 {
					j.count(id, wild(), wild())
				} else {
					j.read(id, wild())
				}
			case 3:
				s := status(fmt.Sprint("rig-", i), wild(), r.IntN(2) == 0, "mine", true)
				s.Units[0].Capabilities.FailsafeWatts, s.Units[0].Capabilities.MillijoulesPerTerahash = wild(), wild()
				j.fold(s.Units[0].Unit, s)
			case 4:
				j.fold("iso", priceSignal("p", wild(), time.Time{}, wild()))
			case 5:
				j.fold("market", &events.MarketQuote{BTCPriceMicrousd: wild()})
			case 6:
				p := livePayout()
				p.RewardSats = events.MaxSatoshi
				p.NBits = []string{"207fffff", "17034219", "00000000", "1d00ffff"}[r.IntN(4)]
				j.share(j.now.Add(-time.Duration(r.IntN(1e6))*time.Second), p, []string{"1", "999999999999999999999999999999", "0.000000000000000000000000000001", ""}[r.IntN(4)])
			case 7:
				j.at(j.now.Add(time.Duration(r.IntN(100_000)) * time.Second)).tick()
			case 8:
				j.at(j.now.Add(-time.Duration(r.IntN(10_000)) * time.Second)).tick()
			}
		}
		j.at(j.now.Add(48 * hour)).tick()
		j.at(j.now.Add(24 * hour)).tick()
	}
}
