// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
)

const (
	// alarmTime bounds one try to store an alert.
	alarmTime = 5 * time.Second
	// alarmPause is the least time between two raisings of one alert, and
	// between two clearings. Whoever sends good and bad jobs in turns would
	// else write an event with each of them.
	alarmPause = time.Minute
	// alarmRoom of a message is left for how often it happened.
	alarmRoom = 64
)

// alarms raises and clears alerts and holds nobody up: they are stored in the
// background, in order, however often that takes. An alert that comes and goes
// is told once per alarmPause; what the stream holds last is what is true, a
// pause later at most and in any case when the gateway ends.
type alarms struct {
	g     *Gateway
	pause time.Duration

	mu    sync.Mutex
	known map[string]*alarm // by alert id: a handful
	count int
	// waiting events, at most two of an alert.
	waiting []*events.Event
	busy    bool
	closed  bool
	ending  chan struct{} // closed by close

	refusing refusing
	idle     sync.WaitGroup
}

// alarm is one alert: what is true of it and what was told.
type alarm struct {
	id       string
	up, told bool
	number   int // of the occurrence told last
	severity events.Severity
	// message of the newest raising or clearing, and remedy.
	message, remedy string
	raised, cleared telling
	timer           *time.Timer // tells what is true when the pause is over; nil when not set
}

func newAlarms(g *Gateway) *alarms {
	return &alarms{g: g, pause: alarmPause, known: make(map[string]*alarm), ending: make(chan struct{})}
}

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
	if a.closed {
		return
	}
	id := a.name(kind, part)
	st := a.known[id]
	if st == nil {
		st = &alarm{id: id}
		a.known[id] = st
	}
	if st.up {
		return
	}
	st.up, st.severity, st.message, st.remedy = true, severity, message, remedy
	a.changed(st)
}

func (a *alarms) clear(kind, part, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	st := a.known[a.name(kind, part)]
	if a.closed || st == nil || !st.up {
		return
	}
	st.up, st.message = false, message
	a.changed(st)
}

// telling is when an alert was last told to be up, or to be over, and how often
// it has come to that since.
type telling struct {
	at    time.Time
	since int
}

// left is how much of a pause is left.
func (t *telling) left(pause time.Duration) time.Duration {
	if t.at.IsZero() {
		return 0
	}
	return max(0, pause-time.Since(t.at))
}

// now is what is to be told when the alert's present state is. The caller holds
// mu.
func (st *alarm) now() *telling {
	if st.up {
		return &st.raised
	}
	return &st.cleared
}

// changed tells of an alert that has come or gone, or leaves it to the timer.
// The caller holds mu.
func (a *alarms) changed(st *alarm) {
	t := st.now()
	t.since++
	if st.up == st.told {
		return // what came between was not told either
	}
	left := t.left(a.pause)
	if left == 0 {
		a.tell(st)
		return
	}
	if st.timer == nil {
		st.timer = time.AfterFunc(left, func() { a.due(st) })
	}
}

// due is the end of a pause.
func (a *alarms) due(st *alarm) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if st.timer = nil; a.closed || st.up == st.told {
		return
	}
	if left := st.now().left(a.pause); left > 0 { // the timer was for the other
		st.timer = time.AfterFunc(left, func() { a.due(st) })
		return
	}
	a.tell(st)
}

// tell queues the event of what is true. The caller holds mu.
func (a *alarms) tell(st *alarm) {
	t := st.now()
	more := t.since - 1
	t.at, t.since = time.Now(), 0
	if st.told = st.up; !st.up {
		a.g.log.Info(st.message, "alert", st.id, "untold", more)
		a.publish(fmt.Sprintf("%s/%d/cleared", st.id, st.number), &events.AlertCleared{Alert: st.id, Message: often(st.message, more, "cleared")})
		return
	}
	a.count++
	st.number = a.count
	a.g.log.Warn(st.message, "alert", st.id, "remedy", st.remedy, "untold", more)
	a.publish(fmt.Sprintf("%s/%d/raised", st.id, st.number), &events.AlertRaised{
		Alert: st.id, Severity: st.severity, Message: often(st.message, more, "raised"), Remedy: events.ClipText(st.remedy),
	})
}

// often is a message that says how many times more its alert was raised or
// cleared since it was told.
func often(message string, n int, what string) string {
	message = events.ClipText(message)
	if n <= 0 {
		return message
	}
	if r := []rune(message); len(r) > events.MaxText-alarmRoom {
		message = string(r[:events.MaxText-alarmRoom]) + "…"
	}
	return fmt.Sprintf("%s (%s %d times more since it was last said)", message, what, n)
}

// publish queues an event. Where two of the same alert wait already, it takes
// their place: they undo each other, and the newest says how often that was. The
// caller holds mu.
func (a *alarms) publish(id string, p events.Payload) {
	e := events.New(a.g.cfg.Site, a.g.cfg.Gateway, p).WithID(a.occurrence(id))
	name := alertOf(e)
	var of []int
	for i, w := range a.waiting {
		if alertOf(w) == name {
			of = append(of, i)
		}
	}
	if len(of) == 2 {
		a.waiting = slices.Delete(a.waiting, of[1], of[1]+1)
		a.waiting = slices.Delete(a.waiting, of[0], of[0]+1)
	}
	a.waiting = append(a.waiting, e)
	if !a.busy {
		a.busy = true
		a.idle.Go(a.work)
	}
}

// alertOf is the id of the alert that an event is of.
func alertOf(e *events.Event) string {
	switch p := e.Data.(type) {
	case *events.AlertRaised:
		return p.Alert
	case *events.AlertCleared:
		return p.Alert
	}
	return ""
}

// work stores what waits, one after the other, until nothing does or the
// gateway ends and takes nothing more.
func (a *alarms) work() {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(100*time.Millisecond),
		backoff.WithMaxInterval(alarmTime), backoff.WithMaxElapsedTime(0))
	for {
		a.mu.Lock()
		if len(a.waiting) == 0 {
			a.busy = false
			a.mu.Unlock()
			return
		}
		e := a.waiting[0]
		a.waiting = a.waiting[1:]
		a.mu.Unlock()
		for {
			err := a.store(e)
			if err == nil {
				bo.Reset()
				break
			}
			pause := bo.NextBackOff()
			a.g.log.Error("an alert could not be stored", "id", e.ID, "again_in", pause, "error", err)
			select {
			case <-time.After(pause):
				continue
			case <-a.ending:
			}
			// One last try, for all that is left.
			if err := a.store(e); err != nil {
				a.mu.Lock()
				left := len(a.waiting) + 1
				a.waiting, a.busy = nil, false
				a.mu.Unlock()
				a.g.log.Error("alerts are lost: the gateway ends and the bus does not answer", "alerts", left, "error", err)
				return
			}
			break
		}
	}
}

// store tries once. An event that cannot be one is not tried again.
func (a *alarms) store(e *events.Event) error {
	if err := e.Data.Validate(); err != nil {
		a.g.log.Error("an alert cannot be told", "id", e.ID, "error", err)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), min(alarmTime, a.g.cfg.DrainTime+time.Second))
	defer cancel()
	return a.g.bus.Publish(ctx, e)
}

// close tells what is true of every alert whose pause is not over, and waits
// until all is stored.
func (a *alarms) close() {
	a.mu.Lock()
	a.closed = true
	for _, st := range a.known {
		if st.timer != nil {
			st.timer.Stop()
			st.timer = nil
		}
		if st.up != st.told {
			a.tell(st)
		}
	}
	a.mu.Unlock()
	close(a.ending)
	a.idle.Wait()
}
