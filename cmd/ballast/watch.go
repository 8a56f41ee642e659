// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/events"
)

// streamsByType groups the wanted types by the stream that stores them.
func streamsByType(types []events.Type) map[string][]events.Type {
	m := map[string][]events.Type{}
	for _, info := range events.Types() {
		if info.Stream == "" {
			continue
		}
		want := len(types) == 0
		for _, t := range types {
			want = want || t == info.Type || strings.HasPrefix(string(info.Type), string(t)+".")
		}
		if want {
			m[info.Stream] = append(m[info.Stream], info.Type)
		}
	}
	return m
}

func (a *app) watchCommand() *cobra.Command {
	var site, source string
	var since time.Duration
	c := &cobra.Command{
		Use:   "watch [TYPE…]",
		Short: "Events as they are stored: any type, site or source",
		Long: `Prints events as they are stored. A TYPE is an event type or its first word:
share covers share.found, share.accepted and the others. Without a TYPE,
everything but readings, statuses, ticks, shares and the headroom of nodes.`,
		Example: `  ballast watch --site demo
  ballast watch command dispatch.decided
  ballast watch meter.reading --source ai-feeder --json | jq .data.power_watts
  ballast watch share --since 10m`,
		RunE: func(cmd *cobra.Command, args []string) error {
			types, err := watchTypes(args)
			if err != nil {
				return withCode(exitUsage, err)
			}
			b, err := a.connect(cmd.Context(), "watch")
			if err != nil {
				return err
			}
			defer closeBus(b)
			ctx, cancel := context.WithCancel(cmd.Context())
			defer cancel()
			p := a.printer()
			var mu sync.Mutex
			var wg sync.WaitGroup
			failed := make(chan error, 8)
			for stream, ts := range streamsByType(types) {
				r := events.ReadRequest{Stream: stream, Types: ts, Site: site, Source: source, Follow: true, NewOnly: since == 0}
				if since > 0 {
					r.Since = time.Now().Add(-since)
				}
				wg.Go(func() {
					for ev, err := range b.Events(ctx, r) {
						mu.Lock()
						stop := a.printWatched(p, ev, err)
						mu.Unlock()
						if stop != nil {
							failed <- stop
							return
						}
					}
				})
			}
			select {
			case <-ctx.Done():
			case err = <-failed:
				cancel()
			}
			wg.Wait()
			if cmd.Context().Err() != nil {
				return nil
			}
			return err
		},
	}
	c.Flags().StringVar(&site, "site", "", "one `site` only")
	c.Flags().StringVar(&source, "source", "", "one `source` only: a meter, issuer, agent or gateway")
	c.Flags().DurationVar(&since, "since", 0, "also what was stored in this time before")
	return c
}

// watchTypes resolves the arguments; without any, what a person wants to see.
func watchTypes(args []string) ([]events.Type, error) {
	if len(args) == 0 {
		var out []events.Type
		for _, i := range events.Types() {
			switch i.Type {
			case events.TypeMeterReading, events.TypeWorkerStatus, events.TypeClockTick, events.TypeWorkAssigned, events.TypeGatewayStatus,
				events.TypeShareFound, events.TypeShareSubmitted, events.TypeShareAccepted, events.TypeShareRejected, events.TypeShareUnknown, events.TypeDeciderCheckpoint, events.TypeHeadroomPublished, events.TypeOutletStatus:
			default:
				out = append(out, i.Type)
			}
		}
		return out, nil
	}
	var out []events.Type
	for _, s := range args {
		t := events.Type(s)
		known := false
		for _, i := range events.Types() {
			known = known || i.Type == t || strings.HasPrefix(string(i.Type), s+".")
		}
		if !known {
			return nil, fmt.Errorf("no event type %q; ballast schema list names them", s)
		}
		if t == events.TypePermitRenewed {
			return nil, fmt.Errorf("%s is never stored: renewals can be recomputed from the journal", t)
		}
		out = append(out, t)
	}
	return out, nil
}

// printWatched writes one event; an error it returns ends the watch.
func (a *app) printWatched(p *printer, ev *events.Event, err error) error {
	var d *events.DecodeError
	switch {
	case err != nil && asDecode(err, &d):
		if p.json {
			return p.value(map[string]any{"unreadable": d.Subject, "reason": d.Reason, "error": d.Err.Error()})
		}
		p.linef("%s", p.paint(codeBad, "unreadable: "+err.Error()))
		return nil
	case err != nil:
		return err
	case p.json:
		return p.value(jsonEvent(ev))
	}
	p.linef("%s %-10s %s %-14s %s", p.paint(codeDim, clock(ev.Arrived)), ev.Site, p.paint(typeColor(ev.Type), fmt.Sprintf("%-18s", ev.Type)), ev.Source, describe(ev))
	return nil
}

func typeColor(t events.Type) string {
	switch t {
	case events.TypeAlertRaised, events.TypeUnitEscalated, events.TypeDeadLetter, events.TypeShareRejected, events.TypeShareUnknown:
		return codeBad
	case events.TypeCommandCurtail, events.TypeCommandOutlet, events.TypeGridSignal:
		return codeWarn
	case events.TypeCommandRamp, events.TypeRevenueAccrued, events.TypeRevenueSettled, events.TypeShareAccepted, events.TypeAlertCleared:
		return codeGood
	}
	return codeTitle
}
