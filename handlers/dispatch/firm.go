// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"github.com/ballast-energy/ballast/events"
)

// defaultFirm are the spans of firm headroom of a site that names none, and
// defaultFirmPPM its probability.
var defaultFirm = []int64{300, 900, 3600}

const defaultFirmPPM = 950_000

// firm takes the spans of firm headroom from a configuration, in ns.
func (s *settings) firm(p *events.PolicyConfig) {
	spans := p.FirmSeconds
	if len(spans) == 0 {
		spans = defaultFirm
	}
	s.firmSpans = nil
	for _, v := range spans[:min(len(spans), events.MaxFirm)] {
		s.firmSpans = append(s.firmSpans, clamp(v, 1, 86_400)*second)
	}
	if s.firmPPM = clamp(p.FirmProbabilityPPM, 0, 999_999); s.firmPPM == 0 {
		s.firmPPM = defaultFirmPPM
	}
}

// learnBooked learns how the booked load of n (AI, house and reserve) rises: what it
// rises by, headroom loses.
func (d *Dispatch) learnBooked(n *node) {
	spans := d.site.firmSpans
	if len(n.firms) != len(spans) {
		old := n.firms
		n.firms = make([]rise, len(spans))
		copy(n.firms, old)
	}
	booked := n.load.AI + n.load.House + n.load.Reserve
	for i := range n.firms {
		n.firms[i].reset(spans[i], d.site.firmPPM)
		n.firms[i].push(d.now, booked)
	}
}

// firmHeadroom is what is still free after one span.
type firmHeadroom struct {
	watts   int64
	learned bool
}

// firmAt is what is free at n by itself after each span.
func (d *Dispatch) firmAt(n *node, f *free) {
	for i := range n.firms {
		r := &n.firms[i]
		f.after[i] = firmHeadroom{watts: n.load.Headroom - r.Watts, learned: r.learned()}
	}
}

// firmOf is f as it is published.
func (d *Dispatch) firmOf(f *free) []events.FirmHeadroom {
	var out []events.FirmHeadroom
	for i, span := range d.site.firmSpans {
		if a := f.after[i]; a.learned {
			out = append(out, events.FirmHeadroom{Seconds: span / second, Watts: a.watts})
		}
	}
	return out
}
