// SPDX-License-Identifier: Apache-2.0

package scenario

import (
	"time"

	"github.com/ballast-energy/ballast/events"
)

// readProgramme reads "ID (caps|sheds) (mining|total) [at NODE] [notice D]
// [response D] [ramp D] [minimum D] [delay D] [recovery D] [obeys tests]
// [precedence P] [tolerance S] [baseline B]… [silent after D of SOURCE (holds|limit P)]".
func readProgramme(w *words, c *events.SiteConfig) error {
	id, err := w.word("the id of a programme")
	if err != nil {
		return err
	}
	p := events.ProgrammeConfig{Programme: id}
	switch {
	case w.take("caps"):
		p.LimitIs = events.LimitIsCap
	case w.take("sheds"):
		p.LimitIs = events.LimitIsShed
	default:
		return w.errorf("a programme caps or sheds, found %s", w.found())
	}
	switch {
	case w.take("mining"):
		p.Measures = events.MeasuresMining
	case w.take("total"):
		p.Measures = events.MeasuresTotal
	default:
		return w.errorf("a programme is about mining or total, found %s", w.found())
	}
	for more := true; more && err == nil; {
		switch {
		case w.take("at"):
			p.Node, err = w.word("the id of a node")
		case w.take("notice"):
			err = w.secondsInto(&p.NoticeSeconds)
		case w.take("response"):
			err = w.secondsInto(&p.ResponseSeconds)
		case w.take("ramp"):
			err = w.secondsInto(&p.RampSeconds)
		case w.take("minimum"):
			err = w.secondsInto(&p.MinDurationSeconds)
		case w.take("delay"):
			err = w.secondsInto(&p.ReturnDelaySeconds)
		case w.take("recovery"):
			err = w.secondsInto(&p.RecoverySeconds)
		case w.take("obeys", "tests"):
			p.Tests = events.TestObey
		case w.take("precedence"):
			var s string
			s, err = w.word("a precedence class")
			p.Precedence = events.Precedence(s)
		case w.take("tolerance"):
			p.TolerancePPM, err = w.scaled("a share such as 5%", shareUnits)
		case w.take("baseline"):
			var s string
			s, err = w.word("a baseline method")
			p.Baselines = append(p.Baselines, events.BaselineMethod(s))
		case w.take("silent", "after"):
			p.Silence, err = readSilence(w)
		default:
			more = false
		}
	}
	if err != nil {
		return err
	}
	for i := range c.Programmes {
		if c.Programmes[i].Programme == id {
			c.Programmes[i] = p
			return nil
		}
	}
	c.Programmes = append(c.Programmes, p)
	return nil
}

func readSilence(w *words) (*events.SilenceConfig, error) {
	var s events.SilenceConfig
	err := w.secondsInto(&s.AfterSeconds)
	if err == nil {
		err = w.need("of")
	}
	if err == nil {
		s.Source, err = w.word("the source of the signals")
	}
	switch {
	case err != nil:
	case w.take("holds"):
		s.OnSilence = events.SilenceHold
	case w.take("limit"):
		s.OnSilence = events.SilenceLimit
		s.LimitWatts, err = w.power()
	default:
		err = w.errorf("silence holds or has a limit, found %s", w.found())
	}
	return &s, err
}

// secondsInto reads a duration of whole seconds.
func (w *words) secondsInto(v *int64) error {
	d, err := w.duration()
	if err == nil && d%time.Second != 0 {
		err = w.errorf("%s: use whole seconds", d)
	}
	*v = int64(d / time.Second)
	return err
}

// seconds is secondsInto for a field that may be absent.
func (w *words) seconds() (*int64, error) {
	v := new(int64)
	return v, w.secondsInto(v)
}
