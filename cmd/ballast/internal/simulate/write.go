// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Write writes the story as a scenario file, with comment above it, line by
// line. What Read makes of it runs alike.
func (s *Story) Write(w io.Writer, comment string) error {
	var b strings.Builder
	b.WriteString("# SPDX-License-Identifier: Apache-2.0\n")
	for line := range strings.Lines(comment) {
		fmt.Fprintf(&b, "# %s\n", strings.TrimRight(line, "\n"))
	}
	fmt.Fprintf(&b, "seed %d\nrun until %s\n", s.Seed, s.Length)
	for _, h := range s.Hosts {
		fmt.Fprintf(&b, "host %s", h.Name)
		if h.Version != "" {
			fmt.Fprintf(&b, " version %s", h.Version)
		}
		b.WriteByte('\n')
	}
	s.writeConfig(&b)
	for i := range s.Agents {
		writeAgent(&b, &s.Agents[i])
	}
	b.WriteByte('\n')
	for _, h := range s.House {
		fmt.Fprintf(&b, "at 0s house load %s%s\n", power(h.Watts), at(h.Node))
	}
	for _, l := range s.Load {
		fmt.Fprintf(&b, "at %s ai load %s%s\n", l.At, power(l.Watts), at(l.Node))
	}
	for i := range s.Changes {
		fmt.Fprintf(&b, "%s\n", &s.Changes[i])
	}
	for i := range s.Signals {
		writeSignal(&b, &s.Signals[i])
	}
	for i := range s.Jobs {
		writeJob(&b, &s.Jobs[i])
	}
	for i := range s.Switches {
		fmt.Fprintf(&b, "%s\n", &s.Switches[i])
	}
	for i := range s.Faults {
		fmt.Fprintf(&b, "%s\n", &s.Faults[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func power(w int64) string {
	switch {
	case w != 0 && w%1_000_000 == 0:
		return strconv.FormatInt(w/1_000_000, 10) + " MW"
	case w != 0 && w%1000 == 0:
		return strconv.FormatInt(w/1000, 10) + " kW"
	}
	return strconv.FormatInt(w, 10) + " W"
}

func share(ppm int64) string {
	if ppm%10_000 == 0 {
		return strconv.FormatInt(ppm/10_000, 10) + "%"
	}
	return strconv.FormatInt(ppm, 10) + " ppm"
}

// writeConfig writes the keys of the configuration, some to a line.
func (s *Story) writeConfig(b *strings.Builder) {
	var parts []string
	for _, k := range configKeys {
		if v := *k.at(&s.Config); v != 0 {
			parts = append(parts, k.name+" "+k.kind.write(v))
		}
	}
	if s.Config.Reserve.Jobs {
		parts = append(parts, "jobs")
	}
	for len(parts) > 0 {
		n := min(len(parts), 6)
		fmt.Fprintf(b, "config %s\n", strings.Join(parts[:n], ", "))
		parts = parts[n:]
	}
	for i := range s.Config.Nodes {
		writeNode(b, &s.Config.Nodes[i])
	}
	writeOutlets(b, &s.Config)
	for i := range s.Config.Meters {
		m := &s.Config.Meters[i]
		fmt.Fprintf(b, "config meter %s measures %s%s, every %s, stale %s, range %s to %s", m.Meter, m.Measures, at(m.Node),
			millis(m.PeriodMilliseconds), millis(m.StaleMilliseconds), power(m.MinWatts), power(m.MaxWatts))
		if m.StuckMilliseconds > 0 {
			fmt.Fprintf(b, ", stuck %s", millis(m.StuckMilliseconds))
		}
		if m.Group != "" {
			fmt.Fprintf(b, ", group %s", m.Group)
		}
		b.WriteByte('\n')
	}
}

func millis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func writeAgent(b *strings.Builder, a *Agent) {
	c := &a.Caps
	fmt.Fprintf(b, "worker %s has %d units of %s", a.Name, a.Units, power(c.NameplateWatts))
	switch e := c.MillijoulesPerTerahash; {
	case e > 0 && e%1000 == 0:
		fmt.Fprintf(b, " at %d J/TH", e/1000)
	case e > 0:
		fmt.Fprintf(b, " at %d mJ/TH", e)
	}
	fmt.Fprintf(b, ", min %s, falls %s", power(c.MinWatts), millis(c.FallMilliseconds))
	for i, l := range c.LevelsWatts {
		if i == 0 {
			b.WriteString(", levels")
		}
		fmt.Fprintf(b, " %s", power(l))
	}
	if c.Meter != "" {
		fmt.Fprintf(b, ", meter %s", c.Meter)
	}
	if c.Node != "" {
		fmt.Fprintf(b, ", node %s", c.Node)
	}
	b.WriteByte('\n')
}

func writeSignal(b *strings.Builder, s *Signal) {
	g := &s.Grid
	fmt.Fprintf(b, "at %s signal %s", s.At, g.Kind)
	if g.PowerWatts != nil {
		fmt.Fprintf(b, " to %s", power(*g.PowerWatts))
	}
	if g.DurationSeconds > 0 {
		fmt.Fprintf(b, " for %s", time.Duration(g.DurationSeconds)*time.Second)
	}
	fmt.Fprintf(b, " from %s id %s", s.Source, g.SignalID)
	b.WriteString(at(g.Node))
	if s.Notice > 0 {
		fmt.Fprintf(b, " in %s", s.Notice)
	}
	if g.RampSeconds != nil {
		fmt.Fprintf(b, " ramp %s", time.Duration(*g.RampSeconds)*time.Second)
	}
	if g.Cancels != "" {
		fmt.Fprintf(b, " cancels %s", g.Cancels)
	}
	b.WriteByte('\n')
}

// quantity is how a number of the configuration is written and read.
type quantity struct {
	write func(int64) string
	units map[string]int64
}

var (
	ofPower  = quantity{power, map[string]int64{"W": 1, "kW": 1_000, "MW": 1_000_000}}
	ofMillis = quantity{func(v int64) string { return millis(v).String() }, nil}
	ofSecond = quantity{func(v int64) string { return (time.Duration(v) * time.Second).String() }, nil}
	ofShare  = quantity{share, map[string]int64{"%": 10_000, "ppm": 1}}
	ofRamp   = quantity{func(v int64) string { return strconv.FormatInt(v, 10) + " W/s" }, map[string]int64{"W/s": 1, "kW/s": 1_000, "MW/s": 1_000_000}}
	ofPrice  = quantity{func(v int64) string { return strconv.FormatInt(v, 10) + " µ$/MWh" }, map[string]int64{"$/MWh": 1_000_000, "µ$/MWh": 1}}
)

// configKeys of config lines, as handlers/scenario spells them.
var configKeys = []struct {
	name string
	kind *quantity
	at   func(*events.SiteConfig) *int64
}{
	{"limit", &ofPower, func(c *events.SiteConfig) *int64 { return &c.LimitWatts }},
	{"factor", &ofShare, func(c *events.SiteConfig) *int64 { return &c.ContinuousFactorPPM }},
	{"contracted", &ofPower, func(c *events.SiteConfig) *int64 { return &c.ContractedWatts }},
	{"ai nameplate", &ofPower, func(c *events.SiteConfig) *int64 { return &c.AINameplateWatts }},
	{"house", &ofPower, func(c *events.SiteConfig) *int64 { return &c.HouseWatts }},
	{"reserve", &ofPower, func(c *events.SiteConfig) *int64 { return &c.Reserve.FloorWatts }},
	{"unlearned", &ofPower, func(c *events.SiteConfig) *int64 { return &c.Reserve.UnlearnedWatts }},
	{"margin", &ofPower, func(c *events.SiteConfig) *int64 { return &c.Reserve.MarginWatts }},
	{"envelope", &ofSecond, func(c *events.SiteConfig) *int64 { return &c.Reserve.EnvelopeSeconds }},
	{"lease", &ofMillis, func(c *events.SiteConfig) *int64 { return &c.Policy.LeaseMilliseconds }},
	{"dead", &ofMillis, func(c *events.SiteConfig) *int64 { return &c.Policy.DeadMilliseconds }},
	{"restart delay", &ofMillis, func(c *events.SiteConfig) *int64 { return &c.Policy.RestartDelayMilliseconds }},
	{"ramp", &ofRamp, func(c *events.SiteConfig) *int64 { return &c.Policy.RampWattsPerSecond }},
	{"burst", &ofPower, func(c *events.SiteConfig) *int64 { return &c.Policy.RampBurstWatts }},
	{"min on", &ofMillis, func(c *events.SiteConfig) *int64 { return &c.Policy.MinOnMilliseconds }},
	{"min off", &ofMillis, func(c *events.SiteConfig) *int64 { return &c.Policy.MinOffMilliseconds }},
	{"hysteresis", &ofPower, func(c *events.SiteConfig) *int64 { return &c.Policy.HysteresisWatts }},
	{"interval", &ofSecond, func(c *events.SiteConfig) *int64 { return &c.Tariff.IntervalSeconds }},
	{"grace", &ofSecond, func(c *events.SiteConfig) *int64 { return &c.Tariff.GraceSeconds }},
	{"accrual", &ofSecond, func(c *events.SiteConfig) *int64 { return &c.Tariff.AccrualSeconds }},
	{"price", &ofPrice, func(c *events.SiteConfig) *int64 { return &c.Tariff.EnergyPriceMicrousdPerMWh }},
}
