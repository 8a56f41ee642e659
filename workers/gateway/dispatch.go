// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/quotes"
	"github.com/ballast-energy/ballast/workers/roster"
	"github.com/ballast-energy/ballast/workers/upstream"
)

const (
	// beat of the dispatcher: what is due by time is looked at.
	beat = time.Second
	// calm is the least time between two rounds of work for the same block,
	// brisk when the upstream voids what was before.
	calm  = time.Second
	brisk = 100 * time.Millisecond
	// burst is the most messages heard in one go.
	burst = 500
	// lately is how far back statuses are read at the start: agents announce
	// themselves every half minute. Reading takes no longer than remembering.
	lately      = 35 * time.Second
	remembering = 3 * time.Second
	// small is a status that is always read in full. A longer one is of
	// hundreds of units; of an agent that is known it matters only when it
	// announces or leaves.
	small = 4096
)

// dispatcher hands out work. Its goroutine owns it.
type dispatcher struct {
	g       *Gateway
	connect func(upstream.Upstream)
	log     interface{ Warn(string, ...any) }

	// heard is what is said on the bus; overhearing is set once the work of
	// other gateways is.
	heard       chan *nats.Msg
	overhearing *nats.Subscription

	roster *roster.Roster
	seats  map[string]*seat
	peers  peers
	quotes quotes.Book
	quoter *quoter
	kv     jetstream.KeyValue
	dec    events.Decoder

	serial uint64
	// issuedJobs makes ids unique.
	issuedJobs uint64
	// round of work handed out last, and for which block.
	roundAt   time.Time
	roundTask *task
	// asked for so many connections.
	connections int
	// unsettled is since when one of them has been waited for; zero when none is.
	unsettled time.Time
	fresh     bool // a clean job waits to be handed out
	// troubled is when an open session last was not as it should be.
	troubled time.Time
}

// seat is what an agent of this gateway works on.
type seat struct {
	boot       string
	task       *task
	space      *space
	slice      []byte
	worked     worked
	difficulty string
	sent       time.Time
	// contested: another gateway has given the agent work since.
	contested bool
}

func newDispatcher(g *Gateway, connect func(upstream.Upstream)) *dispatcher {
	return &dispatcher{
		g: g, connect: connect, log: g.log, quoter: newQuoter(g), heard: make(chan *nats.Msg, 8192), roster: roster.New(), seats: make(map[string]*seat),
		peers: peers{self: g.cfg.Gateway, others: make(map[string]peer)}, connections: 1,
	}
}

// run serves until ctx ends.
func (d *dispatcher) run(ctx context.Context) {
	heard := d.heard
	nc, prefix := d.g.bus.Conn(), d.g.bus.Prefix()
	for _, t := range []events.Type{events.TypeWorkerStatus, events.TypeMarketQuote, events.TypeGatewayStatus} {
		sub, err := nc.ChanSubscribe(events.Subject(prefix, d.g.cfg.Site, t, "*"), heard)
		if err != nil {
			d.g.log.Error("cannot hear the bus", "type", t, "error", err)
			return
		}
		defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone
	}
	defer func() {
		if d.overhearing != nil {
			_ = d.overhearing.Unsubscribe() // as above
		}
	}()
	d.remember(ctx)
	tick := time.NewTicker(beat)
	defer tick.Stop()
	later := time.NewTimer(0)
	defer later.Stop()
	for {
		// A new job goes before everything else.
		select {
		case <-d.g.wake:
			d.listen(ctx, later)
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-d.g.wake:
			d.listen(ctx, later)
		case m := <-heard:
			d.hear(ctx, m, heard)
		case <-later.C:
			d.sweep(ctx)
		case <-tick.C:
			d.beat(ctx)
		}
	}
}

