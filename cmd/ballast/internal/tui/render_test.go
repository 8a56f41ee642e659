// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/signals"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/siteview"
	"github.com/ballast-energy/ballast/events"
)

func picture() siteview.Picture {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return siteview.Picture{
		Site: "demo", Since: now.Add(-time.Minute), Now: now,
		Config:  &events.SiteConfig{LimitWatts: 10_000_000},
		AIWatts: 4_000_000, MiningWatts: 3_000_000, ModelledWatts: 2_000_000, Units: 900, UnitsOn: 850, HashrateMHs: 171_400_000_000,
		Decided:  &events.DispatchDecided{Binding: events.ReasonHeadroom, ReserveWatts: 500_000},
		Accepted: map[events.Basis]int64{events.BasisPractice: 12}, Millisats: map[events.Basis]int64{events.BasisPractice: 1500},
		Alerts: []events.AlertRaised{{Alert: "meter-stale/ai", Message: "silent", Remedy: "look at it"}},
		Recent: []siteview.Line{{At: now, Event: events.New("demo", "fleet", &events.CommandCurtail{})}},
	}
}

func TestRenderShowsWhatMatters(t *testing.T) {
	plain := newStyles(lipgloss.NewRenderer(io.Discard))
	screen := render(picture(), plain, 100, 40, func(*events.Event) string { return "30 units to 0W" })
	for _, want := range []string{"site demo", "4.000 MW", "3.000 MW (2.000 MW modelled)", "10.00 MW", "bound by headroom", "850 of 900 units", "171.40 PH/s", "practice", "no money", "1.500 sat", "ALERT meter-stale/ai", "look at it", "30 units to 0W"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the screen lacks %q:\n%s", want, screen)
		}
	}
	if strings.Contains(screen, "\x1b[") {
		t.Error("colours although the output is no terminal")
	}
}

func TestSignalsAreDrawn(t *testing.T) {
	p := picture()
	w := int64(500_000)
	row := signals.Row{ID: "eea", Source: "ercot", State: signals.InForce, Node: "ups-a", EndsAt: p.Now.Add(time.Minute),
		Signal: &events.GridSignal{Kind: events.SignalCurtail, PowerWatts: &w, Programme: "ers-10"}}
	next := row
	next.State, next.StartsAt, next.Signal = signals.Announced, p.Now.Add(time.Hour), &events.GridSignal{Kind: events.SignalEmergency}
	back := row
	back.State, back.RecoveredAt = signals.Recovering, p.Now.Add(2*time.Minute)
	p.Signals = []signals.Row{row, next, back, row, row, row}
	screen := render(p, newStyles(lipgloss.NewRenderer(io.Discard)), 120, 40, func(*events.Event) string { return "" })
	for _, want := range []string{"signal curtail 500.0 kW at ups-a (ers-10) in force until 12:01:00, eea of ercot",
		"signal emergency at ups-a announced from 13:00:00", "recovering until 12:02:00", "and 2 more signals"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the screen lacks %q:\n%s", want, screen)
		}
	}
}

func TestMiningSaysHowMuchIsModelled(t *testing.T) {
	p := picture()
	for watts, want := range map[int64]string{0: "mining 3.000 MW of", 2_000_000: "mining 3.000 MW (2.000 MW modelled) of", 3_000_000: "mining 3.000 MW (modelled) of"} {
		p.ModelledWatts = watts
		if s := Status(p); !strings.Contains(s, want) {
			t.Errorf("%d W modelled: %q lacks %q", watts, s, want)
		}
	}
	p.ModelledWatts = p.MiningWatts
	p.AIWatts, p.HouseWatts, p.Config.LimitWatts = 123_400_000, 99_990_000, 250_000_000
	screen := render(p, newStyles(lipgloss.NewRenderer(io.Discard)), 80, 24, func(*events.Event) string { return "" })
	if !strings.Contains(screen, "3.000 MW (modelled)") {
		t.Errorf("80 columns lack the label:\n%s", screen)
	}
}

func TestHashrate(t *testing.T) {
	for mhs, want := range map[int64]string{
		0: "0 MH/s", 10: "10 MH/s", 999: "999 MH/s", 1000: "1.00 GH/s", 1_250_000: "1.25 TH/s", 200_123_456: "200.12 TH/s",
		171_400_000_000: "171.40 PH/s", 2_019_999_999_999: "2.01 EH/s", events.MaxInteger: "9007.19 EH/s",
	} {
		if got := Hashrate(mhs); got != want {
			t.Errorf("%d MH/s: %s, want %s", mhs, got, want)
		}
	}
}

func TestRenderFitsAnyTerminal(t *testing.T) {
	plain := newStyles(lipgloss.NewRenderer(io.Discard))
	p := picture()
	for range 500 {
		p.Recent = append(p.Recent, p.Recent[0])
	}
	for _, size := range [][2]int{{80, 24}, {20, 10}, {300, 100}, {1, 1}, {80, 5}, {40, 8}} {
		screen := render(p, plain, size[0], size[1], func(*events.Event) string { return strings.Repeat("long ", 100) })
		lines := strings.Split(screen, "\n")
		if len(lines) > size[1] {
			t.Errorf("%d×%d: %d lines", size[0], size[1], len(lines))
		}
		for _, l := range lines {
			if w := lipgloss.Width(l); w > size[0] {
				t.Errorf("%d×%d: a line %d wide: %q", size[0], size[1], w, l)
			}
		}
		if !strings.HasPrefix(lines[0], "Ballast"[:min(size[0], 7)]) {
			t.Errorf("%d×%d: the title is gone: %q", size[0], size[1], lines[0])
		}
	}
}

func TestPowerBarIsOneLine(t *testing.T) {
	plain := newStyles(lipgloss.NewRenderer(io.Discard))
	p := picture()
	for _, ai := range []int64{0, 4_000_000, 30_000_000} {
		p.AIWatts = ai
		if got := lipgloss.Width(powerBar(p, 500_000, plain, 80)); got != 78 {
			t.Errorf("AI %d W: the bar is %d wide, want 78", ai, got)
		}
	}
}

func TestPowerHasFourDigits(t *testing.T) {
	for w, want := range map[int64]string{0: "0 W", 10: "10 W", -5: "-5 W", 999: "999 W", 1000: "1.000 kW", 607_845: "607.8 kW", 57_750: "57.75 kW", 5_714_285: "5.714 MW", -1_500_000: "-1.500 MW", 2_000_000_000: "2.000 GW"} {
		if got := power(w); got != want {
			t.Errorf("%d W is written %q, want %q", w, got, want)
		}
	}
}

func TestSatsAreGrouped(t *testing.T) {
	for msat, want := range map[int64]string{0: "0.000 sat", 1500: "1.500 sat", -1500: "-1.500 sat", 999_999: "999.999 sat", 1_000_000: "1,000 sat", 1_560_313_755_000: "1,560,313,755 sat", -123_456_000: "-123,456 sat"} {
		if got := sats(msat); got != want {
			t.Errorf("%d msat is written %q, want %q", msat, got, want)
		}
	}
}
