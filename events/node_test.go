// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func treeConfig(nodes ...NodeConfig) *SiteConfig {
	for i := range nodes {
		nodes[i].LimitWatts, nodes[i].ContinuousFactorPPM = 1_000, million
	}
	return &SiteConfig{
		LimitWatts: 1_000, ContinuousFactorPPM: million, Nodes: nodes,
		Meters: []MeterConfig{{Meter: "ai", Measures: MeasuresAI, PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 1_000}},
		Policy: PolicyConfig{LeaseMilliseconds: 12_000, DeadMilliseconds: 60_000, RampWattsPerSecond: 1, RampBurstWatts: 1},
		Tariff: TariffConfig{IntervalSeconds: 300, AccrualSeconds: 60, Scheme: SchemeFPPS},
	}
}

// row is a line of n nodes, each feeding the next.
func row(n int) []NodeConfig {
	nodes := make([]NodeConfig, n)
	for i := range nodes {
		nodes[i].Node = fmt.Sprint("n", i)
		if i > 0 {
			nodes[i].Parent = fmt.Sprint("n", i-1)
		}
	}
	slices.Reverse(nodes) // children may come first
	return nodes
}

func TestTreesThatCannotBe(t *testing.T) {
	many := make([]NodeConfig, MaxNodes+1)
	for i := range many {
		many[i].Node = fmt.Sprint("n", i)
	}
	for name, tt := range map[string]struct {
		c    *SiteConfig
		says string
	}{
		"no nodes":        {treeConfig(), ""},
		"deepest":         {treeConfig(row(MaxNodeDepth)...), ""},
		"widest":          {treeConfig(many[:MaxNodes]...), ""},
		"too deep":        {treeConfig(row(MaxNodeDepth + 1)...), "at most 15"},
		"too many":        {treeConfig(many...), "at most 4096"},
		"twice":           {treeConfig(NodeConfig{Node: "a"}, NodeConfig{Node: "a"}), "listed twice"},
		"fed by itself":   {treeConfig(NodeConfig{Node: "a", Parent: "a"}), "fed by itself"},
		"circle":          {treeConfig(NodeConfig{Node: "a", Parent: "b"}, NodeConfig{Node: "b", Parent: "c"}, NodeConfig{Node: "c", Parent: "b"}), "fed by itself"},
		"unknown parent":  {treeConfig(NodeConfig{Node: "a", Parent: "b"}), `"b" is no node`},
		"the root's name": {treeConfig(NodeConfig{Node: "site"}), "point of connection"},
		"agent twice":     {treeConfig(NodeConfig{Node: "a", Agents: []string{"x"}}, NodeConfig{Node: "b", Agents: []string{"x"}}), "listed twice"},
		"paths without":   {treeConfig(NodeConfig{Node: "a", Paths: 2}), "n+1 only"},
		"n+1 without":     {treeConfig(NodeConfig{Node: "a", Redundancy: RedundancyN1}), "paths"},
		"2n":              {treeConfig(NodeConfig{Node: "a", Redundancy: Redundancy2N}), ""},
		"burst alone":     {treeConfig(NodeConfig{Node: "a", RampBurstWatts: 1}), "never be refilled"},
	} {
		err := tt.c.Validate()
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := treeConfig(NodeConfig{Node: "a"})
	c.Meters[0].Node = "b"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), `"b" is no node`) {
		t.Errorf("a meter at no node: %v", err)
	}
	c.Meters = append(c.Meters[:1:1], MeterConfig{Meter: "t", Node: "a", Measures: MeasuresTotal, PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 1_000})
	c.Meters[0].Node = ""
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "tells nothing without") {
		t.Errorf("a total without its mining: %v", err)
	}
	c.Meters = append(c.Meters, MeterConfig{Meter: "m", Node: "a", Measures: MeasuresMining, PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 1_000})
	if err := c.Validate(); err != nil {
		t.Errorf("a total with its mining: %v", err)
	}
}

func TestSiteMetersAreTheTopmost(t *testing.T) {
	c := treeConfig(NodeConfig{Node: "feed"}, NodeConfig{Node: "pdu-1", Parent: "feed"}, NodeConfig{Node: "pdu-2", Parent: "feed"}, NodeConfig{Node: "hall"})
	meter := func(id, node string, what Measures, group string) MeterConfig {
		return MeterConfig{Meter: id, Node: node, Measures: what, Group: group}
	}
	c.Meters = []MeterConfig{
		meter("total", "", MeasuresTotal, ""), meter("feed-total", "feed", MeasuresTotal, ""),
		meter("feed-ai", "feed", MeasuresAI, "g"), meter("pdu-1-ai", "pdu-1", MeasuresAI, ""), meter("hall-ai", "hall", MeasuresAI, "g"),
		meter("pdu-1-mine", "pdu-1", MeasuresMining, ""), meter("pdu-2-mine", "pdu-2", MeasuresMining, ""),
	}
	var got []string
	groups := map[string]bool{}
	for _, m := range c.SiteMeters() {
		got = append(got, m.Meter)
		if m.Group != "" {
			groups[m.Group] = true
		}
	}
	if want := []string{"total", "feed-ai", "hall-ai", "pdu-1-mine", "pdu-2-mine"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(groups) != 2 {
		t.Errorf("groups of two nodes are one: %v", groups)
	}
	if by := c.CoveredMeters(); len(by) != 2 || by["pdu-1-ai"] != "feed-ai" || by["feed-total"] != "total" {
		t.Errorf("covered: %v", by)
	}
	c.HouseWatts, c.Nodes[1].HouseWatts, c.Nodes[3].AINameplateWatts = 1, 2, 4
	if ai, house := c.SiteLoad(); ai != 4 || house != 3 {
		t.Errorf("declared: %d W of AI load, %d W of house load", ai, house)
	}
	c.Nodes[0].Parent = "pdu-1" // a circle ends all the same
	c.SiteMeters()
	c.Nodes = nil
	if len(c.SiteMeters()) != len(c.Meters) {
		t.Error("a site without nodes has lost meters")
	}
}
