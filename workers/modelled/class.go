// SPDX-License-Identifier: Apache-2.0

package modelled

import (
	"fmt"
	"time"
)

// Level is one power level of a machine.
type Level struct {
	// Watts drawn at the meter, and the hash rate at it in GH/s.
	Watts       int64
	HashrateGHs int64
}

// Class is a kind of machine by its nameplate.
type Class struct {
	// Name for people and reports: "s21".
	Name string
	// Levels besides off, rising in watts and hash rate.
	Levels []Level
	// Fall from a reduction to the new draw; Boot of full draw without a
	// hash after a start.
	Fall, Boot time.Duration
}

// Machines by their vendors' figures. Fall is the slower end of what they show
// in sleep mode, boot that of fast firmware; stock firmware takes 1 to 10
// minutes.
var (
	// AntminerS21XP: 270 TH/s at 3,645 W, 13.5 J/TH.
	AntminerS21XP = Class{Name: "s21xp", Levels: []Level{{1823, 135_000}, {3645, 270_000}}, Fall: 5 * time.Second, Boot: time.Minute}
	// AntminerS21: 200 TH/s at 3,500 W, 17.5 J/TH.
	AntminerS21 = Class{Name: "s21", Levels: []Level{{1750, 100_000}, {3500, 200_000}}, Fall: 5 * time.Second, Boot: time.Minute}
	// WhatsMinerM66SPlus: 314 TH/s at 5,338 W, 17 J/TH.
	WhatsMinerM66SPlus = Class{Name: "m66s-plus", Levels: []Level{{2669, 157_000}, {5338, 314_000}}, Fall: 5 * time.Second, Boot: time.Minute}
	// BitaxeGamma: 1.2 TH/s at 18 W, 15 J/TH.
	BitaxeGamma = Class{Name: "bitaxe-gamma", Levels: []Level{{18, 1200}}, Fall: 2 * time.Second, Boot: 10 * time.Second}
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
func (c *Class) MillijoulesPerTerahash() int64 {
	f := c.full()
	return (f.Watts*1_000_000 + f.HashrateGHs - 1) / f.HashrateGHs
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

func (c *Class) validate() error {
	if c.Name == "" || len(c.Levels) == 0 {
		return fmt.Errorf("machine class %q: a name and at least one power level are needed", c.Name)
	}
	var last Level
	for _, l := range c.Levels {
		if l.Watts <= last.Watts || l.HashrateGHs <= last.HashrateGHs {
			return fmt.Errorf("machine class %s: level of %d W and %d GH/s does not rise above %d W and %d GH/s", c.Name, l.Watts, l.HashrateGHs, last.Watts, last.HashrateGHs)
		}
		last = l
	}
	if c.Fall < 0 || c.Boot < 0 {
		return fmt.Errorf("machine class %s: fall %s and boot %s must not be negative", c.Name, c.Fall, c.Boot)
	}
	return nil
}
