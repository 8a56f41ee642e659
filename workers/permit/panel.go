// SPDX-License-Identifier: Apache-2.0

package permit

import (
	"fmt"
	"math"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// DefaultMaxLease is the longest lease a worker honours, whatever it is
// granted.
const DefaultMaxLease = 15 * time.Second

// Spec describes one unit to its machine.
type Spec struct {
	// Unit id, unique in the panel.
	Unit string
	// FullWatts is what it draws at most; FailsafeWatts what it may draw
	// without a permit. W.
	FullWatts, FailsafeWatts int64
	// Levels above 0 W that it can hold, rising, the last one FullWatts: a
	// setpoint between two of them is rounded down. Empty for a unit that holds
	// any power. W.
	Levels []int64
}

// Config of a Panel.
type Config struct {
	// Agent is the id to which messages are addressed.
	Agent string
	// Boot is the id of this start of the agent.
	Boot string
	// MaxLease bounds every lease; default DefaultMaxLease.
	MaxLease time.Duration
}

// Panel holds the machines of one agent's units and folds the agent's messages
// into them.
type Panel struct {
	cfg      Config
	ids      []string
	index    map[string]int
	machines []Machine
	ledger   *Ledger
	// next is a lower bound of the ends of all leases.
	next Instant

	// Result of the present fold; the backing arrays are reused.
	out  Outcome
	mark []uint8 // per unit: in out.Changed, in out.Telling
}

// Bits of Panel.mark.
const (
	markChanged = 1 << iota
	markTelling
)

// Outcome is what one message did. The slices hold indices of units, without
// repetition, and are valid until the next call.
type Outcome struct {
	// Changed units have another setpoint: drive them.
	Changed []int
	// Telling units have news for a status.
	Telling []int
	// Refused counts units by refusal; Refused[Obeyed] those that obeyed.
	Refused [refusals]int
	// Unknown counts units of the message that are not in the panel.
	Unknown int
	// Foreign: the message names another agent or another boot and was not
	// looked at.
	Foreign bool
}

// NewPanel returns a panel whose units are all in state boot, in the order of
// specs.
func NewPanel(cfg Config, specs []Spec) (*Panel, error) {
	if cfg.MaxLease == 0 {
		cfg.MaxLease = DefaultMaxLease
	}
	if cfg.MaxLease < 0 {
		return nil, fmt.Errorf("permit panel of %s: longest lease %s is negative", cfg.Agent, cfg.MaxLease)
	}
	p := &Panel{
		cfg:      cfg,
		ids:      make([]string, len(specs)),
		index:    make(map[string]int, len(specs)),
		machines: make([]Machine, len(specs)),
		ledger:   NewLedger(cfg.MaxLease),
		next:     math.MaxInt64,
		mark:     make([]uint8, len(specs)),
	}
	// Nearly always one decider speaks: its place comes from one slab.
	slab := make([]origin, len(specs))
	for i, s := range specs {
		if _, twice := p.index[s.Unit]; twice {
			return nil, fmt.Errorf("permit panel of %s: unit %q is listed twice", cfg.Agent, s.Unit)
		}
		p.ids[i], p.index[s.Unit] = s.Unit, i
		p.machines[i] = NewMachine(s.FullWatts, s.FailsafeWatts)
		p.machines[i].origins = slab[i : i : i+1]
		p.machines[i].Hold(s.Levels)
	}
	return p, nil
}

// Len is the number of units.
func (p *Panel) Len() int { return len(p.machines) }

// Unit is the id of unit i.
func (p *Panel) Unit(i int) string { return p.ids[i] }

// Index returns the place of a unit, and false when there is none of that id.
func (p *Panel) Index(unit string) (int, bool) {
	i, ok := p.index[unit]
	return i, ok
}

// Machine returns the machine of unit i, to look at.
func (p *Panel) Machine(i int) *Machine { return &p.machines[i] }

// Setpoint of unit i as of the last fold, W.
func (p *Panel) Setpoint(i int) int64 { return p.machines[i].Setpoint() }

// Next is the instant by which Tick must be called, and false when no lease
// lives. It may be early, never late.
func (p *Panel) Next() (Instant, bool) { return p.next, p.next != math.MaxInt64 }

// Send notes that a status speaking of these units leaves now, and returns its
// counter. Call it before the status is handed to the network: a lease counted
// from an instant too early is only shorter.
func (p *Panel) Send(now Instant, units []int) uint64 {
	counter := p.ledger.Send(now)
	for _, i := range units {
		p.machines[i].Told(counter)
	}
	return counter
}

// Describe fills in what the machine of unit i knows of its status: id, state,
// setpoint, applied command, lease, local limit, and why it draws less than it
// could. What the driver measured must be there already: a unit that may draw
// its full power and is not healthy names itself as the reason.
func (p *Panel) Describe(now Instant, i int, s *events.UnitStatus) {
	m := &p.machines[i]
	s.Unit, s.State, s.SetpointWatts = p.ids[i], m.State(), m.Setpoint()
	s.Applied, s.LocalLimitWatts, s.LeaseMilliseconds = nil, nil, 0
	s.Reason, s.SignalID = m.cause.Reason, m.cause.SignalID
	if s.Reason == "" && m.setpoint == m.full && !s.Healthy {
		s.Reason = events.ReasonWorker
	}
	if key, ok := m.Applied(); ok {
		s.Applied = &key
	}
	if end, live := m.Lease(); live && end > now {
		s.LeaseMilliseconds = end.Sub(now).Milliseconds()
	}
	if watts, ok := m.Local(); ok {
		s.LocalLimitWatts = &watts
	}
}

// Curtail folds a reduction for this agent, or a broadcast.
func (p *Panel) Curtail(now Instant, c *events.CommandCurtail) Outcome {
	p.begin()
	if c.Agent != "" && c.Agent != p.cfg.Agent {
		p.out.Foreign = true
		return p.out
	}
	why := Cause{c.Reason, c.SignalID}
	if c.AllUnitsWatts != nil {
		for i := range p.machines {
			p.note(i, p.machines[i].Curtail(now, c.Decider, c.Key, *c.AllUnitsWatts, why))
		}
	}
	for _, u := range c.Units {
		if i, ok := p.find(u.Unit); ok {
			p.note(i, p.machines[i].Curtail(now, c.Decider, c.Key, u.SetpointWatts, why))
		}
	}
	return p.out
}

// Ramp folds a raise. wall is the present time of day, for valid_until; stored
// is true when the message came from the stream.
func (p *Panel) Ramp(now Instant, wall time.Time, stored bool, r *events.CommandRamp) Outcome {
	p.begin()
	if r.Agent != p.cfg.Agent || r.BootID != p.cfg.Boot {
		p.out.Foreign = true
		return p.out
	}
	g := Grant{
		Decider: r.Decider, Key: r.Key, Counter: r.Counter,
		Expires: p.lease(r.Counter, r.LeaseMilliseconds),
		Stored:  stored, InTime: !wall.After(r.ValidUntil), Cause: Cause{r.Reason, r.SignalID},
	}
	for _, u := range r.Units {
		if i, ok := p.find(u.Unit); ok {
			g.Watts = u.SetpointWatts
			p.note(i, p.machines[i].Ramp(now, g))
			p.watch(i)
		}
	}
	return p.out
}

// Renew folds a renewal. One that names another boot is not looked at: its
// setpoints are those of units that no longer are.
func (p *Panel) Renew(now Instant, r *events.PermitRenewed) Outcome {
	p.begin()
	if r.BootID != p.cfg.Boot {
		p.out.Foreign = true
		return p.out
	}
	g := Grant{
		Decider: r.Decider, Key: r.Key, Counter: r.Counter,
		Expires: p.lease(r.Counter, r.LeaseMilliseconds),
	}
	for _, u := range r.Units {
		if i, ok := p.find(u.Unit); ok {
			g.Watts = u.SetpointWatts
			p.note(i, p.machines[i].Renew(now, g))
			p.watch(i)
		}
	}
	return p.out
}

// Limit sets the limit of a person on site for unit i, W.
func (p *Panel) Limit(now Instant, i int, watts int64) Outcome {
	p.begin()
	p.note(i, p.machines[i].Limit(now, watts))
	return p.out
}

// Unlimit lifts the limit of a person on site for unit i.
func (p *Panel) Unlimit(now Instant, i int) Outcome {
	p.begin()
	p.note(i, p.machines[i].Unlimit(now))
	return p.out
}

// Tick ends the leases that are over.
func (p *Panel) Tick(now Instant) Outcome {
	p.begin()
	if now < p.next {
		return p.out
	}
	p.next = math.MaxInt64
	for i := range p.machines {
		p.note(i, p.machines[i].Tick(now))
		p.watch(i)
	}
	return p.out
}

// lease returns the end of a lease, or 0 when there is none.
func (p *Panel) lease(counter uint64, milliseconds int64) Instant {
	if milliseconds <= 0 {
		return 0
	}
	sent, ok := p.ledger.Sent(counter)
	if !ok {
		return 0
	}
	lease := p.cfg.MaxLease
	if milliseconds < lease.Milliseconds() {
		lease = time.Duration(milliseconds) * time.Millisecond
	}
	return sent.Add(lease)
}

// watch lowers the bound on the next end of a lease.
func (p *Panel) watch(i int) {
	if end, live := p.machines[i].Lease(); live {
		p.next = min(p.next, end)
	}
}

// begin empties the result of the fold before.
func (p *Panel) begin() {
	for _, i := range p.out.Changed {
		p.mark[i] = 0
	}
	for _, i := range p.out.Telling {
		p.mark[i] = 0
	}
	p.out = Outcome{Changed: p.out.Changed[:0], Telling: p.out.Telling[:0]}
}

func (p *Panel) find(unit string) (int, bool) {
	i, ok := p.index[unit]
	if !ok {
		p.out.Unknown++
	}
	return i, ok
}

func (p *Panel) note(i int, e Effect) {
	p.out.Refused[e.Refused]++
	if e.Changed && p.mark[i]&markChanged == 0 {
		p.mark[i] |= markChanged
		p.out.Changed = append(p.out.Changed, i)
	}
	if e.Telling && p.mark[i]&markTelling == 0 {
		p.mark[i] |= markTelling
		p.out.Telling = append(p.out.Telling, i)
	}
}
