// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"errors"
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// MaxSkew is how far a date may be from the arrival of the message that
// carries it.
const MaxSkew = time.Hour

// verdict is why a message is unusable; nil error means it is fine.
type verdict struct {
	reason events.DeadReason
	err    error
}

// check judges one stored message. known tells whether a site exists.
func check(dec *events.Decoder, m *bus.Raw, known func(site string) bool) verdict {
	a, err := events.ParseSubject(m.Subject)
	if err != nil {
		return verdict{events.DeadSubject, err}
	}
	if a.Relayed {
		// The original is judged in its own stream; here it must only say
		// which one that is.
		if m.Header.Get(events.HeaderOrigin) == "" {
			return verdict{events.DeadInvalid, fmt.Errorf("a relayed fact without header %s", events.HeaderOrigin)}
		}
		return verdict{}
	}
	e, err := m.Decode(dec)
	if err != nil {
		var d *events.DecodeError
		if errors.As(err, &d) {
			return verdict{d.Reason, d.Err}
		}
		return verdict{events.DeadUnreadable, err}
	}
	if !known(e.Site) {
		return verdict{events.DeadUnknownSite, fmt.Errorf("site %q has no configuration; publish site.config for it, or correct the subject", e.Site)}
	}
	return checkDates(m.Stream, e)
}

// checkDates refuses dates that cannot be. Outputs of deciders carry the time
// of their cause, however late they are stored: they are not judged.
func checkDates(stream string, e *events.Event) verdict {
	if stream == events.StreamCommands || stream == events.StreamRevenue {
		return verdict{}
	}
	if v := checkDate("ce-time", e.Time, e.Arrived); v.err != nil {
		return v
	}
	switch p := e.Data.(type) {
	case *events.MeterReading:
		return checkDate("sampled_at", p.SampledAt, e.Arrived)
	case *events.ClockTick:
		return checkDate("second", time.Unix(p.Second, 0), e.Arrived)
	}
	return verdict{}
}

func checkDate(what string, t, arrived time.Time) verdict {
	if t.IsZero() {
		return verdict{}
	}
	if d := t.Sub(arrived); d > MaxSkew || d < -MaxSkew {
		return verdict{events.DeadTooOld, fmt.Errorf("%s is %s, the message arrived at %s: more than %s apart; check the sender's clock",
			what, t.UTC().Format(time.RFC3339), arrived.UTC().Format(time.RFC3339), MaxSkew)}
	}
	return verdict{}
}
