// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"
	"strings"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

const (
	// maxOutlets that are off or on their way there.
	maxOutlets = 4096
	// outletAgain is when a command for an outlet is repeated that its
	// controller has not confirmed, outletTries how often it is sent.
	outletAgain = 3 * second
	outletTries = 20
)

// outlet is one that dispatch has switched: it stays until the controller has
// confirmed that it is on again. What cut it is gone from here by then, its
// agent perhaps forgotten; nothing switches it on but a person.
type outlet struct {
	ID         string              `json:"outlet"`
	Controller string              `json:"controller"`
	Agent      string              `json:"agent,omitempty"`
	Unit       string              `json:"unit,omitempty"`
	Off        bool                `json:"off"`
	Reason     events.OutletReason `json:"reason"`
	// Key and At (elapsed ns) of the newest command, Tries of this order.
	Key   events.OrderKey `json:"key"`
	At    int64           `json:"at"`
	Tries int64           `json:"tries"`
	// Done: the controller has confirmed it, at DoneAt. Error is its last word
	// where it could not.
	Done   bool   `json:"done,omitempty"`
	DoneAt int64  `json:"done_at,omitempty"`
	Error  string `json:"error,omitempty"`
	// Alert: people were told that the controller does not confirm.
	Alert bool `json:"alert,omitempty"`

	send bool // in the present fold
	h    uint64
}

func (o *outlet) hash() uint64 {
	var g digest
	g.text(o.ID)
	g.text(o.Controller)
	g.text(o.Agent)
	g.text(o.Unit)
	g.text(string(o.Reason))
	g.key(o.Key)
	g.int(o.At)
	g.int(o.Tries)
	g.int(o.DoneAt)
	g.text(o.Error)
	g.bool(o.Off)
	g.bool(o.Done)
	g.bool(o.Alert)
	return g.sum()
}

func (d *Dispatch) touchOutlet(o *outlet) {
	h := o.hash()
	d.entries += h - o.h
	o.h = h
}

// plug finds the outlet of u in the configuration.
func (d *Dispatch) plug(u *unit) {
	c := d.site.outletOf[fed{u.agent.id, u.id}]
	if c == nil {
		c = d.site.outletOf[fed{agent: u.agent.id}]
	}
	u.outlet = ""
	if c != nil {
		u.outlet = c.Outlet
	}
	d.barCut(u)
}

// fed names a unit of an agent, or all of them.
type fed struct{ agent, unit string }

// wire reads which outlet feeds whom.
func (s *settings) wire(c *events.SiteConfig) {
	if len(c.Outlets) == 0 {
		return
	}
	s.outletOf = make(map[fed]*events.OutletConfig, len(c.Outlets))
	s.controllerOf = make(map[string]string, len(c.Outlets))
	for i := range s.raw.Outlets {
		o := &s.raw.Outlets[i]
		if k := (fed{o.Agent, o.Unit}); s.outletOf[k] == nil {
			s.outletOf[k] = o
		}
		if s.controllerOf[o.Outlet] == "" {
			s.controllerOf[o.Outlet] = o.Controller
		}
	}
}

// barCut notes whether the outlet of u is off: then u gets no permit.
func (d *Dispatch) barCut(u *unit) {
	o := d.outlets[u.outlet]
	u.cut = u.outlet != "" && o != nil && o.Off
}

// cut switches the outlet of u off. Whatever else it feeds loses its power, too.
func (d *Dispatch) cut(u *unit) {
	if u.outlet == "" {
		return
	}
	o := d.switchOutlet(u.outlet, true, events.OutletNotFollowing)
	if o == nil {
		return // there are more than can be: people are called
	}
	if o.Agent == "" && !d.sharedOutlet(u) {
		o.Agent, o.Unit = u.agent.id, u.id
	}
	d.touchOutlet(o)
}

// sharedOutlet reports whether the outlet of u feeds others, too.
func (d *Dispatch) sharedOutlet(u *unit) bool {
	for _, o := range d.order {
		if o != u && o.outlet == u.outlet {
			return true
		}
	}
	return false
}

// switchOutlet orders an outlet off or on, and returns nil when it is not known
// who controls it or too many are off.
func (d *Dispatch) switchOutlet(id string, off bool, why events.OutletReason) *outlet {
	o := d.outlets[id]
	if o == nil {
		controller := d.site.controllerOf[id]
		if controller == "" {
			return nil
		}
		if len(d.outlets) >= maxOutlets {
			return nil
		}
		o = &outlet{ID: strings.Clone(id), Controller: strings.Clone(controller)}
		d.outlets[o.ID] = o
		i, _ := slices.BinarySearchFunc(d.switched, o.ID, func(x *outlet, id string) int { return strings.Compare(x.ID, id) })
		d.switched = slices.Insert(d.switched, i, o)
	} else if o.Off && off {
		return o // it is off, or told so
	}
	o.Off, o.Reason = off, why
	o.Done, o.Error, o.Tries = false, "", 0
	o.send = true
	d.barOutlet(o)
	d.touchOutlet(o)
	return o
}

