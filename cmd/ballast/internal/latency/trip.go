// SPDX-License-Identifier: Apache-2.0

package latency

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// The site of a trip: feeds that together carry all units, and beneath each a
// level of PDUs and one of racks.
const (
	tripFeeds = 3
	tripPDUs  = 197
	rackSlack = 4 // times what its units draw may a rack carry
)

// TripConfig of a measurement of a feeder trip.
type TripConfig struct {
	// Units of the site, Agents they are behind, and Nodes of its tree.
	Units, Agents, Nodes int
	// Lowered is how many the reading takes off: those of one feed at most.
	Lowered int
	// Rounds of tripping and coming back.
	Rounds int
	// ReadingsPerSecond of all meters in turn.
	ReadingsPerSecond int
	// HashThreads that keep every core busy; 0 means one per core, negative
	// none.
	HashThreads int
	// Run has durability, deciders and logger.
	Run Config
}

// TripResult of it.
type TripResult struct {
	Units   int `json:"units"`
	Agents  int `json:"agents"`
	Nodes   int `json:"nodes"`
	Lowered int `json:"lowered"`
	Rounds  int `json:"rounds"`
	// Received: the last curtail of all units to be lowered has reached a
	// connection that listens where the agents do. Stopped: the last of their
	// permit machines has been driven to 0 W. Stored: the last of those curtails
	// is in COMMANDS. All from before the reading was published.
	Received Percentiles `json:"received"`
	Stopped  Percentiles `json:"stopped"`
	Stored   Percentiles `json:"stored"`
}

// check refuses a site that cannot be built.
func (c *TripConfig) check() error {
	feed := c.Units / tripFeeds
	switch {
	case c.Units < tripFeeds || c.Units > 50_000, c.Agents < 1, c.Units%c.Agents != 0:
		return fmt.Errorf("latency: %d units behind %d agents: use %d to 50000 in equal parts", c.Units, c.Agents, tripFeeds)
	case c.Nodes < tripFeeds+tripPDUs+1 || c.Nodes > 4000:
		return fmt.Errorf("latency: %d nodes: use %d to 4000", c.Nodes, tripFeeds+tripPDUs+1)
	case c.Lowered < 1 || c.Lowered > feed:
		return fmt.Errorf("latency: %d units lowered: a feed has %d", c.Lowered, feed)
	case c.Rounds < 1:
		return fmt.Errorf("latency: %d rounds: use at least one", c.Rounds)
	}
	return nil
}

// tree is the configuration of the site, and the rack of every unit.
func (c *TripConfig) tree() (*events.SiteConfig, []string) {
	s := siteConfig(int64(c.Units))
	s.AINameplateWatts = 0
	s.Meters = nil
	add := func(id, parent string, limit int64) {
		s.Nodes = append(s.Nodes, events.NodeConfig{Node: id, Parent: parent, LimitWatts: limit, ContinuousFactorPPM: 1_000_000})
		s.Meters = append(s.Meters, events.MeterConfig{Meter: "m-" + id, Node: id, Measures: events.MeasuresAI,
			PeriodMilliseconds: 5_000, StaleMilliseconds: 60_000, MaxWatts: 1_000_000_000})
	}
	// Every unit of a feed has room there, and what the reading shows leaves
	// room for all but those to be lowered.
	for f := range tripFeeds {
		add(fmt.Sprint("feed-", f), "", c.feedLimit())
	}
	for p := range tripPDUs {
		add(fmt.Sprint("pdu-", p), fmt.Sprint("feed-", p%tripFeeds), c.feedLimit())
	}
	racks := c.Nodes - tripFeeds - tripPDUs
	byFeed := make([][]string, tripFeeds)
	each := int64(c.Units/racks+1) * unitWatts * rackSlack
	for r := range racks {
		id, pdu := fmt.Sprint("rack-", r), r%tripPDUs
		add(id, fmt.Sprint("pdu-", pdu), each)
		byFeed[pdu%tripFeeds] = append(byFeed[pdu%tripFeeds], id)
	}
	homes := make([]string, c.Units)
	for i := range homes {
		of := byFeed[i%tripFeeds]
		homes[i] = of[i/tripFeeds%len(of)]
	}
	return s, homes
}

// feedLimit is that of a feed with all its units and as much AI load again.
func (c *TripConfig) feedLimit() int64 { return 2 * int64(c.Units/tripFeeds+1) * unitWatts }

// tripped is the reading of the first feed's meter that takes off as many units
// as are to be lowered, with half a unit to spare.
func (c *TripConfig) tripped() int64 {
	units := int64((c.Units + tripFeeds - 1) / tripFeeds)
	return c.feedLimit() - (units-int64(c.Lowered))*unitWatts - unitWatts/2
}

// RunTrip measures how long one meter reading that shows a feed full takes to
// lower the units beneath it.
func RunTrip(ctx context.Context, c TripConfig, progress func(done, of int)) (*TripResult, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	config, homes := c.tree()
	run := c.Run
	run.Units, run.Agents, run.HashThreads = c.Units, c.Agents, c.HashThreads
	s, err := openSite(ctx, run, config)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.fleet.part = c.Lowered
	each := c.Units / c.Agents
	for i := range c.Agents {
		id := fmt.Sprint("rig-", i)
		d := newDriver(id, each, s.fleet)
		for k := range d.units {
			d.units[k].Capabilities.Node = homes[i*each+k]
		}
		if err := s.agent(id, d); err != nil {
			return nil, err
		}
	}
	m := &meters{b: s.b, config: config}
	s.spawn("readings", func(ctx context.Context) error { return m.run(ctx, c.ReadingsPerSecond) })
	w, err := newWitness(s, c.Lowered)
	if err != nil {
		return nil, err
	}
	var received, stopped, stored []time.Duration
	for i := range c.Rounds {
		r, err := c.round(s, m, w, i)
		if err != nil {
			return nil, err
		}
		received, stopped, stored = append(received, r.received), append(stopped, r.stopped), append(stored, r.stored)
		if progress != nil {
			progress(i+1, c.Rounds)
		}
	}
	return &TripResult{Units: c.Units, Agents: c.Agents, Nodes: len(config.Nodes), Lowered: c.Lowered, Rounds: c.Rounds,
		Received: percentiles(received), Stopped: percentiles(stopped), Stored: percentiles(stored)}, nil
}

