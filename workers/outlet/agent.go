// SPDX-License-Identifier: Apache-2.0

package outlet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// StatusPeriod is how often the status of every outlet that was commanded is
// repeated.
const StatusPeriod = 30 * time.Second

// Bus is what an agent needs of the bus; *bus.Bus is one.
type Bus interface {
	// Conn is the connection that the agent subscribes and publishes on.
	Conn() *nats.Conn
	// Prefix is the first token of every subject.
	Prefix() string
}

// Config of an Agent.
type Config struct {
	// Site, and Controller, the id it is addressed by: [a-z0-9-]{1,64}.
	Site, Controller string
	// Drivers by outlet id, at least one.
	Drivers map[string]Driver
	// Modelled: no real outlets stand behind the drivers.
	Modelled bool
	// StatusPeriod, default StatusPeriod.
	StatusPeriod time.Duration
	// Logger; nil discards. Wall is the time of day, default time.Now.
	Logger *slog.Logger
	Wall   func() time.Time
}

// Agent carries out commands for the outlets of one controller.
type Agent struct {
	cfg     Config
	bus     Bus
	outlets map[string]*switched
	ids     []string
	ready   chan struct{}
	once    sync.Once

	subject, stored, status string
}

// switched is what is known of one outlet, of Run's goroutine only.
type switched struct {
	driver Driver
	// newest command accepted, done the newest that was carried out.
	newest, done      events.OrderKey
	accepted, carried bool
	state             events.OutletState
	err               string
	busy              bool
	waiting           *events.CommandOutlet
}

// result of a driver.
type result struct {
	id  string
	cmd *events.CommandOutlet
	err error
}