// barOutlet lowers what hangs on an outlet that goes off, and bars it.
func (d *Dispatch) barOutlet(o *outlet) {
	for _, u := range d.order {
		if u.outlet != o.ID {
			continue
		}
		d.barCut(u)
		if u.cut && u.set > 0 && !u.fixed {
			d.lower(u, 0, events.ReasonWorker)
		}
	}
}

// outletFailed reports whether the controller of u's outlet says that it cannot
// switch it.
func (d *Dispatch) outletFailed(u *unit) bool {
	o := d.outlets[u.outlet]
	return o == nil || o.Error != ""
}

// onOutletStatus folds what the controller of an outlet says.
func (d *Dispatch) onOutletStatus(source string, s *events.OutletStatus) {
	o := d.outlets[s.Outlet]
	if o == nil || o.Controller != source {
		return
	}
	wanted := events.OutletOn
	if o.Off {
		wanted = events.OutletOff
	}
	carried := s.Applied != nil && s.Applied.Compare(o.Key) >= 0 && o.Key != (events.OrderKey{})
	switch {
	case s.State == wanted && carried && s.Error == "":
		if !o.Done {
			o.Done, o.DoneAt = true, d.now
		}
		o.Error = ""
		d.clearAlert(&d.alarms.Outlet, &o.Alert, alarmOutlet, o.ID, "the controller has switched the outlet")
		if !o.Off {
			d.forgetOutlet(o)
			return
		}
	case o.Done && s.State != wanted:
		// It was switched by somebody else: it is told again.
		o.Done, o.Tries = false, 0
	case s.Error != "":
		o.Error = strings.Clone(s.Error[:min(len(s.Error), 256)])
		d.unescalated = true
	}
	d.touchOutlet(o)
}

func (d *Dispatch) forgetOutlet(o *outlet) {
	d.entries -= o.h
	delete(d.outlets, o.ID)
	i, _ := slices.BinarySearchFunc(d.switched, o.ID, func(x *outlet, id string) int { return strings.Compare(x.ID, id) })
	d.switched = slices.Delete(d.switched, i, i+1)
	for _, u := range d.order {
		if u.outlet == o.ID {
			d.barCut(u)
		}
	}
}

// onOutletRequest carries out what a person asks for an outlet, once.
func (d *Dispatch) onOutletRequest(e *events.Event, r *events.OutletRequested) {
	if e.Source != events.OperatorSource || d.signals.seen.add(e.Source, "outlet "+e.ID) {
		return
	}
	d.switchOutlet(r.Outlet, r.Off, events.OutletOperator)
	d.joining = d.joining || !r.Off
}

// visitOutlets repeats commands that no controller has confirmed.
func (d *Dispatch) visitOutlets() {
	for _, o := range d.switched {
		if o.Done || o.send || d.now-o.At < outletAgain {
			continue
		}
		if o.Tries >= outletTries {
			severity, remedy := events.SeverityWarning, "switch it on by hand, or look at its controller and order it again with ballast outlet on"
			if o.Off {
				severity, remedy = events.SeverityCritical, "look at the controller and its connection to the bus; what the outlet feeds may still draw"
			}
			d.raiseAlert(&d.alarms.Outlet, &o.Alert, alarmOutlet, o.ID, severity,
				"the controller of the outlet does not confirm that it was switched", remedy)
			d.touchOutlet(o)
			continue
		}
		o.send = true
	}
}

// writeOutlets writes the commands for outlets of this fold.
func (d *Dispatch) writeOutlets(e *events.Event, out *decider.Outbox) {
	arrived := e.Arrived.UTC()
	for _, o := range d.switched {
		if !o.send {
			continue
		}
		o.send = false
		o.Key, o.At = out.Key(), d.now
		o.Tries++
		out.Put(o.Controller, &events.CommandOutlet{Decider: Name, Key: o.Key, Controller: o.Controller, Outlet: o.ID, Off: o.Off,
			Agent: o.Agent, Unit: o.Unit, Reason: o.Reason, IssuedAt: arrived, ValidUntil: arrived.Add(validFor)})
		d.touchOutlet(o)
	}
}
