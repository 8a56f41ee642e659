// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// alarmTime bounds the storing of an alert; one that cannot be stored stays in
// the log.
const alarmTime = 5 * time.Second

// alarms raises and clears alerts, each once per occurrence, and holds nobody
// up: they are stored in the background, in order.
type alarms struct {
	g *Gateway

	mu      sync.Mutex
	up      map[string]int // raised: the number of the occurrence
	count   int
	waiting []*events.Event
	busy    bool
	closed  bool
	idle    sync.WaitGroup
}

func newAlarms(g *Gateway) *alarms { return &alarms{g: g, up: make(map[string]int)} }

// name of an alert.
func (a *alarms) name(kind, part string) string {
	id := kind + "/" + a.g.cfg.Gateway
	if part != "" {
		id += "/" + part
	}
	return id
}

func (a *alarms) raise(kind, part string, severity events.Severity, message, remedy string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.name(kind, part)
	if a.up[id] != 0 {
		return
	}
	a.count++
	a.up[id] = a.count
	a.g.log.Warn(message, "alert", id, "remedy", remedy)
	a.publish(fmt.Sprintf("%s/%d/raised", id, a.count), &events.AlertRaised{Alert: id, Severity: severity, Message: message, Remedy: remedy})
}

func (a *alarms) clear(kind, part, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := a.name(kind, part)
	n := a.up[id]
	if n == 0 {
		return
	}
	delete(a.up, id)
	a.g.log.Info(message, "alert", id)
	a.publish(fmt.Sprintf("%s/%d/cleared", id, n), &events.AlertCleared{Alert: id, Message: message})
}

// publish queues an event. The caller holds mu.
func (a *alarms) publish(id string, p events.Payload) {
	if a.closed {
		return
	}
	e := events.New(a.g.cfg.Site, a.g.cfg.Gateway, p).WithID(a.g.cfg.Site + "/alert/" + a.g.instance + "/" + id)
	a.waiting = append(a.waiting, e)
	if !a.busy {
		a.busy = true
		a.idle.Go(a.work)
	}
}

func (a *alarms) work() {
	for {
		a.mu.Lock()
		evs := a.waiting
		a.waiting = nil
		a.busy = len(evs) > 0
		a.mu.Unlock()
		if len(evs) == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), min(alarmTime, a.g.cfg.DrainTime+time.Second))
		if err := a.g.bus.Publish(ctx, evs...); err != nil {
			a.g.log.Error("an alert could not be stored", "id", evs[0].ID, "error", err)
		}
		cancel()
	}
}

// close waits until what was raised is stored.
func (a *alarms) close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.idle.Wait()
}
