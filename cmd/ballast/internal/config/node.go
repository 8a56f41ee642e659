// SPDX-License-Identifier: Apache-2.0

package config

import "github.com/ballast-energy/ballast/events"

// Node is one node of a site's power tree.
type Node struct {
	ID               string   `yaml:"id"`
	Parent           string   `yaml:"parent"`
	Limit            Power    `yaml:"limit"`
	ContinuousFactor Share    `yaml:"continuous_factor"`
	Redundancy       string   `yaml:"redundancy"`
	Paths            int64    `yaml:"paths"`
	Cooling          Power    `yaml:"cooling"`
	AINameplate      Power    `yaml:"ai_nameplate"`
	House            Power    `yaml:"house"`
	Reserve          *Reserve `yaml:"reserve"`
	RampPerSecond    Power    `yaml:"ramp_per_second"`
	RampBurst        Power    `yaml:"ramp_burst"`
	RampDown         Power    `yaml:"ramp_down_per_second"`
	StartsAtOnce     int64    `yaml:"max_starts_at_once"`
	Agents           []string `yaml:"agents"`
	Breaker          string   `yaml:"breaker"`
}

// UnmarshalYAML fills a node over its defaults.
func (n *Node) UnmarshalYAML(unmarshal func(any) error) error {
	type plain Node
	p := plain{ContinuousFactor: 1_000_000}
	if err := unmarshal(&p); err != nil {
		return err
	}
	*n = Node(p)
	return nil
}

func (n *Node) nodeConfig() events.NodeConfig {
	c := events.NodeConfig{
		Node: n.ID, Parent: n.Parent, LimitWatts: int64(n.Limit), ContinuousFactorPPM: int64(n.ContinuousFactor),
		Redundancy: events.Redundancy(n.Redundancy), Paths: n.Paths, CoolingLimitWatts: int64(n.Cooling),
		AINameplateWatts: int64(n.AINameplate), HouseWatts: int64(n.House),
		RampWattsPerSecond: int64(n.RampPerSecond), RampBurstWatts: int64(n.RampBurst), Agents: n.Agents, Breaker: n.Breaker,
		RampDownWattsPerSecond: int64(n.RampDown), MaxStartsAtOnce: n.StartsAtOnce,
	}
	if r := n.Reserve; r != nil {
		kept := r.reserveConfig()
		c.Reserve = &kept
	}
	return c
}
