// SPDX-License-Identifier: Apache-2.0

package eventreport

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// chart is one drawing, in units of its view box.
type chart struct {
	ID, Title, Desc string
	W, H            float64
	Left, Top       float64 // of the plot
	Right, Bottom   float64
	XTicks, YTicks  []tick
	XUnit, YUnit    string
	Bands           []band
	Lines           []curve
	Markers         []marker
	Legend          []legend
}

// tick of an axis.
type tick struct {
	At   float64
	Text string
}

// band is a shaded part of the plot.
type band struct {
	Class      string
	X, Y, W, H float64
}

// curve is a drawn line.
type curve struct{ Class, Path string }

// marker is a moment with its name above the plot.
type marker struct {
	X, Row, TextX float64
	Anchor, Text  string
	Class         string
}

// legend of a curve.
type legend struct{ Class, Text string }

// xy is a point in data: x in its own unit, y in W.
type xy struct{ x, y float64 }

// moment to be marked.
type moment struct {
	x    float64
	text string
}

// plot collects what a chart shows before it is scaled.
type plot struct {
	id, title, desc string
	x0, x1          float64 // range
	top             float64 // highest y
	xTicks          func(x0, x1 float64, most int) []tick
	xUnit           string
	curves          []plotted
	bands           []plottedBand
	moments         []moment
}

type plotted struct {
	class, name string
	points      []xy
}

type plottedBand struct {
	class          string
	x0, x1, y0, y1 float64
}

const (
	fontWidth = 6.3 // of one character at 11.5, on average
	rowHeight = 16
)

// draw scales a plot to a width.
func (p *plot) draw(width float64, suffix string) *chart {
	c := &chart{ID: p.id + suffix, Title: p.title, Desc: p.desc, W: width, XUnit: p.xUnit}
	narrow := width < 600
	c.Left, c.Right = 58, width-30 // half a time of day
	most, height := 9, 300.0
	if narrow {
		most, height = 4, 240
	}
	p.placeMarkers(c)
	rows := 0.0
	for _, m := range c.Markers {
		rows = max(rows, m.Row+1)
	}
	c.Top = 22 + rows*rowHeight
	c.Bottom = c.Top + height
	c.H = c.Bottom + 40
	for i := range c.Markers {
		c.Markers[i].Row = c.Top - 8 - c.Markers[i].Row*rowHeight
	}
	unit := scaleFor(powers, int64(max(p.top, 1)))
	c.YUnit = unit.Name
	step := niceStep(p.top/float64(unit.Unit), 6)
	high := math.Ceil(p.top/float64(unit.Unit)/step-1e-9) * step
	if high <= 0 {
		high, step = 1, 1
	}
	y := func(w float64) float64 {
		return c.Bottom - min(max(w/float64(unit.Unit)/high, 0), 1)*(c.Bottom-c.Top)
	}
	x := p.xScale(c)
	for v := 0.0; v <= high+step/2; v += step {
		c.YTicks = append(c.YTicks, tick{y(v * float64(unit.Unit)), tickText(v, step)})
	}
	for _, t := range p.xTicks(p.x0, p.x1, most) {
		c.XTicks = append(c.XTicks, tick{x(t.At), t.Text})
	}
	for _, b := range p.bands {
		from, to := x(max(b.x0, p.x0)), x(min(b.x1, p.x1))
		c.Bands = append(c.Bands, band{b.class, from, y(b.y1), max(to-from, 0), y(b.y0) - y(b.y1)})
	}
	for _, l := range p.curves {
		if path := stepPath(l.points, x, y, p.x0, p.x1); path != "" {
			c.Lines = append(c.Lines, curve{l.class, path})
		}
		if l.name != "" {
			c.Legend = append(c.Legend, legend{l.class, l.name})
		}
	}
	return c
}

func (p *plot) xScale(c *chart) func(float64) float64 {
	span := max(p.x1-p.x0, 1e-9)
	return func(v float64) float64 { return c.Left + min(max((v-p.x0)/span, 0), 1)*(c.Right-c.Left) }
}

// placeMarkers puts names above the plot: what is at the same place shares one,
// and none covers another.
func (p *plot) placeMarkers(c *chart) {
	x := p.xScale(c)
	ms := slices.DeleteFunc(slices.Clone(p.moments), func(m moment) bool { return m.x < p.x0 || m.x > p.x1 })
	slices.SortStableFunc(ms, func(a, b moment) int {
		switch {
		case a.x < b.x:
			return -1
		case a.x > b.x:
			return 1
		}
		return 0
	})
	for _, m := range ms {
		at := x(m.x)
		if n := len(c.Markers); n > 0 && at-c.Markers[n-1].X < 5 {
			c.Markers[n-1].Text += " · " + m.text
			continue
		}
		c.Markers = append(c.Markers, marker{X: at, Text: m.text})
	}
	var ends []float64 // of the last text per row
	for i := range c.Markers {
		m := &c.Markers[i]
		w := float64(len([]rune(m.Text)))*fontWidth + 6
		m.Anchor, m.TextX = "start", m.X+4
		from, to := m.TextX, m.TextX+w
		if to > c.W {
			m.Anchor, m.TextX = "end", m.X-4
			from, to = m.TextX-w, m.TextX
			if from < 0 { // as wide as the chart
				m.Anchor, m.TextX = "start", 2
				from, to = 2, 2+w
			}
		}
		row := 0
		for row < len(ends) && ends[row] > from {
			row++
		}
		if row == len(ends) {
			ends = append(ends, 0)
		}
		ends[row] = to
		m.Row = float64(row)
	}
	// The first moments stand highest, so that no line crosses a later text.
	last := float64(len(ends) - 1)
	for i := range c.Markers {
		c.Markers[i].Row = last - c.Markers[i].Row
	}
}

