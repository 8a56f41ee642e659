// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
)

// inherit clears the alerts that earlier starts of the gateway raised and did
// not live to clear: nobody else does, and they would stay for ever. What is
// still so this start raises again. Only what it would not say a second time
// stays: that nobody knows a block. It tries until that is done or ctx ends.
func (a *alarms) inherit(ctx context.Context) {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(alarmTime), backoff.WithMaxElapsedTime(0))
	var left []string
	err := backoff.RetryNotify(func() (err error) {
		left, err = a.leftUp(ctx)
		return err
	}, backoff.WithContext(bo, ctx), func(err error, pause time.Duration) {
		a.g.log.Warn("alerts of earlier starts cannot be read yet", "again_in", pause, "error", err)
	})
	if err != nil {
		return // ctx has ended: the next start does it
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range left {
		if a.closed || a.known[id] != nil {
			continue // this start has said what is true
		}
		a.count++
		if strings.HasPrefix(id, a.name(alarmUnknownBlock, "")) {
			a.known[id] = &alarm{id: id, up: true, told: true, number: a.count}
			continue
		}
		a.publish(fmt.Sprintf("%s/%d/cleared", id, a.count), &events.AlertCleared{
			Alert: id, Message: "the gateway has started anew since; what is still so is raised again",
		})
	}
}

// leftUp are the alerts that earlier starts raised and nobody cleared, oldest
// first.
func (a *alarms) leftUp(ctx context.Context) ([]string, error) {
	var up []string
	own := a.occurrence("")
	for e, err := range a.g.bus.Events(ctx, events.ReadRequest{
		Stream: events.StreamCommands, Types: []events.Type{events.TypeAlertRaised, events.TypeAlertCleared},
		Site: a.g.cfg.Site, Source: a.g.cfg.Gateway,
	}) {
		if err != nil {
			if onlyOne(err) {
				continue
			}
			return nil, fmt.Errorf("alerts in COMMANDS: %w", err)
		}
		id := alertOf(e)
		up = slices.DeleteFunc(up, func(have string) bool { return have == id })
		if e.Type == events.TypeAlertRaised && !strings.HasPrefix(e.ID, own) {
			up = append(up, id)
		}
	}
	return up, ctx.Err()
}

// occurrence is the id of an event of this start's.
func (a *alarms) occurrence(of string) string {
	return a.g.cfg.Site + "/alert/" + a.g.instance + "/" + of
}
