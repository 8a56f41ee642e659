// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Power in watts, written with a unit: 0W, 3500 W, 12.5kW, 0.8 MW, 1GW. A bare
// number is refused: nobody should guess whether 10 means watts or megawatts.
type Power int64

var powerUnits = []struct {
	suffix string
	watts  int64
}{{"GW", 1_000_000_000}, {"MW", 1_000_000}, {"kW", 1_000}, {"W", 1}}

// ParsePower reads a power with its unit, exactly; fractions of a watt are
// refused.
func ParsePower(s string) (Power, error) {
	t := strings.TrimSpace(s)
	for _, u := range powerUnits {
		num, ok := strings.CutSuffix(t, u.suffix)
		if !ok {
			continue
		}
		num = strings.TrimSpace(num)
		x, err := decimal(num)
		if err != nil {
			return 0, fmt.Errorf("power %q: %w; write it like 12.5MW, 800kW or 3500W", s, err)
		}
		x.Mul(x, new(big.Rat).SetInt64(u.watts))
		if !x.IsInt() || !x.Num().IsInt64() {
			return 0, fmt.Errorf("power %q is no whole number of watts in range", s)
		}
		return Power(x.Num().Int64()), nil
	}
	return 0, fmt.Errorf("power %q has no unit: write it like 12.5MW, 800kW or 3500W (case matters)", s)
}

// String writes the power in its largest exact unit with up to three decimals.
func (p Power) String() string {
	for _, u := range powerUnits[:3] {
		if p != 0 && abs(int64(p)) >= u.watts {
			return trimZeros(new(big.Rat).SetFrac64(int64(p), u.watts).FloatString(3)) + u.suffix
		}
	}
	return fmt.Sprintf("%dW", int64(p))
}

// UnmarshalYAML reads a power.
func (p *Power) UnmarshalYAML(unmarshal func(any) error) error {
	var s string
	if err := unmarshal(&s); err != nil {
		return err
	}
	v, err := ParsePower(s)
	*p = v
	return err
}

// MarshalYAML writes the power with its unit.
func (p Power) MarshalYAML() (any, error) { return p.String(), nil }

// Set and Type make Power a command line flag.
func (p *Power) Set(s string) (err error) { *p, err = ParsePower(s); return err }

// Type names the flag's value in help texts.
func (p *Power) Type() string { return "power" }

// Share in parts per million, written as a percentage: 80%, 99.5%.
type Share int64

// ParseShare reads a percentage from 0% to 100%, exactly to the millionth.
func ParseShare(s string) (Share, error) {
	num, ok := strings.CutSuffix(strings.TrimSpace(s), "%")
	if !ok {
		return 0, fmt.Errorf("share %q: write it as a percentage, like 80%%", s)
	}
	x, err := decimal(strings.TrimSpace(num))
	if err != nil {
		return 0, fmt.Errorf("share %q: %w", s, err)
	}
	x.Mul(x, big.NewRat(10_000, 1))
	if !x.IsInt() || x.Sign() < 0 || x.Cmp(big.NewRat(1_000_000, 1)) > 0 {
		return 0, fmt.Errorf("share %q: use 0%% to 100%% in steps of 0.0001", s)
	}
	return Share(x.Num().Int64()), nil
}

// String writes the percentage.
func (s Share) String() string {
	return trimZeros(new(big.Rat).SetFrac64(int64(s), 10_000).FloatString(4)) + "%"
}

// UnmarshalYAML reads a percentage.
func (s *Share) UnmarshalYAML(unmarshal func(any) error) error {
	var t string
	if err := unmarshal(&t); err != nil {
		return err
	}
	v, err := ParseShare(t)
	*s = v
	return err
}

// MarshalYAML writes the percentage.
func (s Share) MarshalYAML() (any, error) { return s.String(), nil }

// Money in micro-dollars, written as dollars: 42.50.
type Money int64

// ParseMoney reads dollars, exactly to the micro-dollar.
func ParseMoney(s string) (Money, error) {
	x, err := decimal(strings.TrimPrefix(strings.TrimSpace(s), "$"))
	if err != nil {
		return 0, fmt.Errorf("money %q: %w; write dollars like 42.50", s, err)
	}
	x.Mul(x, big.NewRat(1_000_000, 1))
	if !x.IsInt() || !x.Num().IsInt64() {
		return 0, fmt.Errorf("money %q: at most six decimals", s)
	}
	return Money(x.Num().Int64()), nil
}

// String writes dollars with two to six decimals.
func (m Money) String() string {
	s := strings.TrimRight(new(big.Rat).SetFrac64(int64(m), 1_000_000).FloatString(6), "0")
	whole, frac, _ := strings.Cut(s, ".")
	for len(frac) < 2 {
		frac += "0"
	}
	return whole + "." + frac
}

// UnmarshalYAML reads dollars.
func (m *Money) UnmarshalYAML(unmarshal func(any) error) error {
	var t string
	if err := unmarshal(&t); err != nil {
		return err
	}
	v, err := ParseMoney(t)
	*m = v
	return err
}

// MarshalYAML writes dollars.
func (m Money) MarshalYAML() (any, error) { return m.String(), nil }

// Set and Type make Money a command line flag.
func (m *Money) Set(s string) (err error) { *m, err = ParseMoney(s); return err }

// Type names the flag's value in help texts.
func (m *Money) Type() string { return "dollars" }

// Duration is written like 90s, 10m or 1h30m.
type Duration time.Duration

// UnmarshalYAML reads a duration.
func (d *Duration) UnmarshalYAML(unmarshal func(any) error) error {
	var t string
	if err := unmarshal(&t); err != nil {
		return err
	}
	v, err := time.ParseDuration(t)
	if err != nil {
		return fmt.Errorf("duration %q: write it like 500ms, 90s, 10m or 1h30m", t)
	}
	*d = Duration(v)
	return nil
}

// MarshalYAML writes the duration.
func (d Duration) MarshalYAML() (any, error) { return time.Duration(d).String(), nil }

// Millis is the duration in whole milliseconds.
func (d Duration) Millis() int64 { return time.Duration(d).Milliseconds() }

// Seconds is the duration in whole seconds.
func (d Duration) Seconds() int64 { return int64(time.Duration(d) / time.Second) }

// decimal reads a plain decimal number exactly.
func decimal(s string) (*big.Rat, error) {
	if s == "" || len(s) > 32 || strings.Trim(s, "+-0123456789.") != "" {
		return nil, fmt.Errorf("%q is no plain decimal number", s)
	}
	x, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("%q is no plain decimal number", s)
	}
	return x, nil
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
