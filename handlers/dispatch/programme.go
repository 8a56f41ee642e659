// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// silenceID begins the id of the limit that holds while the issuer of a
// programme is silent; the programme follows: "silence:target".
const silenceID = "silence:"

// programme is what is remembered of a grid programme whose issuer repeats
// itself.
type programme struct {
	cfg events.ProgrammeConfig
	// id of the programme, and the source whose signals are its sign of life.
	id, source string
	// since when it is configured, heard when the last sign of life came,
	// elapsed ns, and heardWall the same by the wall clock, Unix ns; −1 for
	// never. issued is the newest date of one, Unix ns.
	since, heard, heardWall, issued int64
	// quiet: its issuer is silent.
	quiet, alert bool
}

func (p *programme) hash() uint64 {
	var g digest
	g.text(p.id)
	g.text(p.source)
	g.int(p.since)
	g.int(p.heard)
	g.int(p.heardWall)
	g.int(p.issued)
	g.bool(p.quiet)
	g.bool(p.alert)
	return g.sum()
}

// programmeState is a programme in a snapshot.
type programmeState struct {
	Since     int64 `json:"since"`
	Heard     int64 `json:"heard"`
	HeardWall int64 `json:"heard_wall"`
	Issued    int64 `json:"issued"`
	Quiet     bool  `json:"quiet"`
	Alert     bool  `json:"alert"`
}

// programmesOf lists the programmes of a configuration that have a rule for
// silence, each once.
func programmesOf(c *events.SiteConfig) []*programme {
	var ps []*programme
	for i := range c.Programmes {
		s := &c.Programmes[i]
		if s.Silence == nil || s.Programme == "" || len(ps) == events.MaxProgrammes || find(ps, s.Programme) != nil {
			continue
		}
		p := &programme{cfg: *s, id: strings.Clone(s.Programme), source: strings.Clone(s.Silence.Source), heard: -1, heardWall: -1}
		silence := *s.Silence
		p.cfg.Silence = &silence
		ps = append(ps, p)
	}
	return ps
}

func find(ps []*programme, id string) *programme {
	for _, p := range ps {
		if p.id == id {
			return p
		}
	}
	return nil
}

func nodeName(id string) string {
	if id == events.RootNode {
		return ""
	}
	return strings.Clone(id)
}

// adoptProgrammes takes the programmes of a new configuration: what is known of
// a programme whose issuer stays goes on.
func (d *Dispatch) adoptProgrammes(c *events.SiteConfig) {
	old := d.programmes
	for _, p := range old {
		d.entries -= p.hash()
	}
	d.programmes = programmesOf(c)
	for _, p := range d.programmes {
		p.since = d.now
		if o := find(old, p.id); o != nil && o.source == p.source {
			p.since, p.heard, p.heardWall, p.issued, p.quiet, p.alert = o.since, o.heard, o.heardWall, o.issued, o.quiet, o.alert
		}
		d.entries += p.hash()
	}
	for _, o := range old {
		if p := find(d.programmes, o.id); p == nil || p.source != o.source {
			d.clearAlert(&d.alarms.Programme, &o.alert, alarmProgramme, o.id, "the programme's rule for silence is not configured any more")
		}
	}
	// The limits of silence are made anew, as the configuration now has them.
	d.endSignals(func(s *signal) bool { return s.Course.Silence && !s.Course.Recovering })
	for _, p := range d.programmes {
		if p.quiet {
			d.limitSilence(p)
		}
	}
}

// silent reports whether the issuer of a programme is.
func (d *Dispatch) silent(id string) bool {
	p := find(d.programmes, id)
	return p != nil && p.quiet
}

// outlasts reports whether what a programme had in force stays in force because
// its issuer is silent.
func (d *Dispatch) outlasts(id string) bool {
	p := find(d.programmes, id)
	return p != nil && p.quiet && p.cfg.Silence.OnSilence != events.SilenceLimit
}

