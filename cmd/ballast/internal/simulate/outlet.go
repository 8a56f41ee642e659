// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// Times of a controller of outlets.
const (
	// switchTime is how long an outlet takes to switch.
	switchTime = 200 * time.Millisecond
	// outletStatusEvery is how often a controller repeats what it has done.
	outletStatusEvery = 30 * time.Second
)

// Switch is what an operator asks for an outlet at a time.
type Switch struct {
	At     time.Duration
	Outlet string
	Off    bool
}

// String is the request as a scenario writes it.
func (s *Switch) String() string {
	to := "on"
	if s.Off {
		to = "off"
	}
	return fmt.Sprintf("at %s operator switches outlet %s %s", s.At, s.Outlet, to)
}

// controller of outlets: a model of workers/outlet.
type controller struct {
	w     *world
	name  string
	link  *link
	fault FaultKind
	// troubled is until when something is or was lately wrong with it.
	troubled time.Duration
	sockets  []*socket
	decoder  events.Decoder
}

// socket is one outlet, with what its controller knows of it.
type socket struct {
	id    string
	feeds []*unit
	// off: it has no power.
	off bool
	// newest command accepted, done the newest carried out.
	newest, done      events.OrderKey
	accepted, carried bool
	state             events.OutletState
	err               string
}

// wire puts the outlets of the configuration between the units and their power.
func (w *world) wire() {
	cfg := &w.story.Config
	for i := range cfg.Outlets {
		o := &cfg.Outlets[i]
		c := w.controller(o.Controller)
		if c == nil {
			c = &controller{w: w, name: o.Controller, link: newLink(w, "controller "+o.Controller, ControllerPartitioned)}
			w.controllers = append(w.controllers, c)
		}
		s := c.socket(o.Outlet)
		if s == nil {
			s = &socket{id: o.Outlet, state: events.OutletUnknown}
			c.sockets = append(c.sockets, s)
		}
		for _, u := range w.plant.units {
			if u.agent.spec.Name == o.Agent && (o.Unit == "" || o.Unit == u.id) && u.plug == nil {
				u.plug, u.plugged = s, c
				s.feeds = append(s.feeds, u)
			}
		}
	}
}

func (w *world) controller(name string) *controller {
	for _, c := range w.controllers {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (c *controller) socket(id string) *socket {
	for _, s := range c.sockets {
		if s.id == id {
			return s
		}
	}
	return nil
}

// sound reports whether nothing is wrong with c, nor was lately.
func (c *controller) sound() bool { return c.w.now >= c.troubled }

// repeat says every half minute what became of the commands.
func (c *controller) repeat() {
	c.w.after(outletStatusEvery, c.repeat)
	for _, s := range c.sockets {
		if s.accepted {
			c.tell(s)
		}
	}
}

// hear carries out a command: off from the wire and however late, on only as it
// is stored and in time.
func (c *controller) hear(m *nats.Msg, storedCopy bool) {
	e, err := c.decoder.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return
	}
	k, ok := e.Data.(*events.CommandOutlet)
	if !ok {
		return
	}
	s := c.socket(k.Outlet)
	switch {
	case s == nil || s.accepted && k.Key.Compare(s.newest) < 0:
		return
	case s.accepted && k.Key.Compare(s.newest) == 0:
		if s.carried && s.done == k.Key {
			c.tell(s)
		}
		return
	case !k.Off && (!storedCopy || c.w.wall(0).After(k.ValidUntil)):
		return
	}
	s.newest, s.accepted = k.Key, true
	key, off := k.Key, k.Off
	c.w.after(switchTime, func() {
		if s.newest != key {
			return // overtaken
		}
		c.carry(s, key, off)
		c.tell(s)
	})
}

// carry switches, or does what its fault makes of that.
func (c *controller) carry(s *socket, key events.OrderKey, off bool) {
	if c.fault == FaultUnable {
		s.state, s.err = events.OutletUnknown, "no answer from the relay"
		c.w.effects[OutletsFailed]++
		return
	}
	s.state, s.err, s.done, s.carried = events.OutletOn, "", key, true
	if off {
		s.state = events.OutletOff
	}
	if c.fault == FaultIdle {
		c.w.effects[OutletsIdle]++
		return
	}
	if s.off == off {
		return
	}
	c.w.note("outlet %s is %s", s.id, s.state)
	if s.off = off; off {
		c.w.effects[OutletsCut]++
	}
	for _, u := range s.feeds {
		c.w.plant.power(u, off)
	}
}

// tell publishes what became of the newest command.
func (c *controller) tell(s *socket) {
	st := &events.OutletStatus{Outlet: s.id, State: s.state, Error: s.err, Modelled: true}
	if s.carried {
		key := s.done
		st.Applied = &key
	}
	msg := c.w.encode(events.New(siteName, c.name, st).At(c.w.wall(0)))
	c.link.carry(toBus, func() {
		if c.w.bus.up {
			c.w.bus.store(events.StreamJournal, msg)
		}
	})
}

// power takes the power from u, or gives it back: then it goes on as it would.
func (p *plant) power(u *unit, off bool) {
	if off {
		u.drew = u.draw
		p.setDraw(u, 0)
		u.dark = true
		return
	}
	if u.dark = false; u.deaf() {
		p.setDraw(u, u.drew)
		return
	}
	p.drive(u, u.order)
}

// request publishes what an operator asks for an outlet.
func (w *world) request(s *Switch) {
	w.note("%s", s)
	w.publish(events.StreamInputs, events.New(siteName, events.OperatorSource, &events.OutletRequested{Outlet: s.Outlet, Off: s.Off}).
		At(w.wall(w.bus.offset)).WithID("outlet/"+itoa(w.bus.streams[events.StreamInputs].last()+1)))
}

// readOutlet reads "ID by CONTROLLER feeds AGENT [unit U]".
func (s *Story) readOutlet(w *words) error {
	o := events.OutletConfig{Outlet: w.next()}
	if !w.take("by") {
		return fmt.Errorf("say who switches outlet %s: by pdu-a", o.Outlet)
	}
	if o.Controller = w.next(); !w.take("feeds") {
		return fmt.Errorf("say what outlet %s feeds: feeds rig-1 unit rig-1-2", o.Outlet)
	}
	if o.Agent = w.next(); w.take("unit") {
		o.Unit = w.next()
	}
	s.Config.Outlets = append(s.Config.Outlets, o)
	return nil
}

// operator reads "switches outlet ID on|off".
func (s *Story) operator(w *words, at time.Duration) error {
	if !w.take("switches outlet") {
		return fmt.Errorf("an operator switches outlet ID on or off, not %q", w.peek())
	}
	o := Switch{At: at, Outlet: w.next()}
	if o.Off = w.take("off"); !o.Off && !w.take("on") {
		return fmt.Errorf("say whether outlet %s is switched on or off", o.Outlet)
	}
	s.Switches = append(s.Switches, o)
	return nil
}

func writeOutlets(b *strings.Builder, c *events.SiteConfig) {
	for _, o := range c.Outlets {
		fmt.Fprintf(b, "config outlet %s by %s feeds %s", o.Outlet, o.Controller, o.Agent)
		if o.Unit != "" {
			fmt.Fprintf(b, " unit %s", o.Unit)
		}
		b.WriteByte('\n')
	}
}

// controls reports whether somebody of that name switches outlets.
func (s *Story) controls(name string) bool {
	return slices.ContainsFunc(s.Config.Outlets, func(o events.OutletConfig) bool { return o.Controller == name })
}