// New checks the configuration. Nothing is heard or switched before Run.
func New(cfg Config, bus Bus) (*Agent, error) {
	if err := errors.Join(events.CheckToken("site", cfg.Site), events.CheckToken("controller", cfg.Controller)); err != nil {
		return nil, fmt.Errorf("outlets of %q: %w", cfg.Controller, err)
	}
	if len(cfg.Drivers) == 0 {
		return nil, fmt.Errorf("outlets of %s: none is configured", cfg.Controller)
	}
	if cfg.StatusPeriod == 0 {
		cfg.StatusPeriod = StatusPeriod
	}
	if cfg.StatusPeriod < 0 {
		return nil, fmt.Errorf("outlets of %s: status period %s is negative", cfg.Controller, cfg.StatusPeriod)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	a := &Agent{cfg: cfg, bus: bus, outlets: make(map[string]*switched, len(cfg.Drivers)), ready: make(chan struct{})}
	for _, id := range slices.Sorted(maps.Keys(cfg.Drivers)) {
		if err := events.CheckToken("outlet", id); err != nil {
			return nil, fmt.Errorf("outlets of %s: %w", cfg.Controller, err)
		}
		if cfg.Drivers[id] == nil {
			return nil, fmt.Errorf("outlets of %s: outlet %s has no driver", cfg.Controller, id)
		}
		a.outlets[id] = &switched{driver: cfg.Drivers[id], state: events.OutletUnknown}
		a.ids = append(a.ids, id)
	}
	p := bus.Prefix()
	a.subject = events.Subject(p, cfg.Site, events.TypeCommandOutlet, cfg.Controller)
	a.stored = events.StoredSubject(p, cfg.Site, events.TypeCommandOutlet, cfg.Controller)
	a.status = events.Subject(p, cfg.Site, events.TypeOutletStatus, cfg.Controller)
	return a, nil
}

// Ready is closed once Run hears commands.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Run obeys until ctx ends, and then waits for the drivers at work. It may be
// called once. Outlets stay as they are.
func (a *Agent) Run(ctx context.Context) error {
	ran := false
	a.once.Do(func() { ran = true })
	if !ran {
		return fmt.Errorf("outlets of %s: Run called twice", a.cfg.Controller)
	}
	messages := make(chan *nats.Msg, 256)
	nc := a.bus.Conn()
	for _, s := range []string{a.subject, a.stored} {
		sub, err := nc.ChanSubscribe(s, messages)
		if err != nil {
			return fmt.Errorf("outlets of %s: subscribe to %s: %w", a.cfg.Controller, s, err)
		}
		defer func() { _ = sub.Unsubscribe() }() // fails only when the connection is gone
	}
	if err := nc.FlushWithContext(withDeadline(ctx)); err != nil && ctx.Err() == nil {
		a.cfg.Logger.Warn("subscriptions are not confirmed yet", "error", err)
	}
	close(a.ready)
	results := make(chan result)
	var work sync.WaitGroup
	ticker := time.NewTicker(a.cfg.StatusPeriod)
	defer ticker.Stop()
	start := func(id string, k *events.CommandOutlet) {
		o := a.outlets[id]
		o.busy = true
		work.Go(func() {
			r := result{id, k, o.driver.Switch(ctx, k.Off)}
			select {
			case results <- r:
			case <-ctx.Done():
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			work.Wait()
			return nil
		case m := <-messages:
			if k := a.accept(m); k != nil {
				if o := a.outlets[k.Outlet]; o.busy {
					o.waiting = k
				} else {
					start(k.Outlet, k)
				}
			}
		case r := <-results:
			o := a.outlets[r.id]
			o.busy = false
			a.settle(o, r)
			a.tell(r.id)
			if next := o.waiting; next != nil {
				o.waiting = nil
				start(r.id, next)
			}
		case <-ticker.C:
			for _, id := range a.ids {
				if a.outlets[id].accepted {
					a.tell(id)
				}
			}
		}
	}
}

// withDeadline bounds the wait for the server at the start.
func withDeadline(ctx context.Context) context.Context {
	c, cancel := context.WithTimeout(ctx, 5*time.Second)
	context.AfterFunc(c, cancel)
	return c
}

// accept returns the command of m if it is to be carried out.
func (a *Agent) accept(m *nats.Msg) *events.CommandOutlet {
	log := a.cfg.Logger
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		log.Warn("message ignored", "error", err)
		return nil
	}
	k, ok := e.Data.(*events.CommandOutlet)
	if !ok {
		return nil
	}
	o := a.outlets[k.Outlet]
	switch {
	case o == nil:
		log.Warn("no such outlet here", "outlet", k.Outlet)
		return nil
	case o.accepted && k.Key.Compare(o.newest) < 0:
		log.Info("an older command is ignored", "outlet", k.Outlet, "off", k.Off)
		return nil
	case o.accepted && k.Key.Compare(o.newest) == 0:
		if !o.busy && o.carried && o.done == k.Key {
			a.tell(k.Outlet)
		}
		return nil
	case !k.Off && !strings.HasPrefix(m.Subject, a.stored):
		return nil // the stored copy is still to come
	case !k.Off && a.cfg.Wall().After(k.ValidUntil):
		log.Info("a command to switch on came too late", "outlet", k.Outlet)
		return nil
	}
	o.newest, o.accepted = k.Key, true
	log.Info("outlet is switched", "outlet", k.Outlet, "off", k.Off, "reason", k.Reason)
	return k
}

// settle notes what became of a command.
func (a *Agent) settle(o *switched, r result) {
	if r.err != nil {
		o.state, o.err = events.OutletUnknown, events.ClipText(r.err.Error())
		a.cfg.Logger.Error("outlet could not be switched", "outlet", r.id, "off", r.cmd.Off, "error", r.err)
		return
	}
	o.state, o.err = events.OutletOn, ""
	if r.cmd.Off {
		o.state = events.OutletOff
	}
	o.done, o.carried = r.cmd.Key, true
}

// tell publishes the status of an outlet. What the bus does not take is said
// again with the next command or period.
func (a *Agent) tell(id string) {
	o := a.outlets[id]
	st := &events.OutletStatus{Outlet: id, State: o.state, Error: o.err, Modelled: a.cfg.Modelled}
	if o.carried {
		key := o.done
		st.Applied = &key
	}
	b, err := events.AppendPayload(nil, st)
	if err == nil {
		err = a.bus.Conn().Publish(a.status, b)
	}
	if err != nil {
		a.cfg.Logger.Warn("status is not sent", "outlet", id, "error", err)
	}
}
