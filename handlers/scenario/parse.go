// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// action is one thing that happens at an instant of the story.
type action func(*player) error

// line is one "at" or "from" line.
type line struct {
	at, every, until time.Duration
	do               action
}

// Story is a scenario ready to be played.
type Story struct {
	// File it came from, for messages.
	File string
	// Site it tells of.
	Site string
	// Options of the line "decider …", for whoever builds the decider.
	Options []string

	start time.Time
	ticks bool
	end   time.Duration
	// config at the beginning; later after the configure events read so far.
	config  events.SiteConfig
	later   *events.SiteConfig
	lines   []line
	expects []*expectation
}

// maxEvents bounds what one story may ask for, so that a slip of the pen ends
// in an error and not in an afternoon.
const maxEvents = 2_000_000

// Parse reads a story. The error joins one *Error per bad line.
func Parse(file string, text []byte) (*Story, error) {
	s := &Story{File: file, Site: "demo", start: time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC), ticks: true, config: defaultConfig()}
	var errs []error
	configured, events := false, int64(0)
	for i, raw := range bytes.Split(text, []byte{'\n'}) {
		w, err := cut(file, i+1, string(raw))
		if err == nil && w.more() {
			configured = configured || w.peek() == "config"
			err = s.statement(w)
		}
		if err != nil {
			errs = append(errs, err)
			if len(errs) == 20 {
				break
			}
		}
	}
	if configured {
		c := s.config
		s.lines = append([]line{{do: func(p *player) error { p.configure(c); return nil }}}, s.lines...)
	}
	for i := range s.lines {
		if l := &s.lines[i]; l.every > 0 {
			if l.until == 0 {
				l.until = s.end
			}
			events += int64(max(l.until-l.at, 0)/l.every) + 1
		}
	}
	if events += int64(s.end / time.Second); events > maxEvents && len(errs) == 0 {
		errs = append(errs, &Error{File: file, Line: 1, Message: "the story asks for more than two million events: repeat less often or end earlier"})
	}
	return s, errors.Join(errs...)
}

func (s *Story) statement(w *words) error {
	switch {
	case w.take("site"):
		name, err := w.word("a site name")
		if err == nil {
			err = events.CheckToken("site", name)
		}
		if err != nil {
			return w.errorf("%v", err)
		}
		s.Site = name
	case w.take("decider"):
		for w.more() {
			o, _ := w.word("an option")
			s.Options = append(s.Options, o)
		}
	case w.take("start"):
		t, err := w.word("a time")
		if err != nil {
			return err
		}
		if s.start, err = time.Parse(time.RFC3339, t); err != nil || s.start.Year() < 1971 || s.start.Year() > 2200 {
			return w.errorf("%q is no time between the years 1971 and 2200 such as 2026-11-21T00:00:00Z", t)
		}
	case w.take("ticks", "off"):
		s.ticks = false
	case w.take("run", "until"):
		d, err := w.duration()
		if err != nil {
			return err
		}
		s.end = max(s.end, d)
	case w.take("config"):
		return configure(w, &s.config)
	case w.take("at"):
		at, err := w.duration()
		if err != nil {
			return err
		}
		var within time.Duration
		if w.take("within") {
			if within, err = w.duration(); err != nil {
				return err
			}
		}
		s.end = max(s.end, at+within)
		if w.take("expect") {
			return s.expect(w, at, at+within)
		}
		if within > 0 {
			return w.errorf("within belongs to expect")
		}
		do, err := s.event(w)
		if err != nil {
			return err
		}
		s.lines = append(s.lines, line{at: at, do: do})
	case w.take("from"):
		return s.span(w)
	default:
		return w.errorf("a line begins with site, decider, start, ticks, run, config, at or from, not %q", w.peek())
	}
	return w.end()
}

// span reads the two kinds of lines that begin with from.
func (s *Story) span(w *words) error {
	from, err := w.duration()
	if err != nil {
		return err
	}
	if w.take("to") {
		to, err := w.duration()
		if err != nil {
			return err
		}
		if to < from {
			return w.errorf("the span ends before it begins")
		}
		if err := w.need("expect"); err != nil {
			return err
		}
		s.end = max(s.end, to)
		return s.expect(w, from, to)
	}
	l := line{at: from}
	if err := w.need("every"); err != nil {
		return err
	}
	if l.every, err = w.duration(); err != nil {
		return err
	}
	if l.every < time.Millisecond {
		return w.errorf("every needs at least 1ms")
	}
	if w.take("until") {
		if l.until, err = w.duration(); err != nil {
			return err
		}
		s.end = max(s.end, l.until)
	}
	s.end = max(s.end, from)
	if l.do, err = s.event(w); err != nil {
		return err
	}
	s.lines = append(s.lines, l)
	return w.end()
}

// event reads what happens.
func (s *Story) event(w *words) (action, error) {
	do, err := s.eventBody(w)
	if err != nil {
		return nil, err
	}
	return do, w.end()
}

func (s *Story) eventBody(w *words) (action, error) {
	switch {
	case w.take("configure"):
		if s.later == nil {
			c := s.config
			s.later = &c
		}
		s.later.Meters, s.later.Nodes = slices.Clone(s.later.Meters), slices.Clone(s.later.Nodes)
		if err := configure(w, s.later); err != nil {
			return nil, err
		}
		c := *s.later
		c.Meters, c.Nodes = slices.Clone(c.Meters), slices.Clone(c.Nodes)
		return func(p *player) error { p.configure(c); return nil }, nil
	case w.take("meter"):
		return readReading(w)
	case w.take("worker"):
		return readWorker(w)
	case w.take("job"):
		return readJob(w)
	case w.take("signal"):
		return readSignal(w)
	case w.take("controller"):
		return readController(w)
	case w.take("operator"):
		return readOperator(w)
	case w.take("quote"):
		return readQuote(w)
	case w.take("clock", "jumps"):
		back := w.take("back")
		if !back {
			if err := w.need("forward"); err != nil {
				return nil, err
			}
		}
		d, err := w.duration()
		if back {
			d = -d
		}
		return func(p *player) error { p.offset += d; return nil }, err
	case w.take("ticks", "stop"):
		return func(p *player) error { p.ticking = false; return nil }, nil
	case w.take("ticks", "resume"):
		return func(p *player) error { p.ticking = true; return nil }, nil
	case w.take("tick"):
		return func(p *player) error { return p.tick() }, nil
	case w.take("epoch"):
		n, err := w.integer("epoch")
		if err == nil && n < 1 {
			err = w.errorf("epochs count from 1")
		}
		return func(p *player) error { p.epoch = uint64(n); return nil }, err
	case w.take("event"):
		return readEvent(w)
	}
	return nil, w.errorf("expected configure, meter, worker, controller, operator, signal, quote, clock, ticks, tick, epoch or event, found %s", w.found())
}

// readEvent reads "TYPE from SOURCE {JSON}".
func readEvent(w *words) (action, error) {
	name, err := w.word("an event type")
	if err != nil {
		return nil, err
	}
	info, ok := events.Info(events.Type(name))
	if !ok {
		return nil, w.errorf("%q is no event type", name)
	}
	if err := w.need("from"); err != nil {
		return nil, err
	}
	source, err := w.word("a source")
	if err != nil {
		return nil, err
	}
	body, err := w.word("a JSON object")
	if err != nil {
		return nil, err
	}
	p := info.New()
	if err := strictJSON([]byte(body), p); err != nil {
		return nil, w.errorf("%s: %v", name, err)
	}
	return func(pl *player) error { return pl.publish(strings.Clone(source), p) }, nil
}
