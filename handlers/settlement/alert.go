// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"slices"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// maxAlerts bounds how many alerts stand at once.
const maxAlerts = 1024

// alert stands until a whole interval went by without its cause.
type alert struct {
	ID string
	// Last is when its cause was last seen, Unix ns.
	Last int64
}

// raise raises an alert unless it stands already.
func (d *Decider) raise(id string, severity events.Severity, message, remedy string) {
	i, ok := slices.BinarySearchFunc(d.Alerts, id, func(a alert, id string) int { return strings.Compare(a.ID, id) })
	if ok {
		d.Alerts[i].Last = d.Now
		return
	}
	if len(d.Alerts) >= maxAlerts {
		return
	}
	d.Alerts = slices.Insert(d.Alerts, i, alert{id, d.Now})
	d.mixText(id)
	d.out.Put(events.SiteSource, &events.AlertRaised{Alert: id, Severity: severity, Message: message, Remedy: remedy})
}

// clearAlerts ends the alerts whose cause did not occur since before the
// interval that just closed.
func (d *Decider) clearAlerts(iv *interval) {
	kept := d.Alerts[:0]
	for _, a := range d.Alerts {
		if a.Last >= iv.Start {
			kept = append(kept, a)
			continue
		}
		d.mixText(a.ID)
		d.out.Put(events.SiteSource, &events.AlertCleared{Alert: a.ID, Message: "did not occur again for a whole settlement interval"})
	}
	clear(d.Alerts[len(kept):])
	d.Alerts = kept
}
