// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
)

// statusKind is what a status is for.
type statusKind int

const (
	statusNews statusKind = iota
	statusAnnounce
	statusLeaving
)

// tell remembers units with news for the next flush.
func (a *Agent) tell(units []int) {
	for _, i := range units {
		if !a.isTelling[i] {
			a.isTelling[i] = true
			a.telling = append(a.telling, i)
		}
	}
}

// tellAll makes every unit news and puts off the next regular status.
func (a *Agent) tellAll() {
	a.tell(a.everyone)
	a.statusAt = a.cfg.Clock().Add(a.cfg.StatusPeriod)
}

// flush tells the news. What cannot be sent now stays news: an announcement
// follows when the connection is back.
func (a *Agent) flush() {
	if len(a.telling) == 0 || !a.nc.IsConnected() || a.cfg.Clock() < a.newsAt {
		return
	}
	if err := a.status(a.telling, statusNews); err != nil {
		a.complain("status not sent", err)
	}
	for _, i := range a.telling {
		a.isTelling[i] = false
	}
	a.telling = a.telling[:0]
}

// announce introduces every unit and expects acknowledgements.
func (a *Agent) announce() {
	now := a.cfg.Clock()
	a.statusAt = now.Add(a.cfg.StatusPeriod)
	a.announceAt = now.Add(a.cfg.AnnouncePeriod)
	a.retryAt = now.Add(a.retry.NextBackOff())
	clear(a.unacked)
	if !a.nc.IsConnected() {
		// CONNECTED will bring us back here.
		a.announceAt = math.MaxInt64
		return
	}
	a.units = a.driver.Units()
	if err := a.status(a.everyone, statusAnnounce); err != nil {
		a.announceAt = a.retryAt
		a.complain("announcement not sent", err)
	}
}

// status publishes the condition of these units, in as many messages as it
// takes. An error leaves the rest unsaid.
func (a *Agent) status(units []int, kind statusKind) error {
	for len(units) > 0 {
		n := min(len(units), MaxUnitsPerStatus)
		if err := a.statusOf(units[:n], kind); err != nil {
			return err
		}
		units = units[n:]
	}
	return nil
}

func (a *Agent) statusOf(units []int, kind statusKind) error {
	now := a.cfg.Clock()
	s := &events.WorkerStatus{
		BootID: a.boot, Announce: kind == statusAnnounce, Leaving: kind == statusLeaving,
		Units: make([]events.UnitStatus, len(units)),
	}
	for n, i := range units {
		u := &s.Units[n]
		a.driver.Measure(i, u)
		a.panel.Describe(now, i, u)
		switch kind {
		case statusAnnounce:
			u.Capabilities = &a.units[i].Capabilities
		case statusLeaving:
			u.SetpointWatts = 0
		}
	}
	// The counter is taken last: leases count from here, and everything that
	// follows this status in the journal knows what it says.
	s.Counter = a.panel.Send(now, units)
	e := events.New(a.cfg.Site, a.cfg.Agent, s).At(a.cfg.Wall().UTC())
	e.ID = a.boot + "-" + strconv.FormatUint(s.Counter, 10)
	m, err := events.Encode(a.bus.Prefix(), e)
	if err != nil {
		return err
	}
	if kind != statusNews {
		m.Reply = a.inbox + strconv.FormatUint(s.Counter, 10)
		a.unacked[s.Counter] = struct{}{}
	}
	if err := a.nc.PublishMsg(m); err != nil {
		return fmt.Errorf("publish %s: %w", m.Subject, err)
	}
	a.cfg.Metrics.statuses.Inc()
	return nil
}

// acknowledged takes the answer of the stream to an announcement or goodbye.
func (a *Agent) acknowledged(m *nats.Msg) {
	counter, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, a.inbox), 10, 64)
	if err != nil {
		return
	}
	if _, waiting := a.unacked[counter]; !waiting {
		return
	}
	if err := answer(m); err != nil {
		a.complain("status not stored", err)
		return // said again after the back-off
	}
	delete(a.unacked, counter)
	if len(a.unacked) > 0 || a.draining {
		return
	}
	a.retry.Reset()
	select {
	case <-a.ready:
	default:
		close(a.ready)
	}
}

// answer reads a stream's acknowledgement.
func answer(m *nats.Msg) error {
	if m.Header.Get("Status") == "503" {
		return errors.New("no stream takes worker.status: is the bus set up?")
	}
	var ack struct {
		Stream string `json:"stream"`
		Error  *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	switch err := json.Unmarshal(m.Data, &ack); {
	case err != nil:
		return fmt.Errorf("answer of the stream: %w", err)
	case ack.Error != nil:
		return errors.New(ack.Error.Description)
	case ack.Stream == "":
		return errors.New("answer of the stream names no stream")
	}
	return nil
}
