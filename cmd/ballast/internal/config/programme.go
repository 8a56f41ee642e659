// SPDX-License-Identifier: Apache-2.0

package config

import "github.com/ballast-energy/ballast/events"

// Programme is one grid programme that a site takes part in.
type Programme struct {
	ID          string   `yaml:"id"`
	Name        string   `yaml:"name"`
	Product     string   `yaml:"product"`
	Market      string   `yaml:"market"`
	Node        string   `yaml:"node"`
	Measures    string   `yaml:"measures"`
	LimitIs     string   `yaml:"limit_is"`
	Notice      Duration `yaml:"notice"`
	Response    Duration `yaml:"response"`
	Ramp        Duration `yaml:"ramp"`
	MinDuration Duration `yaml:"min_duration"`
	ReturnDelay Duration `yaml:"return_delay"`
	Recovery    Duration `yaml:"recovery"`
	Tests       string   `yaml:"tests"`
	Precedence  string   `yaml:"precedence"`
	Tolerance   Share    `yaml:"tolerance"`
	Baselines   []string `yaml:"baselines"`
	Silence     *Silence `yaml:"silence"`
}

// Silence of an issuer that repeats itself, and what holds then.
type Silence struct {
	Source string   `yaml:"source"`
	After  Duration `yaml:"after"`
	Then   string   `yaml:"then"`
	Limit  Power    `yaml:"limit"`
}

func (p *Programme) programmeConfig() events.ProgrammeConfig {
	c := events.ProgrammeConfig{
		Programme: p.ID, Name: p.Name, Product: p.Product, Market: p.Market, Node: p.Node,
		Measures: events.Measures(p.Measures), LimitIs: events.LimitIs(p.LimitIs),
		NoticeSeconds: p.Notice.Seconds(), ResponseSeconds: p.Response.Seconds(), RampSeconds: p.Ramp.Seconds(),
		MinDurationSeconds: p.MinDuration.Seconds(), ReturnDelaySeconds: p.ReturnDelay.Seconds(), RecoverySeconds: p.Recovery.Seconds(),
		Tests: events.TestPolicy(p.Tests), Precedence: events.Precedence(p.Precedence), TolerancePPM: int64(p.Tolerance),
	}
	for _, b := range p.Baselines {
		c.Baselines = append(c.Baselines, events.BaselineMethod(b))
	}
	if s := p.Silence; s != nil {
		c.Silence = &events.SilenceConfig{
			Source: s.Source, AfterSeconds: s.After.Seconds(), OnSilence: events.OnSilence(s.Then), LimitWatts: int64(s.Limit),
		}
	}
	return c
}
