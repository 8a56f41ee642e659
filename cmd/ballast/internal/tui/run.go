// SPDX-License-Identifier: Apache-2.0

package tui

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/siteview"
	"github.com/ballast-energy/ballast/events"
)

// refresh is how often the screen is drawn anew.
const refresh = 250 * time.Millisecond

// Options of a screen.
type Options struct {
	// Sites to show; with several, the tab key or a digit changes.
	Sites []*siteview.View
	// Describe says an event in one line.
	Describe func(*events.Event) string
	// Out is the terminal.
	Out *os.File
}

// Run shows the screen until the context ends or a person ends it.
func Run(ctx context.Context, o Options) error {
	m := model{o: o, st: newStyles(lipgloss.NewRenderer(o.Out)), width: 100, height: 40}
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithOutput(o.Out), tea.WithAltScreen(), tea.WithoutSignalHandler())
	_, err := p.Run()
	if errors.Is(err, tea.ErrProgramKilled) || errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("terminal view: %w", err)
	}
	return nil
}

// Status is one line per site for a log that is no terminal.
func Status(p siteview.Picture) string {
	bound := "nothing decided yet"
	if p.Decided != nil {
		bound = "bound by " + string(p.Decided.Binding)
	}
	var accepted int64
	for _, n := range p.Accepted {
		accepted += n
	}
	return fmt.Sprintf("%s %s: AI %s, mining %s%s of %s permitted (%s), %d of %d units on, %s, %d shares accepted, over limit by mining %s",
		p.Now.UTC().Format("15:04:05"), p.Site, power(p.AIWatts), power(p.MiningWatts), modelled(p), power(p.SetpointWatts), bound,
		p.UnitsOn, p.Units, Hashrate(p.HashrateMHs), accepted, p.OverByMining.Round(100*time.Millisecond))
}

type model struct {
	o             Options
	st            styles
	width, height int
	site          int
}

type tickMsg struct{}

func tick() tea.Cmd { return tea.Tick(refresh, func(time.Time) tea.Msg { return tickMsg{} }) }

// Init starts the redraw clock.
func (m model) Init() tea.Cmd { return tick() }

// Update takes keys, sizes and the redraw clock.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tickMsg:
		return m, tick()
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyMsg:
		switch s := msg.String(); s {
		case "ctrl+c", "q", "esc":
			return m, tea.Quit
		case "tab":
			m.site = (m.site + 1) % len(m.o.Sites)
		default:
			if i := strings.Index("123456789", s); len(s) == 1 && i >= 0 && i < len(m.o.Sites) {
				m.site = i
			}
		}
	}
	return m, nil
}

// View draws the site in front.
func (m model) View() string {
	return render(m.o.Sites[m.site].Picture(), m.st, m.width, m.height, m.o.Describe)
}
