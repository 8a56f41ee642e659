// SPDX-License-Identifier: Apache-2.0

package compliance

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/compliance/baseline"
)

// terms are what the site's configuration means here.
type terms struct {
	// Step is the length of an interval, Grace how long after its end an event
	// waits for late readings, AgentHold how long the word of a silent agent
	// counts. ns.
	Step, Grace, AgentHold int64
	Meters                 []events.MeterConfig
	Nodes                  []node
	House                  int64 // W at the point of connection
	Programmes             []events.ProgrammeConfig
	Calendar               baseline.Calendar
	// Hash of the whole configuration, 16 hex digits.
	Hash string
}

// node of the power tree.
type node struct {
	ID, Parent string
	House      int64
	Agents     []string
}

func termsOf(c *events.SiteConfig) *terms {
	t := &terms{
		Step:       stepOf(c.Tariff.IntervalSeconds) * second,
		Grace:      min(max(c.Tariff.GraceSeconds, 0), 3600) * second,
		AgentHold:  int64(events.DefaultLease + 5*time.Second),
		Meters:     append([]events.MeterConfig(nil), c.Meters...),
		House:      min(max(c.HouseWatts, 0), maxWatts),
		Programmes: append([]events.ProgrammeConfig(nil), c.Programmes...),
		Calendar:   calendarOf(c.Calendar),
		Hash:       hashOf(c),
	}
	if ms := c.Policy.LeaseMilliseconds; ms > 0 && ms < 3_600_000 {
		t.AgentHold = ms*int64(time.Millisecond) + 5*second
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		t.Nodes = append(t.Nodes, node{n.Node, n.Parent, min(max(n.HouseWatts, 0), maxWatts), append([]string(nil), n.Agents...)})
	}
	return t
}

// calendarOf is a calendar as baselines want it.
func calendarOf(c *events.CalendarConfig) (out baseline.Calendar) {
	if c == nil {
		return out
	}
	for _, o := range c.UTCOffsets {
		out.Offsets = append(out.Offsets, baseline.Offset{From: o.From.Unix(), Seconds: o.Seconds})
	}
	for _, h := range c.Holidays {
		if t, err := time.Parse(time.DateOnly, h); err == nil {
			out.Holidays = append(out.Holidays, t.Unix()/86_400)
		}
	}
	return out
}

// stepOf is the interval of settlement where it is one that meters are read
// out by, five minutes to an hour, else the nearest of these.
func stepOf(seconds int64) int64 {
	switch {
	case seconds < 300:
		return 300
	case seconds > 3600:
		return 3600
	}
	return seconds
}

// hashOf names a configuration by its JSON.
func hashOf(c *events.SiteConfig) string {
	b, err := json.Marshal(c)
	if err != nil {
		return "0000000000000000" // a configuration that was decoded encodes
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// programme with this id, or nil.
func (t *terms) programme(id string) *events.ProgrammeConfig {
	c := events.SiteConfig{Programmes: t.Programmes}
	return c.FindProgramme(id)
}

// configure takes over a new configuration. Points whose node stays keep what
// they know unless the length of intervals changes, which starts the history
// anew.
func (d *Decider) configure(c *events.SiteConfig) {
	next := termsOf(c)
	if d.Terms != nil {
		d.flushAll()
		if next.Step != d.Terms.Step {
			for _, p := range d.Points {
				p.History = newHistory(next.Step)
				p.Open = slot{}
			}
		}
	}
	d.Terms = next
	d.mixText(next.Hash)
	d.lay()
	d.placeEvents()
	d.cut()
}
