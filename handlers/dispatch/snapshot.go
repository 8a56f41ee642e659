// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"encoding/json"
	"fmt"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// snapshot is the whole state as JSON. Sums and indices are worked out anew.
type snapshot struct {
	Version      string             `json:"version"`
	ConfigHash   string             `json:"config_hash"`
	Clock        decider.StepClock  `json:"clock"`
	Generation   uint64             `json:"generation"`
	Epoch        uint64             `json:"epoch"`
	TickGen      uint64             `json:"tick_generation"`
	TickSecond   int64              `json:"tick_second"`
	TickAt       int64              `json:"tick_at"`
	Site         *events.SiteConfig `json:"site,omitempty"`
	SiteEpoch    uint64             `json:"site_epoch,omitempty"`
	SiteSequence uint64             `json:"site_sequence,omitempty"`
	Meters       []meterState       `json:"meters,omitempty"`
	Nodes        []nodeState        `json:"nodes,omitempty"`
	Envelope     envelope           `json:"envelope"`
	Balance      estimate           `json:"balance,omitzero"`
	Load         load               `json:"load"`
	RestartUntil int64              `json:"restart_until"`
	SettleAt     int64              `json:"settle_at"`
	Rogue        rogue              `json:"rogue,omitzero"`
	Signals      []*signal          `json:"signals,omitempty"`
	Folded       uint64             `json:"signals_folded"`
	Programmes   []programmeState   `json:"programmes,omitempty"`
	Astray       bool               `json:"astray,omitempty"`
	Seen         []seenSource       `json:"signals_seen,omitempty"`
	Quote        quote              `json:"quote"`
	Agents       []agentState       `json:"agents,omitempty"`
	Tokens       int64              `json:"tokens"`
	TokenCarry   uint64             `json:"token_carry"`
	RefilledAt   int64              `json:"refilled_at"`
	DownUntil    int64              `json:"down_until,omitempty"`
	Joining      bool               `json:"joining"`
	RaisedAt     int64              `json:"raised_at"`
	Alarms       alarms             `json:"alarms"`
	Flooded      bool               `json:"flooded"`
	Crowd        bool               `json:"crowd"`
	Skewed       bool               `json:"skewed"`
	BrokenAlert  bool               `json:"broken_alert,omitempty"`
	Jobs         []*job             `json:"jobs,omitempty"`
	JobCrowd     int64              `json:"job_crowd,omitempty"`
	JobsCrowded  bool               `json:"jobs_crowded,omitempty"`
	Learned      learnedState       `json:"learned"`
	Cursor       int                `json:"cursor,omitempty"`
	Said         said               `json:"said,omitzero"`
	Proven       provenState        `json:"proven"`
	Verification verification       `json:"verification,omitzero"`
	Strange      int64              `json:"strange"`
	StrangeAlert bool               `json:"strange_alert,omitempty"`
	Outlets      []*outlet          `json:"outlets,omitempty"`
}

// learnedState is what a node has learned of its load.
type learnedState struct {
	Step     rise     `json:"step"`
	Crests   crests   `json:"crests"`
	Held     [2]int64 `json:"held,omitzero"`
	Response int64    `json:"response"`
	Told     told     `json:"told"`
	Firms    []rise   `json:"firms,omitempty"`
	Raised   raised   `json:"raised,omitzero"`
}

// nodeState is a node of a power tree; what the snapshot itself says of the
// point of connection is not said again here.
type nodeState struct {
	Envelope     *envelope `json:"envelope,omitempty"`
	Balance      estimate  `json:"balance,omitzero"`
	Load         *load     `json:"load,omitempty"`
	RestartUntil int64     `json:"restart_until"`
	SettleAt     int64     `json:"settle_at"`
	Rogue        rogue     `json:"rogue,omitzero"`
	Tokens       int64     `json:"tokens"`
	TokenCarry   uint64    `json:"token_carry"`
	RefilledAt   int64     `json:"refilled_at"`
	DownUntil    int64     `json:"down_until,omitempty"`
	OffSince     int64     `json:"off_since"`
	OffAlert     bool      `json:"off_alert"`
	Said         said      `json:"said"`
	Strange      int64     `json:"strange"`
	StrangeAlert bool      `json:"strange_alert,omitempty"`
	Told         told      `json:"told"`
	OwnAI        int64     `json:"own_ai"`
	// Learned is that of a node below the point of connection.
	Learned *learnedState `json:"learned,omitempty"`
}