// remember reads the newest quotes and the statuses of other gateways and of
// agents from the streams: what was said before the gateway listened.
func (d *dispatcher) remember(ctx context.Context) {
	for e, err := range events.Read[events.MarketQuote](ctx, d.g.bus, events.AtSite(d.g.cfg.Site)) {
		if err != nil {
			if !onlyOne(err) {
				d.log.Warn("earlier market quotes could not be read", "error", err)
				break
			}
			continue
		}
		q := e.Data
		d.quotes.Take(&q)
	}
	now := time.Now()
	for e, err := range events.Read[events.GatewayStatus](ctx, d.g.bus, events.AtSite(d.g.cfg.Site), events.Since(now.Add(-events.GatewaySilence))) {
		if err != nil {
			if !onlyOne(err) {
				d.log.Warn("other gateways' statuses could not be read", "error", err)
				break
			}
			continue
		}
		s := e.Data
		d.peers.heard(e.Source, &s, now)
	}
	d.overhear()
	d.meet(ctx)
	var err error
	if d.kv, err = d.g.bus.SliceStore(ctx); err != nil {
		d.log.Warn("no work can be handed out yet", "error", err)
	}
}

// meet gets to know the agents that are there. They go on with the work of a
// session that has ended with the start before, for nothing, until they have
// other: it must not wait until each happens to speak again. Who is not met in
// time is when it does.
func (d *dispatcher) meet(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, remembering)
	defer cancel()
	for raw, err := range d.g.bus.RawEvents(ctx, events.ReadRequest{
		Types: []events.Type{events.TypeWorkerStatus}, Site: d.g.cfg.Site, Since: time.Now().Add(-lately),
	}) {
		if err != nil {
			d.log.Warn("not every agent is known yet: earlier statuses could not be read", "agents", d.roster.Len(), "error", err)
			return
		}
		d.hearOne(&nats.Msg{Subject: raw.Subject, Header: raw.Header, Data: raw.Data})
	}
}

// hear takes a message and those that wait behind it.
func (d *dispatcher) hear(ctx context.Context, m *nats.Msg, more <-chan *nats.Msg) {
	needs := false
	for n := 0; ; n++ {
		needs = d.hearOne(m) || needs
		if n == burst || len(more) == 0 || len(d.g.wake) > 0 {
			break
		}
		m = <-more
	}
	if needs {
		d.sweep(ctx)
	}
}

func (d *dispatcher) hearOne(m *nats.Msg) (needs bool) {
	now := d.g.cfg.Now()
	a, err := events.ParseSubject(m.Subject)
	if err != nil {
		return false
	}
	if a.Type == events.TypeWorkAssigned {
		d.overheard(a.Source, m)
		return false
	}
	if known := d.roster.Get(a.Source); known != nil && a.Type == events.TypeWorkerStatus && len(m.Data) > small &&
		!bytes.Contains(m.Data, []byte(`"announce"`)) && !bytes.Contains(m.Data, []byte(`"leaving"`)) {
		known.Seen = now
		return false
	}
	e, err := d.dec.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return false // the inspector reports it
	}
	switch s := e.Data.(type) {
	case *events.WorkerStatus:
		miner, due := d.roster.Heard(e.Source, s, now)
		if miner == nil {
			delete(d.seats, e.Source)
		}
		return due
	case *events.MarketQuote:
		d.quotes.Take(s)
		return true
	case *events.GatewayStatus:
		return d.met(e.Source, s)
	}
	return false
}

// beat does what is due by time.
func (d *dispatcher) beat(ctx context.Context) {
	now := d.g.cfg.Now()
	d.roster.Forget(now)
	for id := range d.seats {
		if d.roster.Get(id) == nil {
			delete(d.seats, id)
		}
	}
	g := d.g
	g.mu.Lock()
	g.issued.forget(now.Add(-g.cfg.JobLifetime - time.Minute))
	g.seen.Turn(now, g.cfg.JobLifetime)
	g.past.forget(now.Add(-2 * g.cfg.JobLifetime))
	g.below.forget()
	g.foreign.forget(now.Add(-g.cfg.JobLifetime))
	w := g.account.window(now)
	g.mu.Unlock()
	g.rejects(w)
	d.calmed(now)
	d.insist()
	d.sweep(ctx)
}

