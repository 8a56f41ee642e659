// SPDX-License-Identifier: Apache-2.0

package plantbench

import (
	"context"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
)

// Feed is what an AI scheduler tells of its jobs.
type Feed int

// Feeds.
const (
	// FeedNone: nothing.
	FeedNone Feed = iota
	// FeedStates: that a job runs, is interrupted, runs again; returns come
	// without notice.
	FeedStates
	// FeedNotice: also, of an interrupted job, when it comes back at the
	// earliest, ninety seconds ahead, and it keeps to that.
	FeedNotice
)

// Control is one way to size the reserve.
type Control struct {
	Name    string
	Reserve events.ReserveConfig
	Feed    Feed
}

// Controls that are compared. What is learned is learned from an empty journal;
// the jobs declare their nameplate. unlearned is the largest step of AI load
// within the response time that people would say they know of, with the jobs
// and without them.
func Controls() []Control {
	const (
		quantile  = 999_000
		unlearned = 24_000_000
		otherwise = 3_000_000
	)
	jobs := events.ReserveConfig{Jobs: true, RiseQuantilePPM: quantile, UnlearnedWatts: otherwise, MarginWatts: limit / 500, JobLearnSeconds: 900}
	return []Control{
		{"no reserve", events.ReserveConfig{}, FeedNone},
		{"fixed margin of 3 MW", events.ReserveConfig{MarginWatts: 3_000_000}, FeedNone},
		{Envelope, events.ReserveConfig{EnvelopeSeconds: 60, MarginWatts: 3_000_000}, FeedNone},
		{"60 min envelope + 0.5 MW", events.ReserveConfig{EnvelopeSeconds: 3600, UnlearnedWatts: unlearned, MarginWatts: 500_000}, FeedNone},
		{"learned rise, no job feed", events.ReserveConfig{RiseQuantilePPM: quantile, UnlearnedWatts: unlearned, MarginWatts: limit / 500}, FeedNone},
		{"job reserve, no learned rise, no margin", events.ReserveConfig{Jobs: true, JobLearnSeconds: 900}, FeedStates},
		{JobReserve, jobs, FeedStates},
		{"the same, returns announced 90 s ahead", jobs, FeedNotice},
	}
}

// Envelope names the control with which outages are compared.
const Envelope = "60 s envelope + 3 MW"

// JobReserve names the control that the target is for: jobs booked at their
// measured peaks, the rise of everything else learned, returns without notice.
const JobReserve = "job reserve + learned rise + 0.1 MW"

// Config of a run.
type Config struct {
	// Hours of virtual time.
	Hours int
	// Seed of everything that is chance.
	Seed    uint64
	Control Control
	// LeaseMilliseconds of permits; 0 means 12 s.
	LeaseMilliseconds int64
}

// Result of a run.
type Result struct {
	Control string `json:"control"`
	Hours   int    `json:"hours"`
	// OverSeconds above the limit, and above 105 % of it, because of mining:
	// AI load alone would not have been. Longest is the longest time without a
	// break, MostWatts the highest excess.
	OverSeconds int64 `json:"over_seconds"`
	FarSeconds  int64 `json:"over_105_seconds"`
	Longest     int64 `json:"longest_seconds"`
	MostWatts   int64 `json:"most_watts"`
	// LoneSeconds in which the AI load alone was above the limit.
	LoneSeconds int64 `json:"ai_alone_over_seconds"`
	// Mined and Free, watt-seconds.
	Mined int64 `json:"mined_watt_seconds"`
	Free  int64 `json:"free_watt_seconds"`
	// Commands that lowered, and that raised.
	Curtails int64 `json:"curtails"`
	Ramps    int64 `json:"ramps"`
	// MeanAI and MaxAI, W.
	MeanAI int64 `json:"mean_ai_watts"`
	MaxAI  int64 `json:"max_ai_watts"`

	run int64
}

// Use is the share of the free power that was mined with, 0 to 1.
func (r *Result) Use() float64 { return float64(r.Mined) / float64(max(r.Free, 1)) }

// delayed is a message on its way.
type delayed struct {
	at time.Duration
	do func(now time.Duration)
}

const (
	delay = time.Second // of readings, and of commands
	epoch = 1
)

type world struct {
	start time.Time
	load  *load
	farms []*farm
	byID  map[string]*farm
	d     *dispatch.Dispatch
	out   decider.Outbox
	seq   uint64
	// wire is what is under way to the farms, in the order of arrival;
	// readings what is under way from the meters.
	wire, readings []delayed
	cut            bool // nothing gets through
	r              *Result
	err            error
}

// Run plays a site. It ends early with the context's error.
func Run(ctx context.Context, t *Traces, c Config) (*Result, error) {
	w, err := newWorld(t, c)
	if err != nil {
		return nil, err
	}
	seconds := int64(c.Hours) * 3600
	for s := range seconds {
		if s%600 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if w.second(s); w.err != nil {
			return nil, w.err
		}
	}
	w.r.MeanAI /= max(seconds, 1)
	return w.r, nil
}

func newWorld(t *Traces, c Config) (*world, error) {
	w := &world{start: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), load: newLoad(t, c.Seed, c.Control.Feed), byID: map[string]*farm{},
		d: dispatch.New(dispatch.Config{}), r: &Result{Control: c.Control.Name, Hours: c.Hours}}
	for i := range agents {
		f, err := newFarm(i)
		if err != nil {
			return nil, fmt.Errorf("plant bench: %w", err)
		}
		w.farms = append(w.farms, f)
		w.byID[f.id] = f
	}
	cfg := config(&c)
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("plant bench: site.config: %w", err)
	}
	w.fold(0, events.SiteSource, cfg)
	return w, w.err
}