type meterState struct {
	Has        bool   `json:"has"`
	Watts      int64  `json:"watts"`
	Heard      int64  `json:"heard"`
	Gap        int64  `json:"gap"`
	Generation uint64 `json:"generation"`
	Sampled    int64  `json:"sampled"`
	Round      bool   `json:"round"`
	Came       int64  `json:"came"`
	Rose       int64  `json:"rose,omitempty"`
	Over       int64  `json:"over"`
	Stale      bool   `json:"stale_alert"`
	OverAlert  bool   `json:"over_alert"`
	Last       int64  `json:"last,omitempty"`
	Counter    int64  `json:"counter,omitempty"`
	Counted    bool   `json:"counted,omitempty"`
	Since      int64  `json:"since,omitempty"`
	Same       int64  `json:"same,omitempty"`
	Stuck      bool   `json:"stuck,omitempty"`
	StuckAlert bool   `json:"stuck_alert,omitempty"`
	Epoch      uint64 `json:"epoch,omitempty"`
	Sequence   uint64 `json:"sequence,omitempty"`
	Suspect    bool   `json:"suspect,omitempty"`
}

type agentState struct {
	ID          string      `json:"id"`
	Boot        string      `json:"boot"`
	Counter     uint64      `json:"counter"`
	Heard       int64       `json:"heard"`
	Generation  uint64      `json:"generation"`
	Renewed     uint64      `json:"renewed"`
	RenewedAt   int64       `json:"renewed_at"`
	Leaving     bool        `json:"leaving"`
	Lost        bool        `json:"lost"`
	LeftAt      int64       `json:"left_at"`
	SilentAlert bool        `json:"silent_alert"`
	Units       []unitState `json:"units"`
}

type unitState struct {
	ID          string              `json:"id"`
	Caps        events.Capabilities `json:"capabilities"`
	Set         int64               `json:"set"`
	Key         events.OrderKey     `json:"key"`
	ChangedAt   int64               `json:"changed_at"`
	Counter     uint64              `json:"counter"`
	Lowering    bool                `json:"lowering"`
	Raising     bool                `json:"raising"`
	Tries       int64               `json:"tries"`
	Inflight    int64               `json:"inflight"`
	Allow       int64               `json:"allow"`
	Due         int64               `json:"due"`
	FallBy      int64               `json:"fall_by"`
	Held        int64               `json:"held"`
	HeldUntil   int64               `json:"held_until"`
	OnSince     int64               `json:"on_since"`
	OffSince    int64               `json:"off_since"`
	NotBefore   int64               `json:"not_before"`
	State       events.PermitState  `json:"state"`
	Setpoint    int64               `json:"setpoint"`
	Power       int64               `json:"power"`
	Applied     events.OrderKey     `json:"applied"`
	HasApplied  bool                `json:"has_applied"`
	Local       int64               `json:"local"`
	Healthy     bool                `json:"healthy"`
	UnhealthyAt int64               `json:"unhealthy_at"`
	Heard       int64               `json:"heard"`
	FollowAlert bool                `json:"follow_alert"`
	Overdue     bool                `json:"overdue"`
	Fixed       bool                `json:"fixed"`
	HomeAlert   bool                `json:"home_alert,omitempty"`
	Part        uint64              `json:"part,omitempty"`
	Asked       int64               `json:"asked,omitempty"`
	Waiting     bool                `json:"waiting,omitempty"`
	Starting    bool                `json:"starting,omitempty"`
	Starts      starts              `json:"starts,omitzero"`
	Escalation  *escalation         `json:"escalation,omitempty"`
	Answers     uint64              `json:"answers,omitempty"`
	Changed     int64               `json:"changed,omitempty"`
	RisenBy     int64               `json:"risen_by,omitempty"`
}

