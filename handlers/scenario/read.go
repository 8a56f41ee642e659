// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/ballast-energy/ballast/events"
)

func strictJSON(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// readReading reads "M reads POWER …".
func readReading(w *words) (action, error) {
	id, err := w.word("the id of a meter")
	if err != nil {
		return nil, err
	}
	if err := w.need("reads"); err != nil {
		return nil, err
	}
	r := events.MeterReading{Quality: events.QualityGood}
	whose := ""
	switch {
	case w.take("workers"):
		whose = "workers"
	case w.take("site"):
		whose = "site"
	default:
		if r.PowerWatts, err = w.power(); err != nil {
			return nil, err
		}
	}
	var shift time.Duration
	for w.more() {
		switch {
		case w.take("quality"):
			q, err := w.word("a quality")
			if err != nil {
				return nil, err
			}
			r.Quality = events.Quality(q)
		case w.take("sampled"):
			d, err := w.duration()
			if err != nil {
				return nil, err
			}
			if shift = d; !w.take("ahead") {
				shift = -d
				if err := w.need("ago"); err != nil {
					return nil, err
				}
			}
		case w.take("counter"):
			n, err := w.scaled("energy such as 5 kWh", energyUnits)
			if err != nil {
				return nil, err
			}
			r.EnergyMilliwattHours = &n
		default:
			return nil, w.errorf("a reading has quality, sampled and counter, not %q", w.peek())
		}
	}
	return func(p *player) error {
		m := r
		switch whose {
		case "workers":
			m.PowerWatts, m.Modelled = p.mining(), true
		case "site":
			m.PowerWatts = p.mining() + p.load()
		default:
			p.readings[id] = m.PowerWatts
		}
		m.SampledAt = p.wall().Add(time.Microsecond + shift) // as it arrives
		return p.publish(id, &m)
	}, nil
}

// readSignal reads "KIND [to …] …".
func readSignal(w *words) (action, error) {
	kind, err := w.word("the kind of signal")
	if err != nil {
		return nil, err
	}
	g := events.GridSignal{Kind: events.SignalKind(kind)}
	source := "grid"
	var starting, issued time.Duration
	starts, dated := false, false
	for w.more() {
		switch {
		case w.take("to"):
			if g.Kind == events.SignalPrice {
				n, err := w.scaled("a price such as 42.50 $/MWh", priceUnits)
				if err != nil {
					return nil, err
				}
				g.PriceMicrousdPerMWh = &n
				continue
			}
			n, err := w.power()
			if err != nil {
				return nil, err
			}
			g.PowerWatts = &n
		case w.take("for"):
			d, err := w.duration()
			if err != nil {
				return nil, err
			}
			g.DurationSeconds = int64(d / time.Second)
		case w.take("starting", "in"):
			if starting, err = w.duration(); err != nil {
				return nil, err
			}
			starts = true
		case w.take("test"):
			g.Test = true
		case w.take("issued"):
			if issued, err = w.duration(); err != nil {
				return nil, err
			}
			if err := w.need("ago"); err != nil {
				return nil, err
			}
			dated = true
		case w.take("ramp"):
			if g.RampSeconds, err = w.seconds(); err != nil {
				return nil, err
			}
		case w.take("minimum"):
			if g.MinDurationSeconds, err = w.seconds(); err != nil {
				return nil, err
			}
		case w.take("recovery"):
			if g.RecoverySeconds, err = w.seconds(); err != nil {
				return nil, err
			}
		case w.take("rising"):
			if g.RampWattsPerMinute, err = w.power(); err != nil {
				return nil, err
			}
			if err := w.need("a"); err != nil {
				return nil, err
			}
			if err := w.need("minute"); err != nil {
				return nil, err
			}
		case w.take("priority"):
			n, err := w.integer("priority")
			if err != nil {
				return nil, err
			}
			g.Priority = int(n)
		case w.take("precedence"):
			s, err := w.word("a precedence class")
			if err != nil {
				return nil, err
			}
			g.Precedence = events.Precedence(s)
		default:
			var into *string
			switch {
			case w.take("from"):
				into = &source
			case w.take("id"):
				into = &g.SignalID
			case w.take("programme"):
				into = &g.Programme
			case w.take("at"):
				into = &g.Node
			case w.take("supersedes"):
				into = &g.Supersedes
			case w.take("cancels"):
				into = &g.Cancels
			case w.take("because"):
				into = &g.Reason
			default:
				return nil, w.errorf("a signal has to, for, at, starting in, issued, ramp, minimum, recovery, rising, from, id, programme, precedence, priority, test, supersedes, cancels and because, not %q", w.peek())
			}
			if *into, err = w.word("a value"); err != nil {
				return nil, err
			}
		}
	}
	return func(p *player) error {
		s := g
		if starts {
			t := p.wall().Add(starting)
			s.StartsAt = &t
		}
		if dated {
			t := p.wall().Add(-issued)
			s.IssuedAt = &t
		}
		return p.publish(source, &s)
	}, nil
}

// readQuote reads "btc PRICE $ subsidy N sat fees N sat nbits HEX …".
func readQuote(w *words) (action, error) {
	q := events.MarketQuote{NBits: "17034219", SubsidySats: 312_500_000, Height: 900_000}
	var err error
	for w.more() && err == nil {
		switch {
		case w.take("btc"):
			q.BTCPriceMicrousd, err = w.scaled("money such as 60000 $", map[string]int64{"$": 1_000_000})
		case w.take("subsidy"):
			q.SubsidySats, err = w.scaled("bitcoin such as 3.125 BTC", bitcoinUnits)
		case w.take("fees"):
			q.FeesSats, err = w.scaled("bitcoin such as 0.05 BTC", bitcoinUnits)
		case w.take("nbits"):
			q.NBits, err = w.word("nBits, 8 hex digits")
		case w.take("height"):
			q.Height, err = w.integer("height")
		case w.take("practice"):
			q.Practice = true
		case w.take("network-only"):
			q.NetworkOnly = true
		default:
			err = w.errorf("a quote has btc, subsidy, fees, nbits, height, practice and network-only, not %q", w.peek())
		}
	}
	return func(p *player) error {
		v := q
		v.QuotedAt = p.wall()
		return p.publish("market", &v)
	}, err
}

var bitcoinUnits = map[string]int64{"BTC": 100_000_000, "sat": 1}

// readWorker reads "A announces …", "A reports …" and the short ones.
func readWorker(w *words) (action, error) {
	id, err := w.word("the id of a worker")
	if err != nil {
		return nil, err
	}
	short := map[string]func(*rig, *player) error{
		"leaves": (*rig).leave, "restarts": (*rig).restart, "returns": (*rig).comeBack,
		"disobeys": func(r *rig, _ *player) error { r.deaf = true; return nil },
		"obeys":    func(r *rig, _ *player) error { r.deaf = false; return nil },
	}
	switch {
	case w.take("announces"):
		return readAnnounce(w, id)
	case w.take("reports"):
		return readReport(w, id)
	case w.take("falls", "silent"):
		short["falls"] = func(r *rig, _ *player) error { r.silent = true; return nil }
		return onRig(w, id, short["falls"]), nil
	}
	verb, err := w.word("what the worker does")
	if err != nil {
		return nil, err
	}
	do := short[verb]
	if do == nil {
		return nil, w.errorf("a worker announces, reports, leaves, restarts, falls silent, returns, disobeys or obeys; not %q", verb)
	}
	return onRig(w, id, do), nil
}

func onRig(w *words, id string, do func(*rig, *player) error) action {
	at := *w
	return func(p *player) error {
		r := p.rigs[id]
		if r == nil {
			return at.errorf("worker %s has not announced itself yet", id)
		}
		return do(r, p)
	}
}

func readAnnounce(w *words, id string) (action, error) {
	n := int64(1)
	var err error
	if probe := *w; func() bool { _, e := probe.integer("count"); return e == nil && probe.take("units", "of") }() {
		n, _ = w.integer("count")
		w.take("units", "of")
		if n < 1 || n > 10_000 {
			return nil, w.errorf("between 1 and 10000 units, not %d", n)
		}
	}
	c := events.Capabilities{Class: "model", MillijoulesPerTerahash: 20_000, FallMilliseconds: 5_000}
	if c.NameplateWatts, err = w.power(); err != nil {
		return nil, err
	}
	follows, healthy, modelled := false, true, true
	fixed := true
	for w.more() && err == nil {
		switch {
		case w.take("at"):
			c.MillijoulesPerTerahash, err = w.scaled("efficiency such as 21 J/TH", efficiencyUnits)
		case w.take("class"):
			c.Class, err = w.word("a class")
		case w.take("min"):
			c.MinWatts, err = w.power()
			fixed = false
		case w.take("failsafe"):
			c.FailsafeWatts, err = w.power()
		case w.take("meter"):
			c.Meter, err = w.word("the id of a meter")
		case w.take("node"):
			c.Node, err = w.word("the id of a node")
		case w.take("levels"):
			fixed = false
			for err == nil && w.isPower() {
				var l int64
				if l, err = w.power(); err == nil {
					c.LevelsWatts = append(c.LevelsWatts, l)
				}
			}
		case w.take("level"):
			fixed = false
			err = readLevel(w, &c)
		case w.take("boots"):
			var d time.Duration
			d, err = w.duration()
			c.BootMilliseconds = d.Milliseconds()
		case w.take("falls"):
			var d time.Duration
			d, err = w.duration()
			c.FallMilliseconds = d.Milliseconds()
		case w.take("follows"):
			follows = true
		case w.take("unhealthy"):
			healthy = false
		case w.take("real"):
			modelled = false
		default:
			err = w.errorf("an announcement has at, class, min, levels, level, failsafe, boots, falls, meter, node, follows, unhealthy and real, not %q", w.peek())
		}
	}
	if fixed {
		c.LevelsWatts = []int64{c.NameplateWatts}
	}
	return func(p *player) error { return p.announce(id, int(n), c, follows, healthy, modelled) }, err
}

func readReport(w *words, id string) (action, error) {
	var changes []func(*rig, *rigUnit)
	for w.more() {
		switch {
		case w.take("power"):
			v, err := w.power()
			if err != nil {
				return nil, err
			}
			changes = append(changes, func(_ *rig, u *rigUnit) { u.power = v })
		case w.take("setpoint"):
			v, err := w.power()
			if err != nil {
				return nil, err
			}
			changes = append(changes, func(_ *rig, u *rigUnit) { u.set = v })
		case w.take("local"):
			v, err := w.power()
			if err != nil {
				return nil, err
			}
			changes = append(changes, func(_ *rig, u *rigUnit) { u.local = &v })
		case w.take("unlocked"):
			changes = append(changes, func(_ *rig, u *rigUnit) { u.local = nil })
		case w.take("state"):
			s, err := w.word("a state")
			if err != nil {
				return nil, err
			}
			changes = append(changes, func(_ *rig, u *rigUnit) { u.state = events.PermitState(s) })
		case w.take("applied"):
			changes = append(changes, func(r *rig, u *rigUnit) { u.applied, u.hasApplied = r.newest, true })
		case w.take("healthy"):
			changes = append(changes, func(_ *rig, u *rigUnit) { u.healthy = true })
		case w.take("unhealthy"):
			changes = append(changes, func(_ *rig, u *rigUnit) { u.healthy = false })
		case w.take("because"):
			why, err := w.word("a reason, or nothing")
			if err != nil {
				return nil, err
			}
			if why == "nothing" {
				why = ""
			}
			signal := ""
			if w.take("signal") {
				if signal, err = w.word("the id of a signal"); err != nil {
					return nil, err
				}
			}
			changes = append(changes, func(_ *rig, u *rigUnit) { u.reason, u.signal = events.Reason(why), signal })
		default:
			return nil, w.errorf("a report has power, setpoint, local, unlocked, state, applied, healthy, unhealthy and because, not %q", w.peek())
		}
	}
	return onRig(w, id, func(r *rig, p *player) error {
		for _, c := range changes {
			for _, u := range r.units {
				c(r, u)
			}
		}
		return r.say(p, false)
	}), nil
}
