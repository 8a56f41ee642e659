// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Why is why mining beneath a node is at the power it is at, as of the last
// event folded. All W, and exact:
//
//	nameplate − all that is held back = permitted
//	permitted − not drawn + overdrawn = reported
//	reported + unreported = mining
type Why struct {
	// Node asked about, events.RootNode for the whole site; At the arrival of
	// the last event, TickSecond of the last tick.
	Node       string    `json:"node"`
	At         time.Time `json:"at"`
	TickSecond int64     `json:"tick_second"`
	// NameplateWatts of all units beneath the node, so many Units.
	NameplateWatts int64 `json:"nameplate_watts"`
	Units          int64 `json:"units"`
	// Held is what keeps setpoints below nameplates, the most power first, as
	// if room and budget were handed out at this moment.
	Held []events.HeldBack `json:"held"`
	// PermittedWatts is the sum of the setpoints.
	PermittedWatts int64 `json:"permitted_watts"`
	// NotDrawnWatts are permitted and not drawn (machines that boot or idle);
	// OverdrawnWatts are drawn above setpoints (on the way down, or against
	// the rules).
	NotDrawnWatts  int64 `json:"not_drawn_watts"`
	OverdrawnWatts int64 `json:"overdrawn_watts"`
	// ReportedWatts is what the agents say that units draw.
	ReportedWatts int64 `json:"reported_watts"`
	// UnreportedWatts is what the mining meters of the node see beyond that,
	// negative where they see less, 0 where none is believed (Metered false).
	UnreportedWatts int64 `json:"unreported_watts"`
	Metered         bool  `json:"metered"`
	// MiningWatts now: as metered, else as reported.
	MiningWatts int64 `json:"mining_watts"`
	// Nodes: the balance of the node and of what feeds it; Readings that the
	// node's load rests on, and how many are not listed; Signals in force, and
	// how many are not.
	Nodes           []events.NodeBalance   `json:"nodes"`
	Readings        []events.ReadingUsed   `json:"readings,omitempty"`
	ReadingsOmitted int64                  `json:"readings_omitted,omitempty"`
	Signals         []events.SignalInForce `json:"signals,omitempty"`
	SignalsOmitted  int64                  `json:"signals_omitted,omitempty"`
	// Config and Quote in force, nil for none.
	Config *events.JournalPlace `json:"config,omitempty"`
	Quote  *events.JournalPlace `json:"quote,omitempty"`
	// EnergyPriceMicrousdPerMWh in force where economics decides; nil where it
	// does not.
	EnergyPriceMicrousdPerMWh *int64 `json:"energy_price_microusd_per_mwh,omitempty"`
}

// UnitWhy is why one unit is permitted what it is.
type UnitWhy struct {
	// Agent, Unit and the Node it hangs on.
	Agent string `json:"agent"`
	Unit  string `json:"unit"`
	Node  string `json:"node"`
	// MillijoulesPerTerahash; 0 is unknown. Rank in merit order, from 1.
	MillijoulesPerTerahash int64 `json:"millijoules_per_terahash"`
	Rank                   int   `json:"rank"`
	// NameplateWatts less Held are SetpointWatts; PowerWatts as reported. W.
	NameplateWatts int64             `json:"nameplate_watts"`
	Held           []events.HeldBack `json:"held"`
	SetpointWatts  int64             `json:"setpoint_watts"`
	PowerWatts     int64             `json:"power_watts"`
	// Key of the command that gave the setpoint; nil before the first.
	Key *events.OrderKey `json:"key,omitempty"`
	// State of its permit as reported, RevenueMicrousdPerMWh of what it earns
	// where a quote is known.
	State                 events.PermitState `json:"state"`
	Healthy               bool               `json:"healthy"`
	RevenueMicrousdPerMWh *int64             `json:"revenue_microusd_per_mwh,omitempty"`
}

