// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/signals"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/siteview"
	"github.com/ballast-energy/ballast/events"
)

// styles of the parts of the screen.
type styles struct {
	title, dim, good, warn, bad             lipgloss.Style
	ai, house, reserve, mining, free, limit lipgloss.Style
}

func newStyles(r *lipgloss.Renderer) styles {
	fg := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return styles{
		title: r.NewStyle().Bold(true), dim: r.NewStyle().Faint(true),
		good: fg("2"), warn: fg("3"), bad: fg("1").Bold(true),
		ai: fg("4"), house: fg("6"), reserve: fg("8"), mining: fg("3"), free: fg("8"), limit: fg("1"),
	}
}

// render draws one site into width columns and at most height lines: what does
// not fit in width is cut, what does not fit in height is left out from the
// bottom, so that power and limit are the last to go.
func render(p siteview.Picture, st styles, width, height int, describe func(*events.Event) string) string {
	var lines []string
	fit := lipgloss.NewStyle().MaxWidth(max(width, 1))
	line := func(format string, args ...any) { lines = append(lines, fit.Render(fmt.Sprintf(format, args...))) }

	up := p.Now.Sub(p.Since).Round(time.Second)
	line("%s  %s", st.title.Render("Ballast · site "+p.Site), st.dim.Render(fmt.Sprintf("up %s · Ctrl-C ends with a summary", up)))
	if p.Config == nil {
		line("%s", st.warn.Render("waiting for the site's configuration"))
		return strings.Join(lines, "\n")
	}
	line("")
	reserve := int64(0)
	if d := p.Decided; d != nil {
		reserve = d.ReserveWatts
	}
	line("%s", powerBar(p, reserve, st, width))
	line("")
	line("  %s %-8s %s %-8s %s %-8s %s %s%s", st.ai.Render("█ AI"), power(p.AIWatts), st.house.Render("█ house"), power(p.HouseWatts),
		st.limit.Render("│ limit"), power(p.Config.LimitWatts), st.mining.Render("█ mining"), power(p.MiningWatts), modelled(p))
	if d := p.Decided; d != nil {
		line("  headroom %-9s permitted %-9s %s %-9s bound by %s", power(d.HeadroomWatts), power(p.SetpointWatts), st.reserve.Render("░ reserve"), power(reserve), st.title.Render(string(d.Binding)))
		if d.CeilingWatts != nil {
			line("  %s", st.warn.Render(fmt.Sprintf("ceiling %s by signal %s", power(*d.CeilingWatts), d.SignalID)))
		}
	}
	for i, r := range p.Signals {
		if i == maxSignals {
			line("  %s", st.dim.Render(fmt.Sprintf("and %d more signals: ballast signal ls", len(p.Signals)-i)))
			break
		}
		line("  %s", signalLine(&r, st))
	}
	line("  %d of %d units on, %d in failsafe   %s (%s modelled)", p.UnitsOn, p.Units, p.Failsafe, Hashrate(p.HashrateMHs), Hashrate(p.ModelledMHs))
	if p.PriceMicrousdPerMWh != nil {
		line("  energy %s $/MWh", config.Money(*p.PriceMicrousdPerMWh))
	}
	line("")
	for _, basis := range []events.Basis{events.BasisLive, events.BasisPractice, events.BasisModelled} {
		if p.Accepted[basis]+p.Rejected[basis]+p.Unknown[basis]+p.Millisats[basis] == 0 {
			continue
		}
		note := ""
		if basis != events.BasisLive {
			note = st.dim.Render(" (no money)")
		}
		line("  %-8s shares %d accepted, %d rejected, %d unknown   %s%s", basis, p.Accepted[basis], p.Rejected[basis], p.Unknown[basis],
			st.good.Render(sats(p.Millisats[basis])), note)
	}
	over := st.good.Render("0s over the limit")
	if p.OverLimit > 0 {
		over = st.bad.Render(fmt.Sprintf("%s over the limit, %s of it by mining (at most %s)", p.OverLimit.Round(100*time.Millisecond), p.OverByMining.Round(100*time.Millisecond), power(p.OverMaxWatts)))
	}
	line("  %s", over)
	line("  commands decided p50 %s p99 %s, applied p50 %s p99 %s", ms(p.Decision.Percentile(50)), ms(p.Decision.Percentile(99)), ms(p.Applied.Percentile(50)), ms(p.Applied.Percentile(99)))
	for _, a := range p.Alerts {
		line("  %s %s", st.bad.Render("ALERT "+a.Alert), a.Message+" → "+a.Remedy)
	}
	line("")
	recent := p.Recent
	if n := len(recent) - max(height-len(lines), 0); n > 0 {
		recent = recent[n:]
	}
	for _, l := range recent {
		line("  %s %-16s %s", st.dim.Render(l.At.UTC().Format("15:04:05.000")), l.Event.Type, describe(l.Event))
	}
	return strings.Join(lines[:min(len(lines), max(height, 1))], "\n")
}

