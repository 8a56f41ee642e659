// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"bufio"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// maxScenario bounds a scenario file, bytes.
const maxScenario = 1 << 20

// Read reads a scenario file; name stands in its errors, which say the line. A
// story that makes no sense as a whole is an error too.
func Read(r io.Reader, name string) (*Story, error) {
	s := &Story{Config: events.SiteConfig{ContinuousFactorPPM: 1_000_000,
		Policy: events.PolicyConfig{LeaseMilliseconds: events.DefaultLease.Milliseconds(), DeadMilliseconds: 30_000, RampWattsPerSecond: 1_000_000_000, RampBurstWatts: 1_000_000_000},
		Tariff: events.TariffConfig{IntervalSeconds: 60, GraceSeconds: 5, AccrualSeconds: 30, Scheme: events.SchemeFPPS}}}
	in := bufio.NewScanner(io.LimitReader(r, maxScenario))
	for n := 1; in.Scan(); n++ {
		line, _, _ := strings.Cut(in.Text(), "#")
		w := &words{list: strings.Fields(strings.ReplaceAll(line, ",", " "))}
		if len(w.list) == 0 {
			continue
		}
		if err := s.line(w); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if w.more() {
			return nil, fmt.Errorf("%s:%d: do not understand %q here", name, n, w.peek())
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// line reads one line that is not empty.
func (s *Story) line(w *words) (err error) {
	switch {
	case w.take("seed"):
		v := w.next()
		if s.Seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			return fmt.Errorf("%q is no seed: a whole number", v)
		}
	case w.take("run until"):
		s.Length, err = w.duration()
	case w.take("host"):
		h := Host{Name: w.next()}
		if w.take("version") {
			h.Version = w.next()
		}
		s.Hosts = append(s.Hosts, h)
	case w.take("config"):
		return s.configure(w)
	case w.take("worker"):
		return s.worker(w)
	case w.take("at"):
		return s.happens(w)
	case w.take("from"):
		return s.fault(w)
	default:
		return fmt.Errorf("a line begins with seed, run until, host, config, worker, at or from, not with %q", w.peek())
	}
	return err
}

func (s *Story) configure(w *words) error {
	if w.take("meter") {
		return s.meter(w)
	}
	if w.take("node") {
		return s.node(w)
	}
	if w.take("outlet") {
		return s.readOutlet(w)
	}
next:
	for w.more() {
		if w.take("jobs") {
			s.Config.Reserve.Jobs = true
			continue
		}
		for _, k := range configKeys {
			if !w.take(k.name) {
				continue
			}
			v, err := w.quantity(k.kind)
			if err != nil {
				return err
			}
			*k.at(&s.Config) = v
			continue next
		}
		return fmt.Errorf("%q is no key of the configuration", w.peek())
	}
	return nil
}

func (s *Story) meter(w *words) (err error) {
	m := events.MeterConfig{Meter: w.next(), PeriodMilliseconds: 1000, StaleMilliseconds: 5000, MaxWatts: 1_000_000_000}
	if !w.take("measures") {
		return fmt.Errorf("say what meter %s measures", m.Meter)
	}
	m.Measures = events.Measures(w.next())
	for w.more() && err == nil {
		switch {
		case w.take("every"):
			m.PeriodMilliseconds, err = w.quantity(&ofMillis)
		case w.take("stale"):
			m.StaleMilliseconds, err = w.quantity(&ofMillis)
		case w.take("stuck"):
			m.StuckMilliseconds, err = w.quantity(&ofMillis)
		case w.take("group"):
			m.Group = w.next()
		case w.take("at"):
			m.Node = w.node()
		case w.take("range"):
			if m.MinWatts, err = w.quantity(&ofPower); err == nil && w.take("to") {
				m.MaxWatts, err = w.quantity(&ofPower)
			}
		default:
			return fmt.Errorf("a meter has at, every, stale, stuck, range and group, not %q", w.peek())
		}
	}
	s.Config.Meters = append(s.Config.Meters, m)
	return err
}

func (s *Story) worker(w *words) (err error) {
	a := Agent{Name: w.next(), Units: 1, Caps: events.Capabilities{Class: "asic", FallMilliseconds: 5000, BootMilliseconds: 60_000}}
	if !w.take("has") {
		return fmt.Errorf("say what worker %s has: has 3 units of 3.5 kW", a.Name)
	}
	v := w.next()
	if a.Units, err = strconv.Atoi(v); err != nil || !w.take("units of") {
		return fmt.Errorf("worker %s: expected a number of units, as in has 3 units of 3.5 kW", a.Name)
	}
	if a.Caps.NameplateWatts, err = w.quantity(&ofPower); err != nil {
		return err
	}
	for w.more() && err == nil {
		switch {
		case w.take("at"):
			a.Caps.MillijoulesPerTerahash, err = w.quantity(&quantity{units: map[string]int64{"J/TH": 1000, "mJ/TH": 1}})
		case w.take("min"):
			a.Caps.MinWatts, err = w.quantity(&ofPower)
		case w.take("falls"):
			a.Caps.FallMilliseconds, err = w.quantity(&ofMillis)
		case w.take("meter"):
			a.Caps.Meter = w.next()
		case w.take("node"):
			a.Caps.Node = w.next()
		case w.take("levels"):
			for w.more() && w.peek()[0] >= '0' && w.peek()[0] <= '9' && err == nil {
				var l int64
				l, err = w.quantity(&ofPower)
				a.Caps.LevelsWatts = append(a.Caps.LevelsWatts, l)
			}
		default:
			return fmt.Errorf("a worker has at, min, levels, falls, meter and node, not %q", w.peek())
		}
	}
	s.Agents = append(s.Agents, a)
	return err
}

func (s *Story) happens(w *words) error {
	at, err := w.duration()
	if err != nil {
		return err
	}
	switch {
	case w.take("ai load"):
		v, err := w.quantity(&ofPower)
		s.Load = append(s.Load, Step{at, w.at(), v})
		return err
	case w.take("house load"):
		v, err := w.quantity(&ofPower)
		if at != 0 && err == nil {
			return fmt.Errorf("the house load does not change: say it at 0s")
		}
		s.House = append(s.House, HouseLoad{w.at(), v})
		return err
	case w.take("limit of"), w.take("cooling of"):
		return s.changes(w, at)
	case w.take("signal"):
		return s.signal(w, at)
	case w.take("job"):
		return s.job(w, at)
	case w.take("operator"):
		return s.operator(w, at)
	}
	return fmt.Errorf("at a time there is an ai load, a house load, a limit of, a cooling of, a signal, a job or an operator, not %q", w.peek())
}

func (s *Story) signal(w *words, at time.Duration) error {
	g := Signal{At: at, Source: "grid", Grid: events.GridSignal{Kind: events.SignalKind(w.next())}}
	for w.more() {
		switch {
		case w.take("to"):
			v, err := w.quantity(&ofPower)
			if err != nil {
				return err
			}
			g.Grid.PowerWatts = &v
		case w.take("for"):
			d, err := w.duration()
			if err != nil {
				return err
			}
			g.Grid.DurationSeconds = int64(d / time.Second)
		case w.take("from"):
			g.Source = w.next()
		case w.take("id"):
			g.Grid.SignalID = w.next()
		case w.take("cancels"):
			g.Grid.Cancels = w.next()
		case w.take("at"):
			g.Grid.Node = w.node()
		case w.take("in"):
			d, err := w.duration()
			if err != nil {
				return err
			}
			g.Notice = d
		case w.take("ramp"):
			d, err := w.duration()
			if err != nil {
				return err
			}
			s := int64(d / time.Second)
			g.Grid.RampSeconds = &s
		default:
			return fmt.Errorf("a signal has to, for, from, id, at, in, ramp and cancels, not %q", w.peek())
		}
	}
	s.Signals = append(s.Signals, g)
	return nil
}

// fault reads "T to T WHO WORDS".
func (s *Story) fault(w *words) error {
	from, err := w.duration()
	if err != nil {
		return err
	}
	if !w.take("to") {
		return fmt.Errorf("a fault has a beginning and an end: from 90s to 2m host-a is down")
	}
	to, err := w.duration()
	if err != nil {
		return err
	}
	f, err := readFault(w.rest())
	f.At, f.Until = from, to
	s.Faults = append(s.Faults, f)
	return err
}

// words of one line, read from the front.
type words struct {
	list []string
	last string // taken
}

func (w *words) more() bool { return len(w.list) > 0 }

func (w *words) peek() string {
	if len(w.list) == 0 {
		return "the end of the line"
	}
	return w.list[0]
}

// next word, empty at the end of the line: the checks of the story say what is
// missing.
func (w *words) next() string {
	if len(w.list) == 0 {
		return ""
	}
	s := w.list[0]
	w.list = w.list[1:]
	return s
}

func (w *words) rest() string {
	s := strings.Join(w.list, " ")
	w.list = nil
	return s
}

// take consumes the words of s if they come next.
func (w *words) take(s string) bool {
	want := strings.Fields(s)
	if len(want) > len(w.list) {
		return false
	}
	for i := range want {
		if w.list[i] != want[i] {
			return false
		}
	}
	w.list, w.last = w.list[len(want):], s
	return true
}

func (w *words) duration() (time.Duration, error) {
	s := w.next()
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxLength {
		return 0, fmt.Errorf("%q is no duration between 0s and %s; write 90s, 10m or 1.5s", s, maxLength)
	}
	return d, nil
}

// quantity reads a number and its unit as an exact integer.
func (w *words) quantity(q *quantity) (int64, error) {
	if q.units == nil {
		d, err := w.duration()
		if q == &ofSecond {
			return int64(d / time.Second), err
		}
		return d.Milliseconds(), err
	}
	s := w.next()
	at := strings.IndexFunc(s, func(r rune) bool { return r != '-' && r != '.' && (r < '0' || r > '9') })
	number, unit := s, ""
	if at >= 0 {
		number, unit = s[:at], s[at:]
	}
	if unit == "" {
		unit = w.next()
	}
	scale, ok := q.units[unit]
	r, valid := new(big.Rat).SetString(number)
	if !ok || !valid || len(number) > 24 {
		return 0, fmt.Errorf("%q with unit %q is no quantity that fits here", number, unit)
	}
	if r.Mul(r, new(big.Rat).SetInt64(scale)); !r.IsInt() || !r.Num().IsInt64() {
		return 0, fmt.Errorf("%s %s is no whole number of the smallest unit", number, unit)
	}
	return r.Num().Int64(), nil
}
