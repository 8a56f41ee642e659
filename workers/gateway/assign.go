// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/roster"
)

const (
	// publishTime bounds one round of work.
	publishTime = 5 * time.Second
	// nudge is how long after its last work an agent that says it is unhealthy
	// gets it again.
	nudge = 10 * time.Second
)

// usable are the sessions that work can be handed out for, oldest first. The
// caller holds mu.
func (g *Gateway) usable() []*session {
	var out []*session
	for _, l := range g.links {
		for _, s := range g.sessions[l] {
			if s.usable() {
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(a, b *session) int {
		if c := cmp.Compare(len(a.ID), len(b.ID)); c != 0 {
			return c
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return out
}

// deal is work for one agent, to be handed out in this round.
type deal struct {
	miner *roster.Miner
	seat  *seat
	task  *task
	ntime uint32
}

// sweep gives work to every agent of this gateway that is due for it.
func (d *dispatcher) sweep(ctx context.Context) {
	g := d.g
	now := g.cfg.Now()
	g.mu.Lock()
	sessions := g.usable()
	tasks := make([]*task, len(sessions))
	for i, s := range sessions {
		tasks[i] = s.current
	}
	g.mu.Unlock()
	payouts, ready := d.payouts(tasks)
	d.stand(ready)
	if !ready || !d.store(ctx) {
		return
	}
	d.fresh = false
	gateways := d.peers.live(time.Now())
	scale := d.roster.Scale(roster.Rates{PerAgent: g.cfg.SharesPerSecond, AllReal: g.cfg.AllShares, AllModelled: 1})
	var deals []deal
	var seatless []*roster.Miner
	mine := int64(0)
	for _, m := range d.roster.All() {
		if m.Modelled || owner(m.Agent, gateways) != g.cfg.Gateway {
			delete(d.seats, m.Agent)
			continue
		}
		mine++
		m.Difficulty = scale.Difficulty(m)
		st := d.seats[m.Agent]
		i := -1
		if st != nil && st.boot == m.Boot {
			i = slices.IndexFunc(sessions, func(s *session) bool { return s.space == st.space })
		}
		if i < 0 {
			// A new start of an agent begins at the bottom of its slice, so it
			// gets another one.
			seatless = append(seatless, m)
			continue
		}
		switch ntime, e := d.due(m, st, tasks[i], now); e {
		case handOut:
			deals = append(deals, deal{m, st, tasks[i], ntime})
		case elsewhere:
			// Its seat stays, should there be no other.
			seatless = append(seatless, m)
		case leave:
		}
	}
	d.makeRoom(ctx, sessions)
	deals = append(deals, d.seat(ctx, seatless, sessions, tasks, now)...)
	if len(deals) > 0 {
		d.roundAt, d.roundTask = time.Now(), deals[0].task
		for _, s := range tasks {
			if s.serial > d.roundTask.serial {
				d.roundTask = s
			}
		}
		d.hand(ctx, deals, payouts, now)
	}
	for _, t := range tasks {
		d.lower(t, payouts[t])
	}
	g.mu.Lock()
	changed := g.state.agents != mine
	g.state.agents = mine
	g.mu.Unlock()
	if changed {
		g.changed()
	}
}

// farOff reports whether two difficulties differ by a factor of two or more:
// less is not worth another round of work.
func (d *dispatcher) farOff(a, b string) bool {
	if a == b {
		return false
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && (x >= 2*y || y >= 2*x)
}

// shareDifficulty of an agent for a task: its own, and never above what the
// upstream asks. Where only blocks are paid there is nothing to miss between
// the two but blocks of a chain so easy that every other hash makes one: chains
// for tests are mined at the pace of the agent's shares.
func (d *dispatcher) shareDifficulty(m *roster.Miner, t *task) string {
	own, err := hashengine.ParseDifficulty(m.Difficulty)
	if err == nil && (t.Terms.Scheme == events.SchemeSolo || own.Cmp(t.exact) < 0) {
		return m.Difficulty
	}
	return t.difficulty
}

// seat gives agents slices, session by session as long as there are any.
func (d *dispatcher) seat(ctx context.Context, miners []*roster.Miner, sessions []*session, tasks []*task, now time.Time) []deal {
	var deals []deal
	var trouble error
	for i, s := range sessions {
		if len(miners) == 0 {
			break
		}
		parts, err := s.space.claim(ctx, d.kv, len(miners))
		if err != nil {
			if !errors.Is(err, errSpaceUsedUp) {
				trouble = err
			}
			continue
		}
		for k, slice := range parts {
			st := &seat{boot: miners[k].Boot, space: s.space, slice: slice}
			d.seats[miners[k].Agent] = st
			deals = append(deals, deal{miners[k], st, tasks[i], tasks[i].moved(now)})
		}
		miners = miners[len(parts):]
	}
	switch {
	case len(miners) == 0:
		d.g.alarms.clear(alarmSpace, "agents", "every agent has search space")
	case trouble != nil:
		d.log.Warn("agents wait for search space", "agents", len(miners), "error", trouble)
	default:
		d.widen(len(miners))
	}
	return deals
}

// widen asks for one more connection, or says that there is no space.
func (d *dispatcher) widen(agents int) {
	if remedy := d.further(); remedy != "" {
		d.g.alarms.raise(alarmSpace, "agents", events.SeverityWarning,
			fmt.Sprintf("%d agents have no work: the search space of the upstream's sessions is used up", agents), remedy)
	}
}

// payouts of the tasks, and whether there are any to work on. A task whose
// shares nobody could value is held back.
func (d *dispatcher) payouts(tasks []*task) (map[*task]events.Payout, bool) {
	out := make(map[*task]events.Payout, len(tasks))
	for _, t := range tasks {
		p := events.Payout{
			Pool: t.session.up.ID(), NBits: job.WordText(t.Bits), RewardSats: t.Terms.RewardSats,
			FeePPM: t.Terms.FeePPM, Scheme: t.Terms.Scheme, Basis: t.Terms.Basis,
		}
		if p.RewardSats <= 0 {
			q := d.quotes.Network(p.Basis == events.BasisPractice)
			if q == nil {
				d.g.alarms.raise(alarmReward, "", events.SeverityCritical,
					"no work is handed out: the upstream does not tell the block reward and no market.quote is known, so revenue could not be valued",
					"Publish a market.quote for the site.")
				return nil, false
			}
			p.RewardSats = q.SubsidySats
			if p.Scheme != events.SchemePPS {
				p.RewardSats += q.FeesSats
			}
		}
		out[t] = p
	}
	if len(tasks) > 0 {
		d.g.alarms.clear(alarmReward, "", "the block reward is known")
	}
	return out, len(tasks) > 0
}

// stand takes note of whether there is work to hand out.
func (d *dispatcher) stand(ready bool) {
	g := d.g
	d.peers.ready = ready
	newest := d.newest()
	g.mu.Lock()
	was := g.state
	g.state.newest = newest
	switch {
	case ready:
		g.state.upstream, g.state.detail = events.UpstreamReady, ""
	case newest != nil:
		g.state.upstream, g.state.detail = events.UpstreamFailing, "the block reward is not known"
	default:
		g.state.upstream = events.UpstreamConnecting
	}
	changed := was.upstream != g.state.upstream || was.newest != newest
	g.mu.Unlock()
	if ready {
		g.upstreamUp()
	}
	if changed {
		g.changed()
	}
}

// hand publishes work for all agents in one go.
func (d *dispatcher) hand(ctx context.Context, deals []deal, payouts map[*task]events.Payout, now time.Time) {
	g := d.g
	type version struct {
		task  *task
		clean bool
	}
	texts := make(map[version]*workText)
	msgs := make([]*nats.Msg, 0, len(deals))
	given := make([]*issue, 0, len(deals))
	dated := []string{now.UTC().Format(time.RFC3339Nano)}
	difficulties := make(map[[2]string]string) // by the miner's and the task's
	for i := range deals {
		o := &deals[i]
		v := version{o.task, o.seat.task == nil || o.seat.task.serial < o.task.session.clean}
		text := texts[v]
		if text == nil {
			text = newWorkText(g.cfg.Gateway, o.task, o.seat.space, payouts[o.task], v.clean)
			texts[v] = text
		}
		if text.err != nil {
			continue
		}
		key := [2]string{o.miner.Difficulty, o.task.difficulty}
		difficulty, ok := difficulties[key]
		if !ok {
			difficulty = d.shareDifficulty(o.miner, o.task)
			difficulties[key] = difficulty
		}
		d.issuedJobs++
		id := g.instance + "-" + strconv.FormatUint(o.task.serial, 10) + "-" + strconv.FormatUint(d.issuedJobs, 10)
		w := text.base
		w.JobID, w.NTime, w.ShareDifficulty = id, int64(o.ntime), difficulty
		w.ExtranoncePrefix = text.prefix + hex.EncodeToString(o.seat.slice)
		given = append(given, &issue{Job: judge.Job{Agent: o.miner.Agent, Work: &w, At: now}, task: o.task, slice: o.seat.slice})
		msgs = append(msgs, &nats.Msg{
			Subject: events.Subject(g.bus.Prefix(), g.cfg.Site, events.TypeWorkAssigned, o.miner.Agent),
			Header: nats.Header{
				events.HeaderCESpecVersion: specVersion, events.HeaderCEType: workType, events.HeaderContentType: contentType,
				events.HeaderCESource: {g.cfg.Site + "/" + o.miner.Agent}, events.HeaderCEID: {id}, events.HeaderCETime: dated,
			},
			Data: text.write(&w),
		})
		o.seat.task, o.seat.difficulty, o.seat.sent = o.task, difficulty, now
		o.seat.worked.use(o.task.ground, o.ntime)
	}
	for v, text := range texts {
		if text.err != nil {
			g.alarms.raise(alarmJob, "", events.SeverityCritical, events.ClipText(fmt.Sprintf("job %.80q of the upstream does not fit the bus: %v", v.task.ID, text.err)),
				"Use another upstream: this one's jobs are larger than any block needs.")
		}
	}
	g.mu.Lock()
	for _, i := range given {
		g.issued.add(i)
	}
	g.mu.Unlock()
	if len(msgs) == 0 {
		return
	}
	if err := d.publish(ctx, msgs); err != nil && ctx.Err() == nil {
		// Who did not get it gets it again a moment later, with a later time,
		// and told to drop what it has: it may not have heard that either.
		d.log.Warn("work may not have reached all agents", "agents", len(msgs), "error", err)
		for i := range deals {
			deals[i].seat.task = nil
		}
	}
}

// publish sends a round of work. Only the last message asks for an answer: the
// server takes messages of one connection in order, so it stands for all, and
// a thousand answers would take a third of the time that agents wait.
func (d *dispatcher) publish(ctx context.Context, msgs []*nats.Msg) error {
	last := len(msgs) - 1
	for _, m := range msgs[:last] {
		if err := d.g.bus.Conn().PublishMsg(m); err != nil {
			return fmt.Errorf("publish %s: %w", m.Subject, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, publishTime)
	defer cancel()
	_, err := d.g.bus.PublishMsgs(ctx, msgs[last])
	return err
}

// Header values shared by all messages; nobody writes into them.
var (
	specVersion = []string{events.CESpecVersion}
	workType    = []string{string(events.TypeWorkAssigned)}
	contentType = []string{events.ContentTypeJSON}
)

// workText is a task as JSON, cut where agents' work differs, so that a new
// block reaches thousands of agents within milliseconds.
type workText struct {
	base   events.WorkAssigned
	prefix string
	parts  [5][]byte
	err    error
}

// Marks stand where the text is cut. Nothing else in a job has braces.
const (
	markJob, markPrefix, markDifficulty = "{job}", "{prefix}", "{difficulty}"
	markTime                            = 9_999_999_999
)

func newWorkText(gateway string, t *task, s *space, payout events.Payout, clean bool) *workText {
	x := &workText{base: events.WorkAssigned{
		JobID: "j", Gateway: gateway, Version: job.WordText(t.Version), VersionMask: job.WordText(t.VersionMask),
		PrevHash: hex.EncodeToString(t.PrevHash[:]), Coinbase1: hex.EncodeToString(t.Coinbase1), Coinbase2: hex.EncodeToString(t.Coinbase2),
		ExtranonceBytes: s.size - s.width, NTime: int64(t.NTime), NBits: job.WordText(t.Bits), Height: t.Height,
		ShareDifficulty: t.difficulty, Clean: clean, Payout: payout,
	}}
	for _, b := range t.Branches {
		x.base.MerkleBranches = append(x.base.MerkleBranches, hex.EncodeToString(b[:]))
	}
	if x.prefix = hex.EncodeToString(t.Extranonce1); len(t.Extranonce1)+s.width > 32 {
		// The same bytes, counted to the part before.
		x.base.Coinbase1, x.prefix = x.base.Coinbase1+x.prefix, ""
	}
	if x.err = x.base.Validate(); x.err != nil {
		return x
	}
	marked := x.base
	marked.JobID, marked.ExtranoncePrefix, marked.NTime, marked.ShareDifficulty = markJob, markPrefix, markTime, markDifficulty
	rest, err := json.Marshal(&marked)
	if err != nil {
		x.err = err
		return x
	}
	for i, mark := range []string{markJob, markPrefix, strconv.Itoa(markTime), markDifficulty} {
		var ok bool
		if x.parts[i], rest, ok = bytes.Cut(rest, []byte(mark)); !ok {
			x.err = fmt.Errorf("work.assigned has no place for %s", mark)
			return x
		}
	}
	x.parts[4] = rest
	return x
}

// write makes the JSON of an agent's work.
func (x *workText) write(w *events.WorkAssigned) []byte {
	n := len(w.JobID) + len(w.ExtranoncePrefix) + len(w.ShareDifficulty) + 12
	for _, p := range x.parts {
		n += len(p)
	}
	b := append(make([]byte, 0, n), x.parts[0]...)
	b = append(append(b, w.JobID...), x.parts[1]...)
	b = append(append(b, w.ExtranoncePrefix...), x.parts[2]...)
	b = append(strconv.AppendInt(b, w.NTime, 10), x.parts[3]...)
	return append(append(b, w.ShareDifficulty...), x.parts[4]...)
}
