// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/siteview"
	"github.com/ballast-energy/ballast/events"
)

func picture() siteview.Picture {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	return siteview.Picture{
		Site: "demo", Since: now.Add(-time.Minute), Now: now,
		Config:  &events.SiteConfig{LimitWatts: 10_000_000},
		AIWatts: 4_000_000, MiningWatts: 3_000_000, Units: 900, UnitsOn: 850, HashrateGHs: 171_400_000,
		Decided:  &events.DispatchDecided{Binding: events.ReasonHeadroom, ReserveWatts: 500_000},
		Accepted: map[events.Basis]int64{events.BasisPractice: 12}, Millisats: map[events.Basis]int64{events.BasisPractice: 1500},
		Alerts: []events.AlertRaised{{Alert: "meter-stale/ai", Message: "silent", Remedy: "look at it"}},
		Recent: []siteview.Line{{At: now, Event: events.New("demo", "fleet", &events.CommandCurtail{})}},
	}
}

func TestRenderShowsWhatMatters(t *testing.T) {
	plain := newStyles(lipgloss.NewRenderer(io.Discard))
	screen := render(picture(), plain, 100, 40, func(*events.Event) string { return "30 units to 0W" })
	for _, want := range []string{"site demo", "4MW", "3MW", "10MW", "bound by headroom", "850 of 900 units", "171.40 PH/s", "practice", "no money", "1.500 sat", "ALERT meter-stale/ai", "look at it", "30 units to 0W"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the screen lacks %q:\n%s", want, screen)
		}
	}
	if strings.Contains(screen, "\x1b[") {
		t.Error("colours although the output is no terminal")
	}
}

func TestRenderFitsAnyTerminal(t *testing.T) {
	plain := newStyles(lipgloss.NewRenderer(io.Discard))
	p := picture()
	for range 500 {
		p.Recent = append(p.Recent, p.Recent[0])
	}
	for _, size := range [][2]int{{80, 24}, {20, 10}, {300, 100}, {1, 1}} {
		screen := render(p, plain, size[0], size[1], func(*events.Event) string { return strings.Repeat("long ", 100) })
		if n := strings.Count(screen, "\n"); n > max(size[1], 16) {
			t.Errorf("%d×%d: %d lines", size[0], size[1], n)
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
