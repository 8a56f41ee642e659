// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
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

// render draws one site into width columns and at most height lines.
func render(p siteview.Picture, st styles, width, height int, describe func(*events.Event) string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }

	up := p.Now.Sub(p.Since).Round(time.Second)
	line("%s  %s", st.title.Render("Ballast · site "+p.Site), st.dim.Render(fmt.Sprintf("up %s · Ctrl-C ends with a summary", up)))
	if p.Config == nil {
		line("%s", st.warn.Render("waiting for the site's configuration"))
		return b.String()
	}
	line("")
	reserve := int64(0)
	if d := p.Decided; d != nil {
		reserve = d.ReserveWatts
	}
	line("%s", powerBar(p, reserve, st, width))
	line("")
	line("  %s %-11s %s %-11s %s %-11s %s %s", st.ai.Render("■ AI"), power(p.AIWatts), st.house.Render("■ house"), power(p.HouseWatts),
		st.mining.Render("■ mining"), power(p.MiningWatts), st.limit.Render("│ limit"), power(p.Config.LimitWatts))
	if d := p.Decided; d != nil {
		ceiling := ""
		if d.CeilingWatts != nil {
			ceiling = st.warn.Render(fmt.Sprintf("   ceiling %s by %s", power(*d.CeilingWatts), d.SignalID))
		}
		line("  headroom %-10s permitted %-10s reserve %-10s bound by %s%s", power(d.HeadroomWatts), power(p.SetpointWatts), power(reserve), st.title.Render(string(d.Binding)), ceiling)
	}
	price := ""
	if p.PriceMicrousdPerMWh != nil {
		price = "   energy " + config.Money(*p.PriceMicrousdPerMWh).String() + " $/MWh"
	}
	line("  %d of %d units on, %d in failsafe   %s (%s modelled)%s", p.UnitsOn, p.Units, p.Failsafe, hashrate(p.HashrateGHs), hashrate(p.ModelledGHs), price)
	line("")
	for _, basis := range []events.Basis{events.BasisLive, events.BasisPractice, events.BasisModelled} {
		if p.Accepted[basis]+p.Rejected[basis]+p.Unknown[basis]+p.Millisats[basis] == 0 {
			continue
		}
		note := ""
		if basis != events.BasisLive {
			note = st.dim.Render("  (" + string(basis) + ": no money)")
		}
		line("  shares %-9s %6d accepted  %d rejected  %d unknown   %s%s", basis, p.Accepted[basis], p.Rejected[basis], p.Unknown[basis],
			st.good.Render(sats(p.Millisats[basis])), note)
	}
	over := st.good.Render("0s over the limit")
	if p.OverLimit > 0 {
		over = st.bad.Render(fmt.Sprintf("%s over the limit, %s of it by mining (at most %s)", p.OverLimit.Round(100*time.Millisecond), p.OverByMining.Round(100*time.Millisecond), power(p.OverMaxWatts)))
	}
	line("  %s   commands decided p50 %s p99 %s, applied p50 %s p99 %s", over, ms(p.Decision.Percentile(50)), ms(p.Decision.Percentile(99)), ms(p.Applied.Percentile(50)), ms(p.Applied.Percentile(99)))
	for _, a := range p.Alerts {
		line("  %s %s", st.bad.Render("ALERT "+a.Alert), a.Message+" → "+a.Remedy)
	}
	line("")
	used := strings.Count(b.String(), "\n")
	room := max(height-used-1, 0)
	recent := p.Recent
	if n := len(recent) - room; n > 0 {
		recent = recent[n:]
	}
	for _, l := range recent {
		text := fmt.Sprintf("  %s %-18s %s", st.dim.Render(l.At.UTC().Format("15:04:05.000")), l.Event.Type, describe(l.Event))
		b.WriteString(lipgloss.NewStyle().MaxWidth(width).Render(text) + "\n")
	}
	return b.String()
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

func power(w int64) string { return config.Power(w).String() }

func sats(msat int64) string { return fmt.Sprintf("%d.%03d sat", msat/1000, abs(msat%1000)) }

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1fms", float64(d.Microseconds())/1000) }

// hashrate picks the unit in which three digits say it.
func hashrate(ghs int64) string {
	switch {
	case ghs >= 1_000_000_000:
		return fmt.Sprintf("%d.%02d EH/s", ghs/1_000_000_000, ghs%1_000_000_000/10_000_000)
	case ghs >= 1_000_000:
		return fmt.Sprintf("%d.%02d PH/s", ghs/1_000_000, ghs%1_000_000/10_000)
	case ghs >= 1000:
		return fmt.Sprintf("%d.%02d TH/s", ghs/1000, ghs%1000/10)
	}
	return fmt.Sprintf("%d GH/s", ghs)
}
