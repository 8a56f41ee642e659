// SPDX-License-Identifier: Apache-2.0

package dispatchbench

import (
	"bytes"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
)

const (
	site   = "bench"
	prefix = events.DefaultPrefix
	full   = 3_500 // W of one machine
)

// Journal of a made-up site, as events and as the messages of a stream.
type Journal struct {
	// Events in order, decoded.
	Events []events.Event
	// Raw is the same journal as it comes off the wire.
	Raw []Raw
	// Workers and Seconds that it was made for.
	Workers, Seconds int
	// Outputs that a fold of it gives, and the state hash after the last event.
	Outputs int
	Hash    uint64
}

// Raw is one message of a stream.
type Raw struct {
	Subject  string
	Header   []byte
	Data     []byte
	Sequence uint64
	Arrived  time.Time
}

// worker obeys at once, as far as the journal shows.
type worker struct {
	id       string
	set      int64
	state    events.PermitState
	applied  *events.OrderKey
	counter  uint64
	efficacy int64
}

type maker struct {
	j       *Journal
	d       *dispatch.Dispatch
	out     decider.Outbox
	at      time.Time
	workers []*worker
	byID    map[string]*worker
	next    int // worker that speaks
	seed    uint64
	ai      int64
	// capabilities of a worker, where they are not those of the flat site.
	capabilities func(*worker) *events.Capabilities
	// decoded: the journal is for folding decoded events only.
	decoded bool
	// sink, when not nil, takes every event in the place of the journal; its
	// sequences begin behind added.
	sink  func(*events.Event) error
	added uint64
}

// NewJournal makes the journal of that many workers and seconds.
func NewJournal(workers, seconds int) (*Journal, error) {
	if workers < 1 || workers > dispatch.MaxAgents || seconds < 1 || seconds > 3_600 {
		return nil, fmt.Errorf("bench journal: 1 to %d workers and 1 to 3600 seconds, not %d and %d", dispatch.MaxAgents, workers, seconds)
	}
	m := newMaker(workers)
	m.j.Seconds = seconds
	if err := m.open(); err != nil {
		return nil, err
	}
	for range seconds {
		if err := m.second(); err != nil {
			return nil, err
		}
	}
	m.j.Hash = m.d.StateHash()
	return m.j, nil
}

// Stream gives sink the journal of that many workers, event by event, without
// end: it returns the first error of sink. Sequences begin behind after. The
// same arguments give the same events; nothing of them is kept.
func Stream(workers int, after uint64, sink func(*events.Event) error) error {
	if workers < 1 || workers > dispatch.MaxAgents {
		return fmt.Errorf("bench journal: 1 to %d workers, not %d", dispatch.MaxAgents, workers)
	}
	m := newMaker(workers)
	m.sink, m.added = sink, after
	if err := m.open(); err != nil {
		return err
	}
	for {
		if err := m.second(); err != nil {
			return err
		}
	}
}

// Start of the journals, and the Site and Prefix of their events.
var Start = time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)

// Site and Prefix of the journals.
const (
	Site   = site
	Prefix = prefix
)

func newMaker(workers int) *maker {
	return &maker{j: &Journal{Workers: workers}, d: dispatch.New(dispatch.Config{}),
		at: Start, byID: make(map[string]*worker, workers), seed: 1, ai: 4_000_000}
}

// open configures the site and lets every worker announce itself.
func (m *maker) open() error {
	if err := m.add(events.SiteSource, m.config()); err != nil {
		return err
	}
	for i := range m.j.Workers {
		w := &worker{id: fmt.Sprintf("rig-%d", i), state: events.PermitBoot, efficacy: int64(15_000 + 500*(i%30))}
		m.workers, m.byID[w.id] = append(m.workers, w), w
		if err := m.say(w, true); err != nil {
			return err
		}
	}
	return nil
}

// second adds one: four tenths of the workers speak in it, with one reading
// after every forty of them.
func (m *maker) second() error {
	workers := m.j.Workers
	perSecond := max(workers*4/10, 1)
	start := m.at.Truncate(time.Second).Add(time.Second)
	if err := m.add(events.SiteSource, &events.ClockTick{Second: start.Unix()}); err != nil {
		return err
	}
	m.at = start
	for i := range perSecond {
		m.at = start.Add(time.Duration(i+1) * time.Second / time.Duration(perSecond+2))
		if i%max(perSecond/10, 1) == 0 {
			if err := m.read(i / max(perSecond/10, 1)); err != nil {
				return err
			}
		}
		if err := m.say(m.workers[m.next%workers], false); err != nil {
			return err
		}
		m.next++
	}
	return nil
}