// Snapshot implements decider.Decider.
func (d *Dispatch) Snapshot() ([]byte, error) {
	r := d.root
	s := snapshot{
		Version: d.who.Version, ConfigHash: d.who.ConfigHash,
		Clock: d.clk, Generation: d.gen, Epoch: d.epoch,
		TickGen: d.tickGen, TickSecond: d.tickSecond, TickAt: d.tickAt,
		Envelope: r.env, Balance: r.balance, Load: r.load,
		RestartUntil: r.restartUntil, SettleAt: r.settleAt, Rogue: r.rogue,
		Signals: d.signals.live, Folded: d.signals.folded, Seen: d.signals.seen.sources, Quote: d.quote,
		Tokens: r.bucket.tokens, TokenCarry: r.bucket.carry, RefilledAt: r.bucket.refilledAt, DownUntil: r.downUntil,
		Joining: d.joining, RaisedAt: d.raisedAt,
		Jobs: d.jobs.list, JobCrowd: d.jobs.crowd, JobsCrowded: d.jobs.crowded, Learned: r.learned(),
		Alarms: d.alarms, Flooded: d.flooded, Crowd: d.crowd, Skewed: d.skewed,
		BrokenAlert: d.brokenAlert, Cursor: d.cursor, Said: r.said, Proven: d.proven(), Verification: d.verification(), Astray: d.astray,
		Strange: r.strange, StrangeAlert: r.strangeAlert, Outlets: d.switched,
	}
	for _, p := range d.programmes {
		s.Programmes = append(s.Programmes, programmeState{p.since, p.heard, p.heardWall, p.issued, p.quiet, p.alert})
	}
	if d.site.known {
		s.Site, s.SiteEpoch, s.SiteSequence = &d.site.raw, d.site.epoch, d.site.sequence
	}
	for _, m := range d.site.meters {
		s.Meters = append(s.Meters, meterState{m.has, m.watts, m.heard, m.gap, m.gen, m.sampled, m.round, m.came, m.rose, m.over, m.staleAlert, m.overAlert,
			m.last, m.counter, m.counted, m.since, m.same, m.stuck, m.stuckAlert, m.epoch, m.sequence, m.suspect})
	}
	if d.site.tree {
		for _, n := range d.nodes {
			s.Nodes = append(s.Nodes, n.state())
		}
	}
	for _, a := range d.roster {
		as := agentState{ID: a.id, Boot: a.boot, Counter: a.counter, Heard: a.heard, Generation: a.gen,
			Renewed: a.renewed, RenewedAt: a.renewedAt, Leaving: a.leaving, Lost: a.lost, LeftAt: a.leftAt,
			SilentAlert: a.silentAlert, Units: make([]unitState, 0, len(a.units))}
		for _, u := range a.units {
			as.Units = append(as.Units, unitState{u.id, u.caps, u.set, u.key, u.changedAt, u.counter, u.lowering, u.raising,
				u.tries, u.inflight, u.allow, u.due, u.fallBy, u.held, u.heldUntil, u.onSince, u.offSince, u.notBefore, u.state, u.setpoint, u.power, u.applied,
				u.hasApplied, u.local, u.healthy, u.unhealthyAt, u.heard, u.followAlert, u.overdue, u.fixed, u.homeAlert, u.part.number(), u.asked, u.waiting, u.starting, u.starts, u.esc, u.answers.number(), u.changed, u.risenBy})
		}
		s.Agents = append(s.Agents, as)
	}
	b, err := json.Marshal(&s)
	if err != nil {
		return nil, fmt.Errorf("dispatch snapshot: %w", err)
	}
	return b, nil
}

