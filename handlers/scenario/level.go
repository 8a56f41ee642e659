// SPDX-License-Identifier: Apache-2.0

package scenario

import "github.com/ballast-energy/ballast/events"

// readLevel reads "NAME POWER at E J/TH", or "NAME POWER [wakes D]" for one at
// which the unit sleeps.
func readLevel(w *words, c *events.Capabilities) (err error) {
	var l events.PowerLevel
	if l.Name, err = w.word("the name of a level"); err != nil {
		return err
	}
	if l.Watts, err = w.power(); err != nil {
		return err
	}
	switch {
	case w.take("at"):
		if l.MillijoulesPerTerahash, err = w.scaled("efficiency such as 21 J/TH", efficiencyUnits); err != nil {
			return err
		}
		c.MillijoulesPerTerahash = l.MillijoulesPerTerahash
	case w.take("wakes"):
		d, err := w.duration()
		if err != nil {
			return err
		}
		l.BootMilliseconds = d.Milliseconds()
	}
	c.Levels = append(c.Levels, l)
	return nil
}
