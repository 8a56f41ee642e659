// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"

	"github.com/ballast-energy/ballast/events"
)

// grow gives the world's site a power tree: a feed with an AI meter, one whose
// load is the balance of two others, one without any; budgets, redundancy,
// reserves, declared loads.
func (w *world) grow(c *events.SiteConfig) {
	c.AINameplateWatts = 1_000_000
	node := func(id, parent string, limit int64) events.NodeConfig {
		return events.NodeConfig{Node: id, Parent: parent, LimitWatts: limit, ContinuousFactorPPM: 900_000}
	}
	rack2 := node("rack-2", "pdu-a1", 900_000)
	rack2.AINameplateWatts, rack2.Agents = 100_000, []string{"rig-8", "rig-9"}
	pdu1 := node("pdu-a1", "feed-a", 3_000_000)
	pdu1.Reserve = &events.ReserveConfig{FloorWatts: 50_000, UnlearnedWatts: 200_000, EnvelopeSeconds: 20}
	pdu1.RampWattsPerSecond, pdu1.RampBurstWatts = 200_000, 300_000
	pdu2 := node("pdu-a2", "feed-a", 2_000_000)
	pdu2.Redundancy, pdu2.Paths, pdu2.HouseWatts = events.RedundancyN1, 4, 30_000
	feedB := node("feed-b", "", 8_000_000)
	feedB.Redundancy, feedB.CoolingLimitWatts, feedB.AINameplateWatts = events.Redundancy2N, 3_500_000, 500_000
	feedB.Agents = []string{"rig-1", "rig-5"}
	c.Nodes = []events.NodeConfig{rack2, pdu1, node("feed-a", "", 6_000_000), pdu2, feedB, node("rack-1", "pdu-a1", 700_000)}
	at := func(id, node string, what events.Measures) {
		c.Meters = append(c.Meters, events.MeterConfig{Meter: id, Node: node, Measures: what, PeriodMilliseconds: 1000, StaleMilliseconds: 4000, MaxWatts: 9_000_000})
	}
	at("ai-a", "feed-a", events.MeasuresAI)
	at("ai-a1", "pdu-a1", events.MeasuresAI)
	at("mine-a1", "pdu-a1", events.MeasuresMining)
	at("total-b", "feed-b", events.MeasuresTotal)
	at("mine-b", "feed-b", events.MeasuresMining)
	at("house-b", "feed-b", events.MeasuresHouse)
	at("rack-ai", "rack-1", events.MeasuresAI)
}

// graft does to a tree what no publisher should.
func (w *world) graft(c *events.SiteConfig) {
	if len(c.Nodes) == 0 {
		return
	}
	n := &c.Nodes[w.c.below(len(c.Nodes))]
	switch w.c.below(10) {
	case 0:
		n.LimitWatts, n.CoolingLimitWatts, n.Paths = w.odd(), w.odd(), w.odd()
	case 1:
		n.Parent = []string{"rack-1", "rack-2", "pdu-a1", "nobody", "feed-b"}[w.c.below(5)]
	case 2:
		n.Node = []string{"rack-1", "site", "", "other"}[w.c.below(4)]
	case 3:
		n.Agents = []string{"rig-1", "rig-2", "rig-2"}
	case 4:
		c.Nodes = nil
	case 5:
		c.Nodes = c.Nodes[:w.c.below(len(c.Nodes))]
	case 6:
		c.Meters[len(c.Meters)-1].Node = []string{"", "rack-2", "nobody"}[w.c.below(3)]
	case 7:
		n.Redundancy, n.ContinuousFactorPPM = "sometimes", w.odd()
	case 8:
		up := ""
		for i := range 20 {
			id := fmt.Sprint("deep-", i)
			c.Nodes = append(c.Nodes, events.NodeConfig{Node: id, Parent: up, LimitWatts: 1_000_000, ContinuousFactorPPM: 1_000_000})
			up = id
		}
	}
}

// nodeReading is a sample of a meter below the point of connection.
func (w *world) nodeReading() *events.Event {
	share := func(of int64) int64 { return w.ai / of }
	var id string
	var watts int64
	switch w.c.below(8) {
	case 0, 1:
		id, watts = "ai-a", share(3)
	case 2:
		id, watts = "ai-a1", share(6)
	case 3:
		id, watts = "mine-a1", w.mining()/4
	case 4:
		id, watts = "total-b", share(4)+w.mining()/4
	case 5:
		id, watts = "mine-b", w.mining()/4
	case 6:
		id, watts = "house-b", 20_000+int64(w.c.below(5_000))
	default:
		id, watts = "rack-ai", share(20)
		if w.c.below(50) == 0 {
			watts = share(2) // more than the PDU above it
		}
	}
	return w.event(id, &events.MeterReading{PowerWatts: watts, SampledAt: w.at, Quality: events.QualityGood})
}