// Restore implements decider.Decider.
func (d *Dispatch) Restore(b []byte) error {
	var s snapshot
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("dispatch snapshot is unreadable, fold the journal from its start instead: %w", err)
	}
	if s.Version != d.who.Version || s.ConfigHash != d.who.ConfigHash {
		return fmt.Errorf("dispatch snapshot is of version %s/%s, not %s/%s: fold the journal instead",
			s.Version, s.ConfigHash, d.who.Version, d.who.ConfigHash)
	}
	*d = *New(Config{NoReductions: d.unsafe})
	d.clk, d.now, d.wall = s.Clock, s.Clock.ElapsedNanos, s.Clock.LastUnixNano
	d.gen, d.epoch = s.Generation, s.Epoch
	d.tickGen, d.tickSecond, d.tickAt = s.TickGen, s.TickSecond, s.TickAt
	d.quote = s.Quote
	d.raisedAt, d.alarms = s.RaisedAt, s.Alarms
	d.flooded, d.crowd, d.skewed = s.Flooded, s.Crowd, s.Skewed
	d.brokenAlert, d.cursor, d.astray = s.BrokenAlert, s.Cursor, s.Astray
	if s.Site != nil {
		d.site = newSettings(s.Site, nil)
		d.site.epoch, d.site.sequence = s.SiteEpoch, s.SiteSequence
		d.nodes, d.root = d.site.nodes, d.site.nodes[0]
		if len(d.site.meters) != len(s.Meters) {
			return fmt.Errorf("dispatch snapshot holds %d meters for a configuration of %d: fold the journal instead", len(s.Meters), len(d.site.meters))
		}
	}
	for i, m := range d.site.meters {
		t := s.Meters[i]
		m.has, m.watts, m.heard, m.gap, m.gen = t.Has, t.Watts, t.Heard, t.Gap, t.Generation
		m.sampled, m.round, m.came, m.rose, m.over, m.staleAlert, m.overAlert = t.Sampled, t.Round, t.Came, t.Rose, t.Over, t.Stale, t.OverAlert
		m.last, m.counter, m.counted, m.since, m.same = t.Last, t.Counter, t.Counted, t.Since, t.Same
		m.stuck, m.stuckAlert = t.Stuck, t.StuckAlert
		m.epoch, m.sequence, m.suspect = t.Epoch, t.Sequence, t.Suspect
		d.touchMeter(m)
	}
	if err := d.restoreNodes(&s); err != nil {
		return err
	}
	if err := d.restoreMeterWork(&s.Proven); err != nil {
		return err
	}
	d.restoreJobs(&s)
	if err := d.restoreSignals(&s); err != nil {
		return err
	}
	root := d.root
	root.strange, root.strangeAlert = s.Strange, s.StrangeAlert
	for _, o := range s.Outlets {
		d.outlets[o.ID], d.switched = o, append(d.switched, o)
		d.touchOutlet(o)
	}
	parts := d.restoreParts(&s.Verification)
	for i := range s.Agents {
		d.restoreAgent(&s.Agents[i], parts)
	}
	if err := d.restoreUnitWork(&s.Proven); err != nil {
		return err
	}
	d.restoreWitnesses(&s.Verification)
	if d.site.known || d.quote.Raw.NBits != "" {
		d.hashSite()
	}
	d.joining = s.Joining
	d.waitAll()
	for _, m := range d.site.meters {
		d.unsaidStuck = d.unsaidStuck || m.stuck && !m.stuckAlert
	}
	d.rehash()
	return nil
}

func (n *node) state() nodeState {
	s := nodeState{Balance: n.balance, RestartUntil: n.restartUntil, SettleAt: n.settleAt, Rogue: n.rogue,
		Tokens: n.bucket.tokens, TokenCarry: n.bucket.carry, RefilledAt: n.bucket.refilledAt,
		DownUntil: n.downUntil, OffSince: n.offSince, OffAlert: n.offAlert, Said: n.said, Told: n.told, OwnAI: n.ownAI, Strange: n.strange, StrangeAlert: n.strangeAlert}
	if n.up != nil {
		l := n.learned()
		s.Envelope, s.Load, s.Learned = &n.env, &n.load, &l
	}
	return s
}

func (n *node) learned() learnedState {
	return learnedState{Step: n.step, Crests: n.crests, Held: n.wanted.held, Response: n.response, Told: n.told, Firms: n.firms, Raised: n.raised}
}

func (n *node) relearn(s *learnedState) {
	n.step, n.crests, n.wanted.held, n.response = s.Step, s.Crests, s.Held, s.Response
	n.told, n.firms, n.raised = s.Told, s.Firms, s.Raised
	for i := range n.firms {
		n.firms[i].restored()
	}
	n.step.restored()
}

