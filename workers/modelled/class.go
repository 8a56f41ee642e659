// SPDX-License-Identifier: Apache-2.0

package modelled

import (
	"fmt"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// Level is one power level of a machine.
type Level struct {
	// Name for people: "eco"; default "level-N", counted from 1.
	Name string
	// Watts drawn at the meter, and the hash rate at it in GH/s: 0 of the lowest
	// of several levels for a machine that sleeps there.
	Watts       int64
	HashrateGHs int64
}

// sleeps reports whether the machine is on and hashes nothing.
func (l Level) sleeps() bool { return l.Watts > 0 && l.HashrateGHs == 0 }

// MillijoulesPerTerahash of the level, rounded up; 0 of one that hashes nothing.
func (l Level) MillijoulesPerTerahash() int64 {
	if l.HashrateGHs == 0 {
		return 0
	}
	return (l.Watts*1_000_000 + l.HashrateGHs - 1) / l.HashrateGHs
}

// Class is a kind of machine by its nameplate.
type Class struct {
	// Name for people and reports: "s21".
	Name string
	// Levels besides off, rising in watts and hash rate.
	Levels []Level
	// Fall from a reduction to the new draw; Boot of full draw without a
	// hash after a start from off, Wake of that from a level that sleeps.
	Fall, Boot, Wake time.Duration
}

// Machines by their vendors' figures. Fall is the slower end of what they show
// in sleep mode, boot that of fast firmware; stock firmware takes 1 to 10
// minutes.
var (
	// AntminerS21XP: 270 TH/s at 3,645 W, 13.5 J/TH.
	AntminerS21XP = Class{Name: "s21xp", Levels: []Level{{"half", 1823, 135_000}, {"full", 3645, 270_000}}, Fall: 5 * time.Second, Boot: time.Minute}
	// AntminerS21: 200 TH/s at 3,500 W, 17.5 J/TH.
	AntminerS21 = Class{Name: "s21", Levels: []Level{{"half", 1750, 100_000}, {"full", 3500, 200_000}}, Fall: 5 * time.Second, Boot: time.Minute}
	// WhatsMinerM66SPlus: 314 TH/s at 5,338 W, 17 J/TH.
	WhatsMinerM66SPlus = Class{Name: "m66s-plus", Levels: []Level{{"half", 2669, 157_000}, {"full", 5338, 314_000}}, Fall: 5 * time.Second, Boot: time.Minute}
	// BitaxeGamma: 1.2 TH/s at 18 W, 15 J/TH.
	BitaxeGamma = Class{Name: "bitaxe-gamma", Levels: []Level{{"full", 18, 1200}}, Fall: 2 * time.Second, Boot: 10 * time.Second}
)

// Classes lists the machines that the package knows, by name.
func Classes() map[string]Class {
	m := make(map[string]Class)
	for _, c := range []Class{AntminerS21XP, AntminerS21, WhatsMinerM66SPlus, BitaxeGamma} {
		m[c.Name] = c
	}
	return m
}

// full is the highest level.
func (c *Class) full() Level { return c.Levels[len(c.Levels)-1] }

// MillijoulesPerTerahash at full power, rounded up.
func (c *Class) MillijoulesPerTerahash() int64 { return c.full().MillijoulesPerTerahash() }

// announced are the levels as a status tells of them, and the watts of those
// that hash.
func (c *Class) announced() (levels []events.PowerLevel, hashing []int64) {
	for i, l := range c.Levels {
		p := events.PowerLevel{Name: l.Name, Watts: l.Watts, MillijoulesPerTerahash: l.MillijoulesPerTerahash()}
		if p.Name == "" {
			p.Name = fmt.Sprintf("level-%d", i+1)
		}
		if l.sleeps() {
			p.BootMilliseconds = c.Wake.Milliseconds()
		} else {
			hashing = append(hashing, l.Watts)
		}
		levels = append(levels, p)
	}
	return levels, hashing
}

// at returns the highest level within watts, and the zero Level when there is
// none: off.
func (c *Class) at(watts int64) Level {
	var l Level
	for _, k := range c.Levels {
		if k.Watts <= watts {
			l = k
		}
	}
	return l
}

// Validate checks that the levels rise and the times are not negative.
func (c *Class) Validate() error {
	if c.Name == "" || len(c.Levels) == 0 {
		return fmt.Errorf("machine class %q: a name and at least one power level are needed", c.Name)
	}
	var last Level
	for i, l := range c.Levels {
		if l.Name != "" {
			if err := events.CheckToken("level", l.Name); err != nil {
				return fmt.Errorf("machine class %s: %w", c.Name, err)
			}
		}
		if sleeps := i == 0 && len(c.Levels) > 1 && l.HashrateGHs == 0; l.Watts <= last.Watts || l.HashrateGHs <= last.HashrateGHs && !sleeps {
			return fmt.Errorf("machine class %s: level of %d W and %d GH/s does not rise above %d W and %d GH/s", c.Name, l.Watts, l.HashrateGHs, last.Watts, last.HashrateGHs)
		}
		last = l
	}
	if c.Fall < 0 || c.Boot < 0 || c.Wake < 0 {
		return fmt.Errorf("machine class %s: fall %s, boot %s and wake %s must not be negative", c.Name, c.Fall, c.Boot, c.Wake)
	}
	return nil
}
