// SPDX-License-Identifier: Apache-2.0

package signals

import (
	"maps"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Programme is one grid programme of a site as it stands.
type Programme struct {
	Site string `json:"site"`
	// Programme as configured.
	Programme events.ProgrammeConfig `json:"programme"`
	// State of the signal of it that matters most: in force before ramping,
	// recovering and announced; empty when there is none.
	State State `json:"state,omitempty"`
	// Signals of it that are live, by id.
	Signals []string `json:"signals,omitempty"`
	// HeardAt is the last sign of life of an issuer that repeats itself, and
	// Silent whether it is too old, or there was none.
	HeardAt time.Time `json:"heard_at,omitzero"`
	Silent  bool      `json:"silent,omitempty"`
}

// hear takes a signal for a sign of life of its programme's issuer, if it is
// one.
func (b *Book) hear(ev *events.Event, s *events.GridSignal, p *events.ProgrammeConfig) {
	if p == nil || p.Silence == nil || p.Silence.Source != ev.Source {
		return
	}
	k := programmeKey{ev.Site, p.Programme}
	last := b.heard[k]
	if s.IssuedAt != nil {
		age := ev.Arrived.Sub(*s.IssuedAt)
		if !s.IssuedAt.After(last.issued) || age > seconds(p.Silence.AfterSeconds) || age < -events.MaxStep {
			return
		}
		last.issued = *s.IssuedAt
	}
	last.at = ev.Arrived
	b.heard[k] = last
}

// Programmes are those of all sites as of now, by site, in the order of the
// configuration.
func (b *Book) Programmes(now time.Time) []Programme {
	rows := b.Rows(now)
	var out []Programme
	for _, site := range slices.Sorted(maps.Keys(b.configs)) {
		for _, c := range b.configs[site].Programmes {
			p := Programme{Site: site, Programme: c}
			for i := range rows {
				r := &rows[i]
				if r.Site != site || r.Signal.Programme != c.Programme || !r.State.Live() || r.Signal.Kind == events.SignalPrice {
					continue
				}
				p.Signals = append(p.Signals, r.ID)
				if weight(r.State) > weight(p.State) {
					p.State = r.State
				}
			}
			if c.Silence != nil {
				last := b.heard[programmeKey{site, c.Programme}]
				p.HeardAt = last.at
				p.Silent = last.at.IsZero() || now.Sub(last.at) >= seconds(c.Silence.AfterSeconds)
			}
			out = append(out, p)
		}
	}
	return out
}

func weight(s State) int {
	return slices.Index([]State{"", Announced, Recovering, Ramping, InForce}, s)
}