// maxSignals drawn one by one.
const maxSignals = 4

// signalLine says what a signal asks for, of whom, and in which state it is.
func signalLine(r *signals.Row, st styles) string {
	s := r.Signal
	style := st.dim
	if r.State == signals.InForce || r.State == signals.Ramping {
		style = st.warn
	}
	what := string(s.Kind)
	if s.PowerWatts != nil {
		what += " " + power(*s.PowerWatts)
	}
	if r.Node != "" {
		what += " at " + r.Node
	}
	if s.Programme != "" {
		what += " (" + s.Programme + ")"
	}
	when := ""
	switch {
	case r.State == signals.Announced:
		when = " from " + r.StartsAt.UTC().Format(time.TimeOnly)
	case r.State == signals.Recovering:
		when = " until " + r.RecoveredAt.UTC().Format(time.TimeOnly)
	case !r.EndsAt.IsZero():
		when = " until " + r.EndsAt.UTC().Format(time.TimeOnly)
	}
	return style.Render(fmt.Sprintf("signal %s %s%s, %s of %s", what, r.State, when, r.ID, r.Source))
}

// powerBar draws 0 W to the limit and a little beyond.
func powerBar(p siteview.Picture, reserve int64, st styles, width int) string {
	cols := int64(max(width-4, 20))
	scale := max(p.Config.LimitWatts*21/20, p.AIWatts+p.HouseWatts+p.MiningWatts, 1)
	limitAt := p.Config.LimitWatts * cols / scale
	var b strings.Builder
	b.WriteString("  ")
	at, sum := int64(0), int64(0)
	part := func(s lipgloss.Style, glyph string, w int64) {
		sum += max(w, 0)
		to := min(sum*cols/scale, cols)
		for ; at < to; at++ {
			if at == limitAt {
				b.WriteString(st.limit.Render("│"))
				continue
			}
			b.WriteString(s.Render(glyph))
		}
	}
	part(st.ai, "█", p.AIWatts)
	part(st.house, "█", p.HouseWatts)
	part(st.mining, "█", p.MiningWatts)
	part(st.reserve, "░", min(reserve, p.Config.LimitWatts-sum))
	part(st.free, "·", scale-sum)
	return b.String()
}

// power writes watts in four digits at most, of even width: the exact figure
// is in the events.
func power(w int64) string {
	for _, u := range []struct {
		watts int64
		name  string
	}{{1_000_000_000, "GW"}, {1_000_000, "MW"}, {1000, "kW"}} {
		if abs(w) < u.watts {
			continue
		}
		places := 3
		for n := abs(w) / u.watts; n >= 10 && places > 1; n /= 10 {
			places--
		}
		return new(big.Rat).SetFrac64(w, u.watts).FloatString(places) + " " + u.name
	}
	return fmt.Sprintf("%d W", w)
}

// sats writes whole satoshi from a thousand on, else with their fraction.
func sats(msat int64) string {
	if abs(msat) >= 1_000_000 {
		s := strconv.FormatInt(msat/1000, 10)
		for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
			s = s[:i] + "," + s[i:]
		}
		return s + " sat"
	}
	return fmt.Sprintf("%d.%03d sat", msat/1000, abs(msat%1000))
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000) }

// modelled says how much of the mining power is not measured, if any.
func modelled(p siteview.Picture) string {
	switch p.ModelledWatts {
	case 0:
		return ""
	case p.MiningWatts:
		return " (modelled)"
	}
	return " (" + power(p.ModelledWatts) + " modelled)"
}

// Hashrate writes MH/s in the unit in which three digits say it.
func Hashrate(mhs int64) string {
	for _, u := range []struct {
		mhs  int64
		name string
	}{{1_000_000_000_000, "EH/s"}, {1_000_000_000, "PH/s"}, {1_000_000, "TH/s"}, {1000, "GH/s"}} {
		if mhs >= u.mhs {
			return fmt.Sprintf("%d.%02d %s", mhs/u.mhs, mhs%u.mhs*100/u.mhs, u.name)
		}
	}
	return fmt.Sprintf("%d MH/s", mhs)
}
