// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// errNoActivation: what stands where an activation should is none.
var errNoActivation = errors.New("it is no activation")

// ErrActivatedMeanwhile: somebody else activated a version between the look and
// the write. Nothing was written.
var ErrActivatedMeanwhile = errors.New("another version was activated meanwhile")

// Active reads from INPUTS which version of a decider is activated at a site,
// and the sequence of that fact. It is nil and 0 when none ever was.
func Active(ctx context.Context, b *bus.Bus, site, name string) (*events.DeciderActivated, uint64, error) {
	if err := errors.Join(events.CheckToken("site", site), events.CheckToken("decider", name)); err != nil {
		return nil, 0, fmt.Errorf("activation: %w", err)
	}
	s, err := b.JetStream().Stream(ctx, events.StreamInputs)
	if err != nil {
		return nil, 0, fmt.Errorf("activation of %s at %s: stream %s: %w", name, site, events.StreamInputs, err)
	}
	m, err := s.GetLastMsgForSubject(ctx, events.Subject(b.Prefix(), site, events.TypeDeciderActivated, name))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("activation of %s at %s: %w", name, site, err)
	}
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil {
		return nil, m.Sequence, fmt.Errorf("activation of %s at %s: %w: %w", name, site, errNoActivation, err)
	}
	e.Arrived = m.Time
	if err := decider.CheckDate(e); err != nil {
		return nil, m.Sequence, fmt.Errorf("activation of %s at %s: %w: %w", name, site, errNoActivation, err)
	}
	a, ok := e.Data.(*events.DeciderActivated)
	if !ok || a.Decider != name {
		return nil, m.Sequence, fmt.Errorf("activation of %s at %s: %s/%d: %w", name, site, events.StreamInputs, m.Sequence, errNoActivation)
	}
	return a, m.Sequence, nil
}

// Activate makes the version id the one that speaks for its decider at a site,
// by compare-and-set in INPUTS, from the moment its relayed copy is in the
// journal. stateHash is the replica's, or empty; by is a person or a host. It
// does nothing when that version is activated already.
func Activate(ctx context.Context, b *bus.Bus, site string, id decider.Identity, stateHash, by string) error {
	have, at, err := Active(ctx, b, site, id.Name)
	if err != nil && at == 0 {
		return err
	}
	// A fact that cannot be read is replaced by one that can.
	if have != nil && have.Version == id.Version && have.ConfigHash == id.ConfigHash {
		return nil
	}
	return activate(ctx, b, site, id, stateHash, by, at)
}

func activate(ctx context.Context, b *bus.Bus, site string, id decider.Identity, stateHash, by string, at uint64) error {
	e := events.New(site, id.Name, &events.DeciderActivated{
		Decider: id.Name, Version: id.Version, ConfigHash: id.ConfigHash, StateHash: stateHash, ActivatedBy: by,
	})
	e.ID = fmt.Sprintf("%s/%s/activated/%d", site, id.Name, at)
	x := bus.Expect{Subject: events.Subject(b.Prefix(), site, events.TypeDeciderActivated, id.Name), SubjectSequence: at}
	_, err := b.PublishBatchIf(ctx, events.StreamInputs, x, e)
	switch {
	case errors.Is(err, bus.ErrConflict):
		return fmt.Errorf("activate %s %s-%s at %s: %w: look again and decide anew", id.Name, id.Version, id.ConfigHash, site, ErrActivatedMeanwhile)
	case err != nil:
		return fmt.Errorf("activate %s %s-%s at %s: %w", id.Name, id.Version, id.ConfigHash, site, err)
	}
	return nil
}