// hearIssuer takes a signal for a sign of life, if it is one, and reports whether
// anything changed.
func (d *Dispatch) hearIssuer(e *events.Event, g *events.GridSignal) bool {
	p := find(d.programmes, g.Programme)
	if p == nil || e.Source != p.source {
		return false
	}
	issued := p.issued
	if g.IssuedAt != nil {
		unix := g.IssuedAt.Unix()
		if unix < 0 || unix > maxUnix {
			return false
		}
		issued = g.IssuedAt.UnixNano()
		if issued <= p.issued || d.wall-issued > p.after() || issued-d.wall > int64(events.MaxStep) {
			return false
		}
	}
	d.entries -= p.hash()
	p.heard, p.heardWall, p.issued, p.quiet = d.now, d.wall, issued, false
	d.clearAlert(&d.alarms.Programme, &p.alert, alarmProgramme, p.id, "the issuer of the programme is heard again")
	d.entries += p.hash()
	return true
}

// after is how long the issuer may go without a sign of life, ns.
func (p *programme) after() int64 { return max(seconds(p.cfg.Silence.AfterSeconds, 86_400), second) }

// quietAt reports whether the issuer is silent: by either clock, so that
// neither a jump nor a gap of the journal hides it.
func (p *programme) quietAt(now, wall int64) bool {
	return p.heard < 0 || now-p.heard >= p.after() || wall-p.heardWall >= p.after()
}

// listen finds out who is silent, and what holds then.
func (d *Dispatch) listen() {
	for _, p := range d.programmes {
		quiet := p.quietAt(d.now, d.wall)
		alarm := quiet && (d.now-max(p.heard, p.since) >= p.after() || p.heard >= 0)
		if quiet == p.quiet && alarm == p.alert {
			continue
		}
		d.entries -= p.hash()
		began := quiet && !p.quiet
		p.quiet = quiet
		if alarm {
			d.raiseAlert(&d.alarms.Programme, &p.alert, alarmProgramme, p.id, events.SeverityCritical,
				"the issuer of the programme gives no sign of life: what the programme says for silence holds, and nothing of it rises",
				"check the link to the issuer and its source token in site.config; the operator may end the limit by its id "+silenceID+p.id)
		} else {
			d.clearAlert(&d.alarms.Programme, &p.alert, alarmProgramme, p.id, "the issuer of the programme has longer to speak")
		}
		d.entries += p.hash()
		if began {
			d.limitSilence(p)
		}
	}
	d.release(false, func(s *signal) bool { return s.Course.Silence && !s.Course.Recovering && !d.silent(s.Programme) })
}

// limitSilence puts in force what holds while the issuer of p is silent.
func (d *Dispatch) limitSilence(p *programme) {
	if p.cfg.Silence.OnSilence == events.SilenceHold {
		return // what is in force does not end
	}
	s := &signal{
		ID: silenceID + p.id, Kind: events.SignalCurtail, Programme: p.id, Start: d.wall, Active: true,
		Rank: (*events.ProgrammeConfig).PrecedenceOf(&p.cfg, &events.GridSignal{Kind: events.SignalCurtail}).Rank(),
		Node: nodeName(p.cfg.Node), Total: p.cfg.Measures != events.MeasuresMining, Order: d.signals.folded,
		Watts: watts(p.cfg.Silence.LimitWatts), Epoch: d.epoch, Sequence: d.sequence,
		Course: course{Reference: -1, Begin: d.wall, Silence: true,
			Delay: seconds(p.cfg.ReturnDelaySeconds, 86_400), Recovery: seconds(p.cfg.RecoverySeconds, 86_400)},
	}
	s.Course.Level = s.Watts
	d.signals.folded++
	d.keepSignal(s)
}

// nextSilence is when the next issuer falls silent, by elapsed time and by the
// wall clock.
func (d *Dispatch) nextSilence() (now, wall int64) {
	now, wall = never, never
	for _, p := range d.programmes {
		switch {
		case p.heard >= 0 && !p.quiet:
			now, wall = min(now, p.heard+p.after()), min(wall, p.heardWall+p.after())
		case !p.alert:
			// Where it is due and not raised, twenty others are.
			if at := max(p.heard, p.since) + p.after(); at > d.now {
				now = min(now, at)
			}
		}
	}
	return now, wall
}