func (c *TripConfig) round(s *plant, m *meters, w *witness, i int) (round, error) {
	ctx, cancel := context.WithTimeout(s.ctx, roundTime)
	defer cancel()
	if err := s.ready(ctx, i); err != nil {
		return round{}, err
	}
	w.begin()
	sent, err := m.show(ctx, c.tripped())
	if err != nil {
		return round{}, err
	}
	if err := s.until(ctx, c.Units-c.Lowered); err != nil {
		return round{}, fmt.Errorf("round %d: waiting for %d units to stop: %w", i, c.Lowered, err)
	}
	_, last, _ := s.fleet.state()
	r := round{stopped: last.Sub(sent)}
	for which, d := range map[*tally]*time.Duration{&w.received: &r.received, &w.stored: &r.stored} {
		at, err := which.wait(ctx)
		if err != nil {
			return round{}, fmt.Errorf("round %d: %w", i, err)
		}
		*d = at.Sub(sent)
	}
	_, err = m.show(ctx, 0)
	return r, err
}

// meters of the site. All show no load but the first feed's.
type meters struct {
	b      *bus.Bus
	config *events.SiteConfig

	mu   sync.Mutex // held while readings are on their way
	feed int64      // what the first feed's shows
}

func (m *meters) reading(of *events.MeterConfig, watts int64) *events.Event {
	return events.New(site, of.Meter, &events.MeterReading{PowerWatts: watts, SampledAt: time.Now().UTC(), Quality: events.QualityGood})
}

// show publishes a reading of the first feed's meter, alone, and says when.
func (m *meters) show(ctx context.Context, watts int64) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.feed = watts
	sent := time.Now()
	return sent, m.b.Publish(ctx, m.reading(&m.config.Meters[0], watts))
}

// run publishes readings of all meters in turn, in groups as a gateway would.
func (m *meters) run(ctx context.Context, perSecond int) error {
	const groups = 50
	tick := time.NewTicker(time.Second / groups)
	defer tick.Stop()
	for n := 0; ; {
		if err := m.group(ctx, &n, max(perSecond/groups, 1)); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (m *meters) group(ctx context.Context, next *int, size int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var evs []*events.Event
	for range size {
		i := *next % len(m.config.Meters)
		*next++
		watts := int64(0)
		if i == 0 {
			watts = m.feed
		}
		evs = append(evs, m.reading(&m.config.Meters[i], watts))
	}
	return m.b.Publish(ctx, evs...)
}

// witness hears the curtails on a connection of its own, as they cross the wire
// and as the server repeats them once they are stored.
type witness struct {
	received, stored tally
}

func newWitness(s *plant, want int) (*witness, error) {
	conn, err := s.b.Dial(s.ctx, "observer", bus.Credentials{})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(s.ctx, func() {
		stop, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = conn.Close(stop) // it only observed
	})
	w := &witness{received: tally{want: want}, stored: tally{want: want}}
	p := s.b.Prefix()
	for subject, t := range map[string]*tally{
		events.Subject(p, site, events.TypeCommandCurtail, "*"):       &w.received,
		events.StoredSubject(p, site, events.TypeCommandCurtail, "*"): &w.stored,
	} {
		sub, err := conn.Conn().Subscribe(subject, t.hear)
		if err != nil {
			return nil, fmt.Errorf("latency: %w", err)
		}
		if err := sub.SetPendingLimits(-1, -1); err != nil {
			return nil, fmt.Errorf("latency: %w", err)
		}
	}
	return w, nil
}

func (w *witness) begin() {
	w.received.begin()
	w.stored.begin()
}

// tally counts the units that curtails name.
type tally struct {
	mu   sync.Mutex
	want int
	n    int
	at   time.Time
	full chan struct{}
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n, t.full = 0, make(chan struct{})
}

func (t *tally) hear(m *nats.Msg) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.full == nil || t.n >= t.want {
		return
	}
	if t.n += strings.Count(string(m.Data), `"setpoint_watts"`); t.n >= t.want {
		t.at = now
		close(t.full)
	}
}

func (t *tally) wait(ctx context.Context) (time.Time, error) {
	t.mu.Lock()
	full := t.full
	t.mu.Unlock()
	select {
	case <-full:
		return t.at, nil
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		return time.Time{}, fmt.Errorf("curtails for %d of %d units were heard: %w", t.n, t.want, ctx.Err())
	}
}

// ready waits until every unit runs, and then for a time that differs from round
// to round, so that none begins in step with the tick.
func (s *plant) ready(ctx context.Context, i int) error {
	if err := s.until(ctx, s.c.Units); err != nil {
		return fmt.Errorf("round %d: waiting for every unit to run: %w", i, err)
	}
	pause := time.NewTimer(300*time.Millisecond + time.Duration(i*137%700)*time.Millisecond)
	defer pause.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-pause.C:
		return nil
	}
}

// until blocks until n units are on.
func (s *plant) until(ctx context.Context, n int) error {
	for {
		on, _, changed := s.fleet.state()
		if on == n {
			return nil
		}
		select {
		case <-changed:
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%d of %d units on: %w", on, s.fleet.units, ctx.Err())
		}
	}
}
