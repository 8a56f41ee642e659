// SPDX-License-Identifier: Apache-2.0

package dispatch

import "github.com/ballast-energy/ballast/events"

// weighSignals works out what the live signals together say: the lowest limit
// rules; among equal limits precedence, then priority, then age names the one
// that binds.
func (d *Dispatch) weighSignals() {
	st := &d.signals
	st.now = inForce{ceiling: -1, importLimit: -1, setpointRank: 9, priceRank: events.PrecedenceEconomics.Rank()}
	var ceiling, imports, price *signal
	for _, s := range st.live {
		if !s.Active {
			continue
		}
		switch s.Kind {
		case events.SignalImportLimit:
			if imports == nil || lowerLimit(s, imports) {
				imports = s
			}
		case events.SignalPrice:
			if price == nil || betterPrice(s, price) {
				price = s
			}
		case events.SignalSetpoint:
			st.now.setpointRank = min(st.now.setpointRank, s.Rank)
			fallthrough
		case events.SignalCurtail, events.SignalEmergency, events.SignalStop:
			if ceiling == nil || lowerLimit(s, ceiling) {
				ceiling = s
			}
		}
	}
	if ceiling != nil {
		st.now.ceiling, st.now.ceilingID, st.now.reason = ceiling.Watts, ceiling.ID, reasonOf(ceiling.Kind)
	}
	if imports != nil {
		st.now.importLimit, st.now.importID = imports.Watts, imports.ID
	}
	if price != nil {
		st.now.priced, st.now.price, st.now.priceRank = true, price.Price, price.Rank
	}
}

// lowerLimit reports whether a binds rather than b.
func lowerLimit(a, b *signal) bool {
	if a.Watts != b.Watts {
		return a.Watts < b.Watts
	}
	return outranks(a, b)
}

func outranks(a, b *signal) bool {
	if a.Rank != b.Rank {
		return a.Rank < b.Rank
	}
	if a.Priority != b.Priority {
		return a.Priority < b.Priority
	}
	return a.Order < b.Order
}

// betterPrice reports whether a is the price rather than b: precedence, then
// priority, then the newer one.
func betterPrice(a, b *signal) bool {
	if a.Rank != b.Rank {
		return a.Rank < b.Rank
	}
	if a.Priority != b.Priority {
		return a.Priority < b.Priority
	}
	return newerPrice(a, b)
}

func reasonOf(k events.SignalKind) events.Reason {
	switch k {
	case events.SignalStop:
		return events.ReasonStop
	case events.SignalEmergency:
		return events.ReasonEmergency
	case events.SignalSetpoint:
		return events.ReasonGridSetpoint
	}
	return events.ReasonGridCurtail
}