// lookNode finds a node by its id; empty is the point of connection.
func (d *Dispatch) lookNode(id string) (*node, error) {
	if id == "" || id == events.RootNode {
		return d.root, nil
	}
	if n := d.site.nodeByID[id]; n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("no node %q in the power tree of the site's configuration, which has %d below the point of connection", id, len(d.nodes)-1)
}

// Why explains the power of mining beneath a node; an empty id is the whole
// site. It changes nothing that can influence what is decided, and fails only
// for a node that is not there.
func (d *Dispatch) Why(id string) (*Why, error) {
	n, err := d.lookNode(id)
	if err != nil {
		return nil, err
	}
	w := &Why{Node: n.id, At: time.Unix(0, d.wall).UTC(), TickSecond: d.tickSecond, Held: d.allHeld(n), Nodes: d.balances(n)}
	for _, u := range d.order {
		if u.node != n && !u.node.beneath(n) {
			continue
		}
		w.Units++
		w.NameplateWatts += u.caps.NameplateWatts
		w.PermittedWatts += u.set
		w.ReportedWatts += u.power
		w.NotDrawnWatts += max(u.set-u.power, 0)
		w.OverdrawnWatts += max(u.power-u.set, 0)
	}
	w.MiningWatts = w.ReportedWatts
	if n.load.Mining >= 0 {
		w.Metered, w.MiningWatts = true, n.load.Mining
		w.UnreportedWatts = w.MiningWatts - w.ReportedWatts
	}
	ss := d.spaces()
	for i, a := 0, n; i < len(w.Nodes); i, a = i+1, a.up {
		w.Nodes[i].StrayWatts = ss[a.index].stray
	}
	w.Readings, w.ReadingsOmitted = d.readingsAt(n, nil)
	w.Signals, w.SignalsOmitted = d.signalsInForce()
	w.Config, w.Quote = d.sources()
	if d.site.economics {
		p := d.energyPrice()
		w.EnergyPriceMicrousdPerMWh = &p
	}
	return w, nil
}

// WhyUnits explains every unit beneath a node, in merit order; an empty id is
// the whole site. Like Why it changes nothing.
func (d *Dispatch) WhyUnits(id string) ([]UnitWhy, error) {
	n, err := d.lookNode(id)
	if err != nil {
		return nil, err
	}
	rank := make(map[*unit]int, len(d.order))
	for i, u := range d.order {
		rank[u] = i + 1
	}
	var out []UnitWhy
	d.holds(d.spaces(), n, func(u *unit, parts []hold) {
		w := UnitWhy{Agent: u.agent.id, Unit: u.id, Node: u.node.id, MillijoulesPerTerahash: u.caps.MillijoulesPerTerahash,
			Rank: rank[u], NameplateWatts: u.caps.NameplateWatts, SetpointWatts: u.set, PowerWatts: u.power,
			State: u.state, Healthy: u.healthy, Held: make([]events.HeldBack, 0, len(parts))}
		for _, p := range parts {
			h := events.HeldBack{By: p.by, Units: 1, Watts: p.watts}
			if p.node != nil {
				h.Node = p.node.id
			}
			if p.by == holdRoom {
				h.By = string(p.node.load.Reason)
			}
			w.Held = append(w.Held, h)
		}
		if u.key != (events.OrderKey{}) {
			k := u.key
			w.Key = &k
		}
		if d.quote.Known {
			r := d.quote.revenue(u.caps.MillijoulesPerTerahash)
			w.RevenueMicrousdPerMWh = &r
		}
		out = append(out, w)
	})
	return out, nil
}

// sources are the places of the configuration and of the quote in force.
func (d *Dispatch) sources() (config, quote *events.JournalPlace) {
	if d.site.known {
		config = &events.JournalPlace{Epoch: d.site.epoch, Sequence: d.site.sequence}
	}
	if d.site.economics && d.quote.Known {
		quote = &events.JournalPlace{Epoch: d.quote.Epoch, Sequence: d.quote.Sequence}
	}
	return config, quote
}