// config of a site in which about a thousand machines have room, sometimes.
func (m *maker) config() *events.SiteConfig {
	room := int64(m.j.Workers) * full
	return &events.SiteConfig{
		LimitWatts: 8_000_000 + room/2, ContinuousFactorPPM: 1_000_000, ContractedWatts: 8_000_000 + room/2,
		AINameplateWatts: 9_000_000, HouseWatts: 100_000,
		Reserve: events.ReserveConfig{FloorWatts: 200_000, UnlearnedWatts: 400_000, MarginWatts: 50_000, EnvelopeSeconds: 600},
		Meters: []events.MeterConfig{
			{Meter: "ai", Measures: events.MeasuresAI, PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 12_000_000},
			{Meter: "total", Measures: events.MeasuresTotal, PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 1_000_000_000},
			{Meter: "mine", Measures: events.MeasuresMining, PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: 1_000_000_000},
		},
		Policy: events.PolicyConfig{LeaseMilliseconds: 12_000, DeadMilliseconds: 30_000, RestartDelayMilliseconds: 10_000,
			RampWattsPerSecond: 500_000, RampBurstWatts: 1_000_000, MinOffMilliseconds: 10_000, HysteresisWatts: 20_000},
		Tariff: events.TariffConfig{IntervalSeconds: 300, GraceSeconds: 10, AccrualSeconds: 60, EnergyPriceMicrousdPerMWh: 40_000_000, Scheme: events.SchemeFPPS},
	}
}

func (m *maker) below(n int64) int64 {
	m.seed = m.seed*6364136223846793005 + 1442695040888963407
	return int64(m.seed>>33) % n
}

// read adds one of the ten readings of a second.
func (m *maker) read(i int) error {
	mining := int64(0)
	for _, w := range m.workers {
		mining += w.set
	}
	r := &events.MeterReading{SampledAt: m.at, Quality: events.QualityGood}
	source := "mine"
	switch i % 3 {
	case 0:
		m.ai = min(max(m.ai+m.below(400_001)-200_000, 2_000_000), 8_000_000)
		source, r.PowerWatts = "ai", m.ai
	case 1:
		source, r.PowerWatts = "total", m.ai+100_000+mining
	default:
		r.PowerWatts = mining
	}
	return m.add(source, r)
}

// say adds a status.
func (m *maker) say(w *worker, announce bool) error {
	w.counter++
	u := events.UnitStatus{Unit: w.id, State: w.state, SetpointWatts: w.set, PowerWatts: w.set, HashrateMHs: w.set * 50_000,
		Applied: w.applied, LeaseMilliseconds: 9_000, Healthy: true, Modelled: true, PowerModelled: true, Hashes: "123456789012345678"}
	if announce {
		u.Capabilities = &events.Capabilities{Class: "s21", NameplateWatts: full, LevelsWatts: []int64{full}, MinWatts: full,
			MillijoulesPerTerahash: w.efficacy, FallMilliseconds: 5_000, BootMilliseconds: 60_000}
		if m.capabilities != nil {
			u.Capabilities = m.capabilities(w)
		}
	}
	return m.add(w.id, &events.WorkerStatus{BootID: "b7c1e2d4", Counter: w.counter, Announce: announce, Units: []events.UnitStatus{u}})
}

// add appends an event, folds it, and lets the workers hear what follows.
func (m *maker) add(source string, p events.Payload) error {
	e := events.New(site, source, p)
	m.added++
	e.Stream, e.Sequence, e.Epoch, e.Arrived = events.StreamJournal, m.added, 1, m.at
	e.ID = events.DefaultID(events.StreamJournal, e.Epoch, e.Sequence)
	if m.sink != nil {
		if err := m.sink(e); err != nil {
			return err
		}
	} else {
		m.j.Events = append(m.j.Events, *e)
	}
	if !m.decoded && m.sink == nil {
		if err := m.encode(e); err != nil {
			return err
		}
	}
	m.out.Begin(e)
	m.d.Fold(e, &m.out)
	m.j.Outputs += len(m.out.Outputs())
	for _, o := range m.out.Outputs() {
		m.obey(o)
	}
	return nil
}

// encode keeps the event as it comes off the wire.
func (m *maker) encode(e *events.Event) error {
	msg, err := events.Encode(prefix, e)
	if err != nil {
		return fmt.Errorf("bench journal: %w", err)
	}
	var h bytes.Buffer
	h.WriteString("NATS/1.0\r\n")
	for _, k := range [...]string{events.HeaderCEID, events.HeaderCESource, events.HeaderCESpecVersion, events.HeaderCEType, events.HeaderContentType} {
		for _, v := range msg.Header[k] {
			fmt.Fprintf(&h, "%s: %s\r\n", k, v)
		}
	}
	h.WriteString("\r\n")
	m.j.Raw = append(m.j.Raw, Raw{Subject: msg.Subject, Header: h.Bytes(), Data: msg.Data, Sequence: e.Sequence, Arrived: e.Arrived})
	return nil
}

func (m *maker) obey(o decider.Output) {
	apply := func(w *worker, watts int64, k events.OrderKey) {
		w.set, w.applied, w.state = watts, &k, events.PermitLimited
		if watts == full {
			w.state = events.PermitRunning
		}
	}
	switch c := o.Data.(type) {
	case *events.CommandCurtail:
		if c.AllUnitsWatts != nil {
			for _, w := range m.workers {
				apply(w, min(w.set, *c.AllUnitsWatts), c.Key)
			}
		}
		for _, u := range c.Units {
			apply(m.byID[u.Unit], u.SetpointWatts, c.Key)
		}
	case *events.CommandRamp:
		for _, u := range c.Units {
			apply(m.byID[u.Unit], u.SetpointWatts, c.Key)
		}
	}
}