// stepPath holds every value until the next point; between points less than a
// pixel apart the lowest and the highest stand for all. A NaN is a gap.
func stepPath(points []xy, x, y func(float64) float64, x0, x1 float64) string {
	var b strings.Builder
	pen := false
	var lastX, lastY float64
	column, low, high := math.Inf(-1), 0.0, 0.0
	flush := func() {
		if pen && low < high {
			fmt.Fprintf(&b, "V%.1fV%.1fV%.1f", y(low), y(high), lastY)
		}
	}
	for i, p := range points {
		if p.x > x1 {
			break
		}
		if i+1 < len(points) && points[i+1].x < x0 {
			continue
		}
		if math.IsNaN(p.y) {
			if pen {
				flush()
				fmt.Fprintf(&b, "H%.1f", x(p.x))
			}
			pen, column = false, math.Inf(-1)
			continue
		}
		px, py := x(p.x), y(p.y)
		switch {
		case !pen:
			fmt.Fprintf(&b, "M%.1f %.1f", px, py)
			pen, column, low, high = true, px, p.y, p.y
		case px-column < 0.8:
			low, high = min(low, p.y), max(high, p.y)
		default:
			if math.Abs(py-lastY) < 0.05 && low == high {
				column, low, high = px, p.y, p.y
				continue
			}
			flush()
			fmt.Fprintf(&b, "H%.1fV%.1f", px, py)
			column, low, high = px, p.y, p.y
		}
		lastX, lastY = px, py
	}
	if pen {
		flush()
		if end := x(x1); end > lastX {
			fmt.Fprintf(&b, "H%.1f", end)
		}
	}
	return b.String()
}

// niceStep is 1, 2 or 5 times a power of ten, so that most fit below top.
func niceStep(top float64, most int) float64 {
	if top <= 0 {
		return 1
	}
	raw := top / float64(most)
	p := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*p >= raw-1e-12 {
			return m * p
		}
	}
	return 10 * p
}

func tickText(v, step float64) string {
	places := 0
	for s := step; s < 0.999 && places < 4; s *= 10 {
		places++
	}
	return fmt.Sprintf("%.*f", places, v)
}

// timeSteps of an axis of time, s.
var timeSteps = []int64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800}

// clockTicks are round times of day; x is Unix seconds.
func clockTicks(x0, x1 float64, most int) []tick {
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if (x1-x0)/float64(s) <= float64(most) {
			step = s
			break
		}
	}
	format := "15:04"
	switch {
	case step < 60:
		format = "15:04:05"
	case step >= 86_400:
		format = "2 Jan"
	case x1-x0 > 86_400:
		format = "2 Jan 15:04"
	}
	var out []tick
	for t := (int64(math.Ceil(x0)) + step - 1) / step * step; float64(t) <= x1; t += step {
		out = append(out, tick{float64(t), time.Unix(t, 0).UTC().Format(format)})
	}
	return out
}

// secondTicks are round numbers of seconds, or of minutes where there are many.
func secondTicks(x0, x1 float64, most int) []tick {
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if (x1-x0)/float64(s) <= float64(most) {
			step = s
			break
		}
	}
	var out []tick
	for t := int64(math.Ceil(x0/float64(step))) * step; float64(t) <= x1; t += step {
		s := fmt.Sprintf("%d", t)
		if step >= 60 {
			s = fmt.Sprintf("%d:%02d", t/60, t%60)
		}
		out = append(out, tick{float64(t), s})
	}
	return out
}

// Places of the texts beside the axes.

// YText is the right end of the figures of the vertical axis.
func (c *chart) YText() float64 { return c.Left - 8 }

// UnitY is the line of the unit of the vertical axis, above its highest figure.
func (c *chart) UnitY() float64 { return c.Top - 10 }

// TickY is the lower end of the ticks of the horizontal axis.
func (c *chart) TickY() float64 { return c.Bottom + 5 }

// XText is the line of the figures of the horizontal axis.
func (c *chart) XText() float64 { return c.Bottom + 18 }

// LineY is the upper end of the line of a marker.
func (m marker) LineY() float64 { return m.Row - 9 }
