// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"slices"

	"github.com/ballast-energy/ballast/events"
)

// readOutlet reads "ID by CONTROLLER feeds AGENT [unit U]".
func readOutlet(w *words, c *events.SiteConfig) error {
	var o events.OutletConfig
	var err error
	if o.Outlet, err = w.word("the id of an outlet"); err != nil {
		return err
	}
	if err = w.need("by"); err != nil {
		return err
	}
	if o.Controller, err = w.word("the id of its controller"); err != nil {
		return err
	}
	if err = w.need("feeds"); err != nil {
		return err
	}
	if o.Agent, err = w.word("the id of an agent"); err != nil {
		return err
	}
	if w.take("unit") {
		if o.Unit, err = w.word("the id of a unit"); err != nil {
			return err
		}
	}
	c.Outlets = append(slices.Clone(c.Outlets), o)
	return nil
}

// controller of outlets in the story.
type controller struct {
	// fails with this error; idle: it says that it switched and does not.
	fails string
	idle  bool
	keys  map[string]events.OrderKey
}

// readController reads "C follows | switches nothing | fails because TEXT".
func readController(w *words) (action, error) {
	id, err := w.word("the id of a controller")
	if err != nil {
		return nil, err
	}
	c := controller{}
	switch {
	case w.take("follows"):
	case w.take("switches", "nothing"):
		c.idle = true
	case w.take("fails", "because"):
		if c.fails, err = w.word("an error in quotes"); err != nil {
			return nil, err
		}
	default:
		return nil, w.errorf("a controller follows, switches nothing, or fails because \"TEXT\"; not %q", w.peek())
	}
	return func(p *player) error {
		is := c
		is.keys = make(map[string]events.OrderKey)
		if was := p.controllers[id]; was != nil {
			is.keys = was.keys
		}
		p.controllers[id] = &is
		return nil
	}, nil
}

// readOperator reads "switches outlet ID on|off [because TEXT]".
func readOperator(w *words) (action, error) {
	if err := w.need("switches"); err != nil {
		return nil, err
	}
	if err := w.need("outlet"); err != nil {
		return nil, err
	}
	id, err := w.word("the id of an outlet")
	if err != nil {
		return nil, err
	}
	r := &events.OutletRequested{Outlet: id, Off: w.take("off")}
	if !r.Off {
		if err := w.need("on"); err != nil {
			return nil, err
		}
	}
	if w.take("because") {
		if r.Reason, err = w.word("a reason in quotes"); err != nil {
			return nil, err
		}
	}
	return func(p *player) error { return p.publish(events.OperatorSource, r) }, nil
}

// switchOutlet lets the controller of an outlet carry a command out.
func (p *player) switchOutlet(k *events.CommandOutlet) {
	p.later(travel, func(p *player) error {
		c := p.controllers[k.Controller]
		if c == nil {
			return nil
		}
		st := &events.OutletStatus{Outlet: k.Outlet, State: events.OutletUnknown, Error: c.fails}
		if c.fails == "" && k.Key.Compare(c.keys[k.Outlet]) >= 0 {
			c.keys[k.Outlet] = k.Key
			key := k.Key
			st.Applied, st.State = &key, events.OutletOn
			if k.Off {
				st.State = events.OutletOff
			}
			if !c.idle {
				p.power(k.Outlet, k.Off)
			}
		}
		return p.publish(k.Controller, st)
	})
}

// power takes the power from what an outlet feeds, or gives it back.
func (p *player) power(outlet string, off bool) {
	for _, o := range p.config.Outlets {
		r := p.rigs[o.Agent]
		if o.Outlet != outlet || r == nil {
			continue
		}
		for _, u := range r.units {
			if o.Unit != "" && o.Unit != u.id {
				continue
			}
			if u.dark = off; off {
				u.power = 0
			}
		}
	}
	p.observe()
}
