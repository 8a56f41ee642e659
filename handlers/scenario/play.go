// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"container/heap"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// Builder makes the decider that a story is played against, from the options
// of its "decider" line.
type Builder func(options []string) (decider.Decider, error)

// RunFile reads and plays the story in a file. The error joins one *Error per
// bad line or unmet expectation.
func RunFile(path string, build Builder) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("scenario: %w", err)
	}
	s, err := Parse(path, b)
	if err != nil {
		return err
	}
	return s.Play(build)
}

// Play plays the story against a new decider and returns nil when every
// expectation is met.
func (s *Story) Play(build Builder) error {
	p, err := s.play(build)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range s.expects {
		if err := e.check(p); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// said is one output of the decider and when its cause arrived.
type said struct {
	at     time.Duration
	source string
	data   events.Payload
	stored bool
	fields any // JSON of data, decoded when first asked for
}

// sample of what the site and the workers draw.
type sample struct {
	at   time.Duration
	draw int64
}

// player is a story being played.
type player struct {
	story   *Story
	d       decider.Decider
	out     decider.Outbox
	todo    queue
	made    uint64
	now     time.Duration
	offset  time.Duration
	nudge   time.Duration
	seq     uint64
	epoch   uint64
	ticking bool

	config   events.SiteConfig
	readings map[string]int64
	rigs     map[string]*rig
	// controllers of outlets, by id.
	controllers map[string]*controller
	order       []*rig
	said        []said
	draws       []sample
	powers      []probe
}

// task is an action waiting for its instant. Of one instant, what the lines let
// happen comes first, then the tick, then what looks at the result.
type task struct {
	at   time.Duration
	turn turn
	n    uint64
	do   action
}

type turn uint8

const (
	turnLine turn = iota
	turnTick
	turnLook
)

type queue []task

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	a, b := &q[i], &q[j]
	if a.at != b.at {
		return a.at < b.at
	}
	if a.turn != b.turn {
		return a.turn < b.turn
	}
	return a.n < b.n
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(task)) }
func (q *queue) Pop() any {
	o := *q
	x := o[len(o)-1]
	*q = o[:len(o)-1]
	return x
}

func (p *player) later(d time.Duration, do action) { p.push(task{at: p.now + d, do: do}) }

func (p *player) push(t task) {
	p.made++
	t.n = p.made
	heap.Push(&p.todo, t)
}

func (s *Story) play(build Builder) (*player, error) {
	d, err := build(s.Options)
	if err != nil {
		return nil, fmt.Errorf("%s: decider: %w", s.File, err)
	}
	p := &player{story: s, d: d, epoch: 1, ticking: s.ticks, config: s.config,
		readings: make(map[string]int64), rigs: make(map[string]*rig), controllers: make(map[string]*controller)}
	for _, l := range s.lines {
		p.push(task{at: l.at, do: p.repeat(l)})
	}
	for _, e := range s.expects {
		e.prepare(p)
	}
	var tick action
	tick = func(p *player) error {
		p.push(task{at: p.now + time.Second, turn: turnTick, do: tick})
		if !p.ticking {
			return nil
		}
		return p.tick()
	}
	if s.ticks {
		p.push(task{turn: turnTick, do: tick})
	}
	for len(p.todo) > 0 && p.todo[0].at <= s.end {
		t := heap.Pop(&p.todo).(task)
		if t.at != p.now {
			p.now, p.nudge = t.at, 0
		}
		if err := t.do(p); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *player) repeat(l line) action {
	if l.every == 0 {
		return l.do
	}
	var again action
	again = func(p *player) error {
		if p.now+l.every <= l.until {
			p.later(l.every, again)
		}
		return l.do(p)
	}
	return again
}

// wall is what the clocks of the site show.
func (p *player) wall() time.Time { return p.story.start.Add(p.now + p.offset + p.nudge) }

// publish appends an event to the journal and folds it.
func (p *player) publish(source string, data events.Payload) error {
	return p.publishDated(source, data, time.Time{})
}

// publishDated publishes an event whose envelope carries a date; none, if it is
// zero.
func (p *player) publishDated(source string, data events.Payload, dated time.Time) error {
	p.seq++
	p.nudge += time.Microsecond
	e := events.New(p.story.Site, source, data)
	e.Stream, e.Sequence, e.Epoch, e.Arrived = events.StreamJournal, p.seq, p.epoch, p.wall()
	e.Time = dated
	e.ID = events.DefaultID(e.Stream, e.Epoch, e.Sequence)
	p.out.Begin(e)
	p.d.Fold(e, &p.out)
	for _, o := range p.out.Outputs() {
		p.said = append(p.said, said{at: p.now, source: o.Source, data: o.Data, stored: o.Stored})
		p.deliver(o.Source, o.Data)
	}
	p.observe()
	return nil
}

func (p *player) configure(c events.SiteConfig) {
	p.config = c
	_ = p.publish(events.SiteSource, &c)
}

func (p *player) tick() error {
	return p.publish(events.SiteSource, &events.ClockTick{Second: p.wall().Unix()})
}

// mining is what all workers draw.
func (p *player) mining() int64 {
	w := int64(0)
	for _, r := range p.order {
		w += r.power()
	}
	return w
}

// load is what AI and house meters have read last, and the house constant.
func (p *player) load() int64 {
	w := p.config.HouseWatts
	groups := make(map[string]int64)
	for _, m := range p.config.SiteMeters() {
		if m.Measures != events.MeasuresAI && m.Measures != events.MeasuresHouse {
			continue
		}
		if m.Group == "" {
			w += p.readings[m.Meter]
			continue
		}
		k := string(m.Measures) + "/" + m.Group
		w += max(p.readings[m.Meter]-groups[k], 0)
		groups[k] = max(groups[k], p.readings[m.Meter])
	}
	return w
}

func (p *player) observe() {
	draw := p.mining() + p.load()
	if n := len(p.draws); n > 0 && p.draws[n-1].draw == draw {
		return
	}
	p.draws = append(p.draws, sample{p.now, draw})
}
