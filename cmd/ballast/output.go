// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/cmd/ballast/internal/figures"
	"github.com/ballast-energy/ballast/events"
)

// printer writes for a person or, with --json, one JSON value per line.
type printer struct {
	w     io.Writer
	json  bool
	color bool
}

func (a *app) printer() *printer {
	return &printer{w: a.out, json: a.json, color: a.colors(a.out)}
}

// colors says whether f shows them: a terminal, not switched off.
func (a *app) colors(f *os.File) bool {
	return !a.noColor && a.env("NO_COLOR") == "" && a.env("TERM") != "dumb" && isatty.IsTerminal(f.Fd())
}

// value writes v as a line of JSON.
func (p *printer) value(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("output: %w", err)
	}
	_, err = p.w.Write(append(b, '\n'))
	return err
}

// linef writes a line for a person.
func (p *printer) linef(format string, args ...any) {
	fmt.Fprintf(p.w, format+"\n", args...)
}

// Colours by meaning.
const (
	codeGood  = "32"
	codeWarn  = "33"
	codeBad   = "31"
	codeDim   = "2"
	codeTitle = "1"
)

func (p *printer) paint(code, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// eventLine is one event as JSON: the envelope flat beside the data.
type eventLine struct {
	ID          string         `json:"id"`
	Type        events.Type    `json:"type"`
	Site        string         `json:"site"`
	Source      string         `json:"source"`
	Time        *time.Time     `json:"time,omitempty"`
	Causation   string         `json:"causation,omitempty"`
	Correlation string         `json:"correlation,omitempty"`
	Stream      string         `json:"stream,omitempty"`
	Sequence    uint64         `json:"sequence,omitempty"`
	Epoch       uint64         `json:"epoch,omitempty"`
	Arrived     *time.Time     `json:"arrived,omitempty"`
	Data        events.Payload `json:"data"`
}

func jsonEvent(e *events.Event) eventLine {
	l := eventLine{ID: e.ID, Type: e.Type, Site: e.Site, Source: e.Source, Causation: e.Causation,
		Correlation: e.Correlation, Stream: e.Stream, Sequence: e.Sequence, Epoch: e.Epoch, Data: e.Data}
	if !e.Time.IsZero() {
		l.Time = &e.Time
	}
	if !e.Arrived.IsZero() {
		l.Arrived = &e.Arrived
	}
	return l
}

// watts writes power for a person.
func watts(w int64) string { return config.Power(w).String() }

// wattHours writes an energy given in mWh.
func wattHours(mwh int64) string {
	for _, u := range []struct {
		n    int64
		name string
	}{{1_000_000_000, "MWh"}, {1_000_000, "kWh"}} {
		if mwh >= u.n || mwh <= -u.n {
			return new(big.Rat).SetFrac64(mwh, u.n).FloatString(3) + " " + u.name
		}
	}
	return new(big.Rat).SetFrac64(mwh, 1000).FloatString(1) + " Wh"
}

// sats writes millisatoshi as satoshi.
func sats(msat int64) string {
	return figures.Grouped(new(big.Rat).SetFrac64(msat, 1000).FloatString(3)) + " sat"
}

// dollars writes micro-dollars with six decimals below a cent, else two.
func dollars(micro int64) string {
	places := 2
	if micro > -1_000_000 && micro < 1_000_000 {
		places = 6
	}
	s := figures.Grouped(new(big.Rat).SetFrac64(micro, 1_000_000).FloatString(places))
	if rest, negative := strings.CutPrefix(s, "-"); negative {
		return "-$" + rest
	}
	return "$" + s
}

// valued writes satoshi and, where somebody quoted a rate, dollars.
func valued(msat, micro int64) string {
	if micro == 0 {
		return sats(msat)
	}
	return sats(msat) + " = " + dollars(micro)
}

// clock writes a time of day with milliseconds, UTC.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// title opens a block for a person; JSON has none.
func (p *printer) title(s string) {
	if !p.json {
		p.linef("%s", p.paint(codeTitle, s))
	}
}
