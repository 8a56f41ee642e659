// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/upstream"
)

const (
	// statusPeriod is how often the gateway says how it is at least.
	statusPeriod = time.Second
	// downAfter is how long without a session before an alert.
	downAfter = 10 * time.Second
	// clockOff is how far a job's time may be from the clock's.
	clockOff = 10 * time.Minute
	// enough submitted shares for their rate of rejects to say something.
	enough = 20
)

// Alert kinds; the alert's id is <kind>/<gateway>, with a part behind where
// there are several.
const (
	alarmUpstream = "upstream-down"
	alarmRejects  = "share-rejects"
	alarmReward   = "reward-unknown"
	alarmSpace    = "search-space"
	alarmClock    = "gateway-clock"
	alarmJob      = "upstream-job"
	alarmLease    = "gateway-twice"
)

// changed has the status told at once.
func (g *Gateway) changed() { poke(g.news) }

// speak publishes the status every second and when it changes, until ctx ends,
// and then that the gateway drains.
func (g *Gateway) speak(ctx context.Context) {
	tick := time.NewTicker(statusPeriod)
	defer tick.Stop()
	for counter := uint64(1); ; counter++ {
		s := g.status(counter)
		if ctx.Err() != nil {
			s.State, s.Detail = events.UpstreamDraining, "the gateway ends"
		}
		e := events.New(g.cfg.Site, g.cfg.Gateway, s).At(s.SeenAt)
		e.ID = fmt.Sprintf("%s/%s/%d", g.cfg.Gateway, g.instance, counter)
		if err := g.bus.PublishCore(e); err != nil {
			g.log.Debug("status not told", "error", err)
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-g.news:
		case <-tick.C:
			g.mu.Lock()
			down := g.state.upstream == events.UpstreamConnecting && time.Since(g.began) > downAfter
			g.mu.Unlock()
			if down {
				g.upstreamDown(nil)
			}
		}
	}
}

// status of this moment.
func (g *Gateway) status(counter uint64) *events.GatewayStatus {
	connections := g.cfg.Connections()
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.cfg.Now()
	a := &g.account
	s := &events.GatewayStatus{
		Instance: g.instance, Counter: counter, Pool: g.cfg.Upstream.ID(), Upstream: events.ClipText(g.cfg.Upstream.Address()),
		State: g.state.upstream, Detail: g.state.detail, Agents: g.state.agents, Connections: connections,
		SharesFound: a.Found, SharesAccepted: a.Accepted, SharesRejected: a.Rejected, SharesUnknown: a.Unknown,
		BlocksFound: a.Blocks, HashrateMHs: a.megahashes(now, g.began), SeenAt: now.UTC(),
	}
	for _, l := range g.links {
		for _, o := range g.sessions[l] {
			if o.open {
				s.Sessions++
			}
		}
	}
	if t := g.state.newest; t != nil {
		s.Session, s.Difficulty, s.Height = t.session.ID, t.difficulty, t.Height
		s.Upstream = events.ClipText(t.session.Address)
	}
	if s.Upstream == "" {
		s.Upstream = g.cfg.Upstream.ID()
	}
	return s
}

// takenOver raises the alert of a gateway that lost its id to another.
func (g *Gateway) takenOver(err error) {
	g.alarms.raise(alarmLease, g.instance, events.SeverityCritical,
		events.ClipText(fmt.Sprintf("two gateways were started as %s; this one ends: %v", g.cfg.Gateway, err)),
		"Give each gateway an id of its own (--id). Shares on their way to the pool when it ended are booked as unknown.")
}

// upstreamDown raises the alert of an upstream that is not there; cause is nil
// when nobody said why.
func (g *Gateway) upstreamDown(cause error) {
	why := "no session has been opened"
	g.mu.Lock()
	if g.state.detail != "" {
		why = g.state.detail
	}
	g.mu.Unlock()
	if cause != nil {
		why = cause.Error()
	}
	g.alarms.raise(alarmUpstream, "", events.SeverityCritical,
		events.ClipText(fmt.Sprintf("no work from %s: %s", g.cfg.Upstream.Address(), why)),
		"Check the address, the account and the network; agents follow another gateway if there is one.")
}

func (g *Gateway) upstreamUp() {
	g.alarms.clear(alarmUpstream, "", "the upstream gives work")
}

// rejects looks at how many shares the upstream refuses.
func (g *Gateway) rejects(w rateSums) {
	switch {
	case w.submitted >= enough && w.rejected*1_000_000 >= w.submitted*g.cfg.RejectAlarmPPM:
		g.alarms.raise(alarmRejects, "", events.SeverityWarning,
			fmt.Sprintf("the upstream rejected %d of %d shares within ten minutes", w.rejected, w.submitted),
			"Look at the reasons in share.rejected: stale shares mean a slow network, invalid ones a faulty machine.")
	case w.submitted >= enough && w.rejected*2_000_000 < w.submitted*g.cfg.RejectAlarmPPM:
		g.alarms.clear(alarmRejects, "", "the upstream accepts shares again")
	}
}

// clock compares the upstream's time with ours.
func (g *Gateway) clock(j *upstream.Job) {
	off := g.cfg.Now().Sub(time.Unix(int64(j.NTime), 0))
	if off.Abs() > clockOff {
		g.alarms.raise(alarmClock, "", events.SeverityWarning,
			fmt.Sprintf("this machine's clock and the upstream's differ by %s", off.Round(time.Second)),
			"Set the clock by a time server; shares with a wrong time are rejected.")
		return
	}
	g.alarms.clear(alarmClock, "", "the clocks agree")
}
