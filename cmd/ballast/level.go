// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/workers/modelled"
)

// levelFlags are power levels of modelled machines in place of those of their
// class: sleep=60W@8s, eco=2400W@15J/TH, full=3500W@17.5J/TH.
type levelFlags struct {
	levels []modelled.Level
	wake   time.Duration
}

const levelUsage = "a power level of the machines, instead of those of the class: `NAME=POWER@J/TH`, like eco=2400W@15J/TH; " +
	"one they sleep at, like sleep=60W@8s, where 8s is how long they take to hash from there; repeat it, lowest first"

var _ pflag.Value = (*levelFlags)(nil)

// Set reads one level.
func (f *levelFlags) Set(s string) error {
	name, rest, ok := strings.Cut(s, "=")
	power, how, also := strings.Cut(rest, "@")
	if !ok || !also {
		return fmt.Errorf("level %q: write it like eco=2400W@15J/TH, or sleep=60W@8s for one that hashes nothing", s)
	}
	w, err := config.ParsePower(power)
	if err != nil {
		return fmt.Errorf("level %q: %w", s, err)
	}
	l := modelled.Level{Name: name, Watts: int64(w)}
	if eff, hashes := strings.CutSuffix(how, "J/TH"); hashes {
		// Money has the decimals that are needed: 17.5 J/TH in millionths.
		e, err := config.ParseMoney(strings.TrimSpace(eff))
		if err != nil || e < 1_000 || e%1_000 != 0 {
			return fmt.Errorf("level %q: %q is no efficiency: write it like 17.5J/TH, to the mJ/TH", s, how)
		}
		l.HashrateGHs = int64(w) * 1_000_000_000 / int64(e)
	} else if f.wake, err = time.ParseDuration(how); err != nil || f.wake < 0 {
		return fmt.Errorf("level %q: %q is neither an efficiency like 15J/TH nor a time like 8s", s, how)
	}
	f.levels = append(f.levels, l)
	return nil
}

// Type implements pflag.Value.
func (f *levelFlags) Type() string { return "level" }

// String implements pflag.Value.
func (f *levelFlags) String() string {
	if f == nil || len(f.levels) == 0 {
		return ""
	}
	names := make([]string, len(f.levels))
	for i, l := range f.levels {
		names[i] = fmt.Sprintf("%s=%s", l.Name, config.Power(l.Watts))
	}
	return strings.Join(names, ",")
}

// apply puts the levels in place of those of c, if there are any.
func (f *levelFlags) apply(c *modelled.Class) error {
	if len(f.levels) == 0 {
		return nil
	}
	c.Levels, c.Wake = f.levels, f.wake
	if err := c.Validate(); err != nil {
		return fmt.Errorf("--level: %w", err)
	}
	return nil
}