// config of the site.
func config(c *Config) *events.SiteConfig {
	lease := c.LeaseMilliseconds
	if lease == 0 {
		lease = events.DefaultLease.Milliseconds()
	}
	s := &events.SiteConfig{
		LimitWatts: limit, ContinuousFactorPPM: million, ContractedWatts: limit, AINameplateWatts: 52_000_000, Reserve: c.Control.Reserve,
		Policy: events.PolicyConfig{LeaseMilliseconds: lease, DeadMilliseconds: 30_000, RestartDelayMilliseconds: 60_000,
			RampWattsPerSecond: 2_500_000 / 60, RampBurstWatts: 250_000},
		Tariff: events.TariffConfig{IntervalSeconds: 300, GraceSeconds: 10, AccrualSeconds: 60, Scheme: events.SchemeFPPS},
	}
	add := func(id string, what events.Measures, most int64) {
		s.Meters = append(s.Meters, events.MeterConfig{Meter: id, Measures: what, PeriodMilliseconds: 1_000, StaleMilliseconds: 5_000, MaxWatts: most})
	}
	for i := range jobCount {
		add("ai-train-"+string(rune('1'+i)), events.MeasuresAI, 25_000_000)
	}
	add("ai-serving", events.MeasuresAI, 15_000_000)
	add("mining", events.MeasuresMining, 40_000_000)
	return s
}

// second plays second s: what is true at its beginning is measured then and
// known a second later.
func (w *world) second(s int64) {
	now := time.Duration(s) * time.Second
	w.arrive(&w.wire, now)
	for _, f := range w.farms {
		f.expire(now)
		f.settle(now)
	}
	w.load.step(s, w.start.Add(now))
	w.count()
	w.arrive(&w.readings, now)
	w.measure(now)
	for _, x := range w.load.words {
		w.fold(now+50*time.Millisecond, "slurm", x.say)
	}
	for i, f := range w.farms {
		if (s+int64(i))%2 == 0 {
			w.fold(now+time.Duration(100+i)*time.Millisecond, f.id, f.status(now+time.Duration(100+i)*time.Millisecond))
		}
	}
	w.fold(now+500*time.Millisecond, events.SiteSource, &events.ClockTick{Second: w.start.Add(now).Unix()})
}

// arrive delivers what is due.
func (w *world) arrive(q *[]delayed, now time.Duration) {
	n := 0
	for n < len(*q) && (*q)[n].at <= now {
		(*q)[n].do((*q)[n].at)
		n++
	}
	*q = (*q)[:copy(*q, (*q)[n:])]
}

// measure sends the readings of this instant on their way.
func (w *world) measure(now time.Duration) {
	at := w.start.Add(now)
	read := func(meter string, watts int64) {
		if w.cut {
			return
		}
		r := &events.MeterReading{PowerWatts: watts, SampledAt: at, Quality: events.QualityGood}
		w.readings = append(w.readings, delayed{now + delay, func(now time.Duration) { w.fold(now, meter, r) }})
	}
	for _, j := range w.load.jobs {
		read(j.meter, j.watts)
	}
	read("ai-serving", w.load.serving)
	read("mining", w.mining())
}

func (w *world) mining() int64 {
	m := int64(0)
	for _, f := range w.farms {
		m += f.watts
	}
	return m
}

// fold puts an event into the journal and sends what follows on its way.
func (w *world) fold(now time.Duration, source string, p events.Payload) {
	if w.cut {
		return
	}
	w.seq++
	e := events.New("bench", source, p)
	e.Stream, e.Sequence, e.Epoch, e.Arrived, e.Time = events.StreamJournal, w.seq, epoch, w.start.Add(now), w.start.Add(now)
	e.ID = events.DefaultID(e.Stream, e.Epoch, e.Sequence)
	w.out.Begin(e)
	w.d.Fold(e, &w.out)
	for _, o := range w.out.Outputs() {
		switch c := o.Data.(type) {
		case *events.CommandCurtail:
			w.r.Curtails++
			if c.AllUnitsWatts != nil {
				for _, f := range w.farms {
					w.send(now, f, c)
				}
				continue
			}
		case *events.CommandRamp:
			w.r.Ramps++
		case *events.PermitRenewed:
		default:
			continue
		}
		w.send(now, w.byID[o.Source], o.Data)
	}
}

func (w *world) send(now time.Duration, f *farm, p events.Payload) {
	w.wire = append(w.wire, delayed{now + delay, func(now time.Duration) { f.hear(now, w.start.Add(now), p) }})
}

// count books this second.
func (w *world) count() {
	r, ai, mining := w.r, w.load.watts(), w.mining()
	r.MeanAI += ai
	r.MaxAI = max(r.MaxAI, ai)
	r.Mined += mining
	r.Free += max(min(int64(minersWatts), limit-ai), 0)
	over := ai + mining - limit
	if ai > limit {
		r.LoneSeconds++
		over = mining // the rest is not its fault
	}
	if over <= 0 || mining == 0 {
		r.run = 0
		return
	}
	r.OverSeconds++
	r.run++
	r.Longest, r.MostWatts = max(r.Longest, r.run), max(r.MostWatts, over)
	if over > limit/20 {
		r.FarSeconds++
	}
}
