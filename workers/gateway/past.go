// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/judge"
)

const (
	// mostPast bounds the shares of earlier starts that are known by id to have
	// been on their way to the upstream: four times as many as can be.
	mostPast = 4 * unacknowledged
	// mostPastWork bounds the work of earlier starts.
	mostPastWork = mostIssues
)

// past is what earlier starts of the gateway left behind, and up to where
// SHARES was read for that. Guarded by Gateway.mu.
type past struct {
	// sent are the shares, by id, without a verdict that may have reached the
	// upstream, and when that was read.
	sent map[string]time.Time
	// more were sent than are known, when that was read: of a share of an
	// earlier start nobody can say then that it was not.
	more time.Time
	// work that was handed out and that JOBS still keeps.
	work map[string]*judge.Job
	// read is the last place in SHARES of a share that seen knows from reading.
	read uint64
}

// learn takes in what was read. Shares that have their verdict need not be
// known: nobody asks for them.
func (p *past) learn(st *stored, work map[string]*judge.Job, now time.Time) {
	if p.sent == nil {
		p.sent = make(map[string]time.Time)
	}
	for id := range st.submitted {
		if _, judged := st.verdicts[id+verdictSuffix]; judged {
			continue
		}
		if len(p.sent) >= mostPast {
			p.more = now
			break
		}
		p.sent[id] = now
	}
	p.work = make(map[string]*judge.Job, min(len(work), mostPastWork))
	for id, w := range work {
		if len(p.work) >= mostPastWork {
			break
		}
		p.work[id] = w
	}
	for seq := range st.found {
		p.read = max(p.read, seq)
	}
}

// mayHaveSent reports whether a share of an earlier start may have reached the
// upstream.
func (p *past) mayHaveSent(id string) bool {
	_, sent := p.sent[id]
	return sent || !p.more.IsZero()
}

// judged drops a share that has its verdict.
func (p *past) judged(id string) { delete(p.sent, id) }

// forget drops what was read, or handed out, before t0. Shares that wait for a
// verdict have one under way by then: they were taken up when they were read.
func (p *past) forget(t0 time.Time) {
	maps.DeleteFunc(p.sent, func(_ string, at time.Time) bool { return at.Before(t0) })
	if p.more.Before(t0) {
		p.more = time.Time{}
	}
	maps.DeleteFunc(p.work, func(_ string, w *judge.Job) bool { return w.At.Before(t0) })
}

// errForgotten makes judging start over from what is stored.
var errForgotten = errors.New("a share came that was read or delivered before, and whether it was judged is no longer known")

// forgotten reports whether a share that the consumer delivers may have been
// judged so long ago that the gateway does not remember: after an outage of the
// bus that began before its acknowledgement got through. A second verdict must
// not be stored, as whoever counts verdicts may not remember the first either.
func (g *Gateway) forgotten(e *events.Event, m jetstream.Msg) bool {
	s, ok := e.Data.(*events.ShareFound)
	if !ok || s.Gateway != g.cfg.Gateway {
		return false
	}
	g.mu.Lock()
	key, first, known := g.verdictKey(e, s)
	// The place of one of the downstream server's may not be known yet.
	if key != s.ShareID+verdictSuffix && (first.Sequence != 0 || e.Source != g.cfg.Gateway) {
		_, known = g.seen.Get(key)
	}
	known = known || g.flights[key] != nil
	read := e.Sequence <= g.past.read
	g.mu.Unlock()
	if known {
		return false
	}
	if read {
		return true
	}
	meta, err := m.Metadata()
	return err == nil && meta.NumDelivered > 1
}
