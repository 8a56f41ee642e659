// SPDX-License-Identifier: Apache-2.0

package dispatch

import "github.com/ballast-energy/ballast/events"

// inForce is what the live signals together say of the whole site at this
// moment.
type inForce struct {
	// setpointRank is the best precedence of a setpoint in force anywhere, 9
	// for none.
	setpointRank int
	// price in force and its rank, when priced.
	priced    bool
	price     int64
	priceRank int
	// permits stands for the setpoints in force and where.
	permits uint64
}

func nothingInForce() inForce {
	return inForce{setpointRank: 9, priceRank: events.PrecedenceEconomics.Rank()}
}

// ceilings are what the signals in force say of one node.
type ceilings struct {
	// mining and total are the lowest limits on mining beneath the node and on
	// all that flows through it; nil for none.
	mining, total *signal
	// setpointRank is the best precedence of a setpoint in force, 9 for none.
	setpointRank int
	// soon is what announced reductions will leave for mining, W; −1 while
	// none of them is near.
	soon int64
}

func noCeilings() ceilings { return ceilings{setpointRank: 9, soon: -1} }

// weighSignals works out what the live signals together say: at every node the
// lowest limit rules; among equal limits precedence, then priority, then age
// names the one that binds.
func (d *Dispatch) weighSignals() {
	st := &d.signals
	for _, n := range st.bound {
		n.sig.mining, n.sig.total, n.sig.setpointRank = nil, nil, 9
	}
	was := st.now
	st.now, st.bound, st.unbound = nothingInForce(), st.unbound[:0], st.bound
	var price *signal
	astray := false
	for _, s := range st.live {
		astray = astray || s.astray()
		if !s.Active {
			continue
		}
		if isPrice(s.Kind) {
			if price == nil || betterPrice(s, price) {
				price = s
			}
			continue
		}
		if s.Course.Level < 0 {
			continue
		}
		n := s.at
		if n.sig.mining == nil && n.sig.total == nil {
			st.bound = append(st.bound, n)
		}
		if into := n.sig.of(s); *into == nil || lowerLimit(s, *into) {
			*into = s
		}
		if s.Kind == events.SignalSetpoint && !s.Course.Recovering && d.wall >= s.Start {
			n.sig.setpointRank = min(n.sig.setpointRank, s.Rank)
			st.now.setpointRank = min(st.now.setpointRank, s.Rank)
			st.now.permits += mix2(n.idHash, uint64(s.Rank))
		}
	}
	if price != nil {
		st.now.priced, st.now.price, st.now.priceRank = true, price.Price, price.Rank
	}
	// Whether a unit pays depends on these alone.
	d.recheck = d.recheck || st.now != was
	d.judgePlaces(astray)
}

// of is the limit that s is one of.
func (c *ceilings) of(s *signal) **signal {
	if s.Total {
		return &c.total
	}
	return &c.mining
}

// lookBound works out the load anew of every node for which signals said or say
// something.
func (d *Dispatch) lookBound() {
	for _, n := range d.signals.unbound {
		d.lookUp(n, false)
	}
	for _, n := range d.signals.bound {
		d.lookUp(n, false)
	}
}

// locate finds the node that s is about. One that is not known counts as the
// point of connection: the reduction is the larger one.
func (d *Dispatch) locate(s *signal) {
	s.at = d.root
	if s.Node != "" {
		if n := d.site.nodeByID[s.Node]; n != nil {
			s.at = n
		}
	}
}

// relocate takes the programmes and nodes of a new configuration: signals that
// are live keep what their programme said when they came.
func (d *Dispatch) relocate(c *events.SiteConfig) {
	st := &d.signals
	st.bound, st.unbound, st.ahead = nil, nil, nil
	for _, s := range st.live {
		d.locate(s)
	}
	d.adoptProgrammes(c)
	d.runSignals()
}

// astray reports whether the node that s is about is not known.
func (s *signal) astray() bool { return s.Node != "" && s.at.up == nil }

// judgePlaces raises or clears the alert about signals for nodes that are not
// known.
func (d *Dispatch) judgePlaces(astray bool) {
	if astray {
		d.raiseAlert(&d.alarms.Astray, &d.astray, alarmAstray, "node", events.SeverityWarning,
			"a grid signal or programme is about a node that the power tree does not have: it counts at the point of connection, for the whole site",
			"list the node in site.config, or correct the node of the signal or programme")
		return
	}
	d.clearAlert(&d.alarms.Astray, &d.astray, alarmAstray, "node", "the nodes of all signals are known")
}

// lookAhead works out what reductions that are near will leave for mining: a
// unit that they would stop within its minimum on-time, or within the time that
// it takes to boot, is not started.
func (d *Dispatch) lookAhead() {
	d.measureSteps()
	st := &d.signals
	for _, n := range st.ahead {
		n.sig.soon = -1
	}
	st.ahead = st.ahead[:0]
	horizon := max(d.site.minOn, d.longestBoot)
	for _, s := range st.live {
		c := &s.Course
		near := !s.Active && c.Begin-d.wall < horizon || c.falls() && c.ToAt-d.now < horizon
		if !near || isPrice(s.Kind) || s.Kind == events.SignalRestore {
			continue
		}
		n := s.at
		w := s.Watts
		if c.Shed && !s.Active {
			w = n.setSum - c.Asked
		}
		if s.Total {
			w -= n.load.AI + n.load.House + n.load.Reserve
		}
		if w = max(w, 0); n.sig.soon < 0 {
			st.ahead = append(st.ahead, n)
			n.sig.soon = w
		}
		n.sig.soon = min(n.sig.soon, w)
	}
}

// soonRoom is how much more than it has u, which does not hash, may be started
// with for the sake of reductions that are near.
func (d *Dispatch) soonRoom(u *unit) int64 {
	room := never / 2
	if len(d.signals.ahead) == 0 {
		return room
	}
	for n := u.node; n != nil; n = n.up {
		if n.sig.soon >= 0 {
			room = min(room, n.sig.soon-n.setSum)
		}
	}
	return room
}

// lowerLimit reports whether a binds rather than b.
func lowerLimit(a, b *signal) bool {
	if a.Course.Level != b.Course.Level {
		return a.Course.Level < b.Course.Level
	}
	return outranks(a, b)
}

func outranks(a, b *signal) bool {
	if a.Rank != b.Rank {
		return a.Rank < b.Rank
	}
	if a.Priority != b.Priority {
		return a.Priority < b.Priority
	}
	return a.Order < b.Order
}

// betterPrice reports whether a is the price rather than b: precedence, then
// priority, then the newer one.
func betterPrice(a, b *signal) bool {
	if a.Rank != b.Rank {
		return a.Rank < b.Rank
	}
	if a.Priority != b.Priority {
		return a.Priority < b.Priority
	}
	return newerPrice(a, b)
}

func reasonOf(k events.SignalKind) events.Reason {
	switch k {
	case events.SignalStop:
		return events.ReasonStop
	case events.SignalEmergency:
		return events.ReasonEmergency
	case events.SignalSetpoint:
		return events.ReasonGridSetpoint
	}
	return events.ReasonGridCurtail
}