// listen takes in what the upstreams said and hands out the work that follows.
func (d *dispatcher) listen(ctx context.Context, later *time.Timer) {
	g := d.g
	g.mu.Lock()
	links := g.links
	g.mu.Unlock()
	work := false
	for _, l := range links {
		for _, s := range l.take() {
			switch {
			case s.opened != nil:
				d.opened(l, s.opened)
			case s.job != nil:
				work = d.job(l, s.job, s.clean) || work
			case s.closed != "":
				d.closed(l, s.closed, s.cause)
			case s.trouble != nil:
				d.trouble(s.trouble)
			}
		}
	}
	if !work {
		d.sweep(ctx) // a session may have gone
		return
	}
	pause := time.Duration(0)
	if newest := d.newest(); newest != nil && d.roundTask != nil && newest.PrevHash == d.roundTask.PrevHash {
		gap := calm
		if d.fresh {
			gap = brisk
		}
		pause = gap - time.Since(d.roundAt)
	} else if d.roundTask != nil {
		pause = brisk/10 - time.Since(d.roundAt)
	}
	if pause > 0 {
		later.Reset(pause)
		return
	}
	d.sweep(ctx)
}

func (d *dispatcher) opened(l *link, s *upstream.Session) {
	g := d.g
	g.log.Info("session open", "upstream", s.Address, "session", s.ID)
	g.mu.Lock()
	g.sessions[l][s.ID] = &session{Session: *s, up: l.up, open: true}
	g.mu.Unlock()
	g.changed()
}

// job takes a job in and reports whether work can be made of it.
func (d *dispatcher) job(l *link, j *upstream.Job, clean bool) bool {
	g := d.g
	g.mu.Lock()
	s := g.sessions[l][j.Session]
	if s == nil || !s.open {
		g.mu.Unlock()
		g.log.Warn("job of a session that is not open", "session", j.Session)
		return false
	}
	t := newTask(s, j)
	d.serial++
	t.serial = d.serial
	if t.refused != nil {
		g.mu.Unlock()
		g.alarms.raise(alarmJob, "", events.SeverityWarning, fmt.Sprintf("the upstream's job cannot be worked on: %v", t.refused),
			"If it lasts, look at the upstream; agents go on with the job before.")
		return false
	}
	g.alarms.clear(alarmJob, "", "the upstream's jobs can be worked on")
	s.current = t
	if clean {
		s.clean, s.cleanAt = t.serial, g.cfg.Now()
		d.fresh = true
	}
	g.easiest = g.easiestTarget()
	g.mu.Unlock()
	g.clock(j)
	d.quoter.template(l.up.ID(), j)
	if s.space == nil || !s.space.of(j) {
		s.space = newSpace(g.cfg.Site, l.up.ID(), j)
	}
	return true
}

func (d *dispatcher) closed(l *link, id string, cause error) {
	g := d.g
	g.mu.Lock()
	s := g.sessions[l][id]
	delete(g.sessions[l], id)
	if s != nil {
		s.open = false
	}
	g.mu.Unlock()
	if s == nil {
		return
	}
	if cause != nil {
		g.log.Warn("session closed", "upstream", s.Address, "session", id, "cause", cause)
		d.trouble(cause)
	}
	if g.cfg.OnClosed != nil {
		g.cfg.OnClosed(id)
	}
	g.changed()
}

// newest task of the sessions that are open, nil when there is none.
func (d *dispatcher) newest() *task {
	d.g.mu.Lock()
	defer d.g.mu.Unlock()
	var newest *task
	for _, s := range d.g.usable() {
		if newest == nil || s.current.serial > newest.serial {
			newest = s.current
		}
	}
	return newest
}

// store opens the bucket of slices and reports whether it is there.
func (d *dispatcher) store(ctx context.Context) bool {
	if d.kv != nil {
		return true
	}
	var err error
	if d.kv, err = d.g.bus.SliceStore(ctx); err != nil {
		d.kv = nil
		d.log.Warn("no work can be handed out", "error", err)
	}
	return d.kv != nil
}
