// SPDX-License-Identifier: Apache-2.0

package auditbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatchbench"
)

// Config of a journal.
type Config struct {
	// Events of the journal, at least a hundred.
	Events uint64
	// Workers of the site, whose statuses make up most of it.
	Workers int
	// Deciders that decide on it.
	Deciders []audit.Factory
	// CheckpointEvery and SnapshotEvery folded events a decider stores a
	// checkpoint and the file gets a snapshot; 0 means 1,000 and 1,000,000.
	CheckpointEvery, SnapshotEvery uint64
}

// latency of the outputs: how long after its cause one is stored.
const latency = 2 * time.Millisecond

var errDone = errors.New("enough events")

// writer folds what it writes.
type writer struct {
	Config
	ctx     context.Context
	x       *audit.Writer
	runners []*decider.Runner
	stored  map[string]uint64 // newest sequence by stream
	n       uint64
	facts   uint64 // relayed
	each    func(uint64)
}

// Write writes the export of a made-up site into w and returns how many
// messages it holds: journal, commands, bookings and checkpoints. progress, when
// not nil, is told how many journal events there are, now and then.
func Write(ctx context.Context, w io.Writer, c Config, progress func(uint64)) (uint64, error) {
	if c.Events < 100 {
		return 0, fmt.Errorf("audit bench: %d events: use at least 100", c.Events)
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = 1_000
	}
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = 1_000_000
	}
	x, err := audit.NewWriter(w, audit.FileHeader{Site: dispatchbench.Site, Prefix: dispatchbench.Prefix, ExportedAt: dispatchbench.Start,
		Version: "bench", Openings: []decider.Opening{{Epoch: 1}}})
	if err != nil {
		return 0, err
	}
	m := &writer{Config: c, ctx: ctx, x: x, stored: make(map[string]uint64), each: progress}
	if err := m.begin(); err != nil {
		return 0, err
	}
	err = dispatchbench.Stream(c.Workers, m.n, m.event)
	if err != nil && !errors.Is(err, errDone) {
		return 0, err
	}
	n := x.Lines()
	return n, x.Close()
}

// begin opens the epoch and activates the deciders.
func (m *writer) begin() error {
	facts := []events.Payload{&events.JournalOpened{Epoch: 1, OpenedBy: "bench", Reason: "a made-up journal begins"}}
	for _, f := range m.Deciders {
		d, err := f()
		if err != nil {
			return err
		}
		r, err := decider.NewRunner(dispatchbench.Prefix, dispatchbench.Site, d)
		if err != nil {
			return err
		}
		r.Opened(decider.Opening{Epoch: 1})
		m.runners = append(m.runners, r)
		id := d.Identity()
		facts = append(facts, &events.DeciderActivated{Decider: id.Name, Version: id.Version, ConfigHash: id.ConfigHash, ActivatedBy: "bench"})
	}
	for i, p := range facts {
		source := "bench"
		if a, ok := p.(*events.DeciderActivated); ok {
			source = a.Decider
		}
		e := events.New(dispatchbench.Site, source, p).WithID(fmt.Sprint("fact-", i+1))
		e.Arrived = dispatchbench.Start
		if err := m.event(e); err != nil {
			return err
		}
	}
	return nil
}

// event stores one in the journal; a fact of another stream as a host relays it.
func (m *writer) event(e *events.Event) error {
	msg, err := events.Encode(dispatchbench.Prefix, e)
	if err != nil {
		return fmt.Errorf("audit bench: %w", err)
	}
	if info, _ := events.Info(e.Data.EventType()); info.Relayed {
		m.facts++
		msg.Subject = events.JournalSubject(dispatchbench.Prefix, dispatchbench.Site, info.Type, e.Source)
		msg.Header[events.HeaderOrigin] = []string{info.Stream + "/" + strconv.FormatUint(m.facts, 10)}
		msg.Header[events.HeaderOriginTime] = []string{e.Arrived.Format(time.RFC3339Nano)}
	}
	return m.message(msg, e.Arrived)
}

// message stores one in the journal, and what the deciders say to it.
func (m *writer) message(msg *nats.Msg, arrived time.Time) error {
	if m.n >= m.Events {
		return errDone
	}
	m.n++
	raw := &decider.Raw{Subject: msg.Subject, Header: msg.Header, Data: msg.Data, Sequence: m.n, Arrived: arrived}
	if err := m.x.Write(events.StreamJournal, 1, raw); err != nil {
		return err
	}
	for _, r := range m.runners {
		st, err := r.Feed(raw)
		if err == nil {
			err = st.Err
		}
		if err != nil {
			return fmt.Errorf("audit bench: %w", err)
		}
		if !st.Speaks {
			continue
		}
		if err := m.outputs(r, &st, arrived); err != nil {
			return err
		}
	}
	if m.n%4096 == 0 {
		if m.each != nil {
			m.each(m.n)
		}
		return m.ctx.Err()
	}
	return nil
}

func (m *writer) outputs(r *decider.Runner, st *decider.Step, arrived time.Time) error {
	batches, _, err := r.Batches(st)
	if err != nil {
		return fmt.Errorf("audit bench: %w", err)
	}
	for _, b := range batches {
		for _, o := range b.Messages {
			if err := m.store(b.Stream, o, arrived); err != nil {
				return err
			}
		}
	}
	folded := r.Counts().Folded
	if folded%m.CheckpointEvery == 0 {
		c := r.Checkpoint()
		e := events.New(dispatchbench.Site, c.Decider, c).CausedBy(st.Event).At(arrived).WithID(decider.CheckpointID(dispatchbench.Site, c))
		o, err := events.Encode(dispatchbench.Prefix, e)
		if err != nil {
			return fmt.Errorf("audit bench: %w", err)
		}
		if err := m.store(events.StreamCommands, o, arrived); err != nil {
			return err
		}
	}
	if folded%m.SnapshotEvery == 0 {
		data, err := r.Snapshot(map[string]uint64{events.StreamCommands: m.stored[events.StreamCommands], events.StreamRevenue: m.stored[events.StreamRevenue]})
		if err != nil {
			return fmt.Errorf("audit bench: %w", err)
		}
		return m.x.WriteSnapshot(data)
	}
	return nil
}

func (m *writer) store(stream string, o *nats.Msg, arrived time.Time) error {
	m.stored[stream]++
	return m.x.Write(stream, 0, &decider.Raw{Subject: o.Subject, Header: o.Header, Data: o.Data, Sequence: m.stored[stream], Arrived: arrived.Add(latency)})
}