// restoreNodes takes over the state of the nodes.
func (d *Dispatch) restoreNodes(s *snapshot) error {
	r := d.root
	r.env, r.load = s.Envelope, s.Load
	r.relearn(&s.Learned)
	r.balance = s.Balance
	r.restartUntil, r.settleAt, r.rogue = s.RestartUntil, s.SettleAt, s.Rogue
	r.downUntil, r.said = s.DownUntil, s.Said
	r.bucket = bucket{tokens: s.Tokens, carry: s.TokenCarry, refilledAt: s.RefilledAt}
	if d.site.tree && len(s.Nodes) != len(d.nodes) {
		return fmt.Errorf("dispatch snapshot holds %d nodes for a power tree of %d: fold the journal instead", len(s.Nodes), len(d.nodes))
	}
	for i := range s.Nodes {
		n, t := d.nodes[i], &s.Nodes[i]
		if n.up != nil && t.Envelope != nil && t.Load != nil {
			n.env, n.load = *t.Envelope, *t.Load
			if t.Learned != nil {
				n.relearn(t.Learned)
			}
		}
		n.balance, n.restartUntil, n.settleAt = t.Balance, t.RestartUntil, t.SettleAt
		n.rogue = t.Rogue
		n.bucket = bucket{tokens: t.Tokens, carry: t.TokenCarry, refilledAt: t.RefilledAt}
		n.downUntil = t.DownUntil
		n.offSince, n.offAlert, n.said, n.told, n.ownAI = t.OffSince, t.OffAlert, t.Said, t.Told, t.OwnAI
		n.strange, n.strangeAlert = t.Strange, t.StrangeAlert
		if n.up != nil {
			n.up.below.add(&n.told, 1)
		}
	}
	d.unranked, d.stepsChanged, d.fallsChanged = true, true, true
	for _, n := range d.nodes {
		n.env.rehash()
		d.mark(n)
		d.changed(n)
	}
	return nil
}

func (d *Dispatch) restoreAgent(s *agentState, parts map[uint64]*proof) {
	a := newAgent(s.ID)
	a.boot, a.counter, a.heard, a.gen = s.Boot, s.Counter, s.Heard, s.Generation
	a.renewed, a.renewedAt = s.Renewed, s.RenewedAt
	a.leaving, a.lost, a.leftAt, a.silentAlert = s.Leaving, s.Lost, s.LeftAt, s.SilentAlert
	d.agents[a.id] = a
	d.roster = append(d.roster, a)
	for _, t := range s.Units {
		u := &unit{id: t.ID, agent: a}
		u.learn(usableCaps(&t.Caps))
		u.homeAlert = t.HomeAlert
		var known bool
		u.node, known = d.home(u)
		u.homeless = !known
		d.place(u, t.Set)
		u.key, u.changedAt, u.counter = t.Key, t.ChangedAt, t.Counter
		u.lowering, u.raising, u.tries, u.inflight = t.Lowering, t.Raising, t.Tries, t.Inflight
		u.allow, u.due, u.fallBy = t.Allow, t.Due, t.FallBy
		u.held, u.heldUntil = t.Held, t.HeldUntil
		u.onSince, u.offSince, u.notBefore = t.OnSince, t.OffSince, t.NotBefore
		u.state, u.setpoint, u.power = t.State, t.Setpoint, t.Power
		u.applied, u.hasApplied, u.local = t.Applied, t.HasApplied, t.Local
		u.healthy, u.unhealthyAt, u.heard = t.Healthy, t.UnhealthyAt, t.Heard
		u.followAlert = t.FollowAlert
		if d.finish(u); t.Starting {
			u.starting = true
			d.add(u.node, books{starting: 1})
		}
		u.starts = t.Starts
		a.units = append(a.units, u)
		d.rank(u)
		d.meet(u, 1)
		if u.esc = t.Escalation; u.esc != nil && u.esc.Rung < rungPage {
			d.climbing++
		}
		d.bookAs(u, t.Overdue)
		u.part, u.asked, u.waiting = parts[t.Part], t.Asked, t.Waiting
		u.changed, u.risenBy = t.Changed, t.RisenBy
		if u.answers = parts[t.Answers]; u.answers != nil {
			u.answering = true
			d.answering = append(d.answering, u)
		}
		d.plug(u)
		d.fix(u, t.Fixed)
		d.touchUnit(u)
	}
	d.touchAgent(a)
}

// restoreSignals takes over the signals and what is known of their issuers.
func (d *Dispatch) restoreSignals(s *snapshot) error {
	for _, g := range s.Signals {
		d.keepSignal(g)
	}
	d.signals.folded = s.Folded
	d.signals.seen.restore(s.Seen)
	d.programmes = programmesOf(&d.site.raw)
	if len(d.programmes) != len(s.Programmes) {
		return fmt.Errorf("dispatch snapshot holds %d programmes for a configuration of %d: fold the journal instead", len(s.Programmes), len(d.programmes))
	}
	for i, p := range d.programmes {
		t := &s.Programmes[i]
		p.since, p.heard, p.heardWall, p.issued, p.quiet, p.alert = t.Since, t.Heard, t.HeardWall, t.Issued, t.Quiet, t.Alert
		d.entries += p.hash()
	}
	d.scheduleSignals()
	d.weighSignals()
	d.recheck = false
	return nil
}
