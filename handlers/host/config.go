// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// Defaults of Config.
const (
	// DefaultCheckpointEvery is the distance of two checkpoints in folded
	// events.
	DefaultCheckpointEvery = 1000
	// DefaultSnapshotEvery is the distance of two snapshots in folded events.
	DefaultSnapshotEvery = 20_000
	// DefaultRetentionEvery is how often a host looks whether the journal may
	// be purged.
	DefaultRetentionEvery = 10 * time.Minute
)

// Factory makes a decider in its first state. A host calls it at the start and
// whenever it must rebuild; every call returns an equal one.
type Factory = func() (decider.Decider, error)

// Config of a host. Bus, Site, Name and Deciders are needed.
type Config struct {
	// Bus to read and write; it stays the caller's.
	Bus *bus.Bus
	// Site whose journal is folded.
	Site string
	// Name of this host in logs, alerts and activations, [a-z0-9-]{1,64}.
	Name string
	// Deciders to run, each with a name of its own.
	Deciders []Factory
	// ActivateIfNone lets the first host of a decider that nobody ever
	// activated at the site activate its own version.
	ActivateIfNone bool
	// CheckpointEvery folded events a checkpoint is published; replicas of
	// one identity must agree on it. 0 means DefaultCheckpointEvery.
	CheckpointEvery uint64
	// SnapshotEvery folded events a snapshot is stored, rounded up to a
	// multiple of CheckpointEvery. 0 means DefaultSnapshotEvery.
	SnapshotEvery uint64
	// RetentionEvery the host looks whether JOURNAL is beyond the bounds of
	// the bus; 0 means DefaultRetentionEvery. Nothing is purged that an
	// activated decider of any site still needs.
	RetentionEvery time.Duration
	// Logger; nil discards. Registerer for metrics; nil keeps none.
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	hooks hooks
}

// hooks let tests of this package stand between a host and the world.
type hooks struct {
	// now replaces time.Now where a host measures its own pauses.
	now func() time.Time
	// folding is called before every message a seat folds.
	folding func(decider string, sequence uint64)
}

func (c Config) withDefaults() (Config, error) {
	var errs []error
	if c.Bus == nil {
		errs = append(errs, errors.New("no bus"))
	}
	errs = append(errs, events.CheckToken("site", c.Site), events.CheckToken("name", c.Name))
	if len(c.Deciders) == 0 {
		errs = append(errs, errors.New("no deciders"))
	}
	if err := errors.Join(errs...); err != nil {
		return c, fmt.Errorf("host: %w", err)
	}
	if c.CheckpointEvery == 0 {
		c.CheckpointEvery = DefaultCheckpointEvery
	}
	if c.SnapshotEvery == 0 {
		c.SnapshotEvery = DefaultSnapshotEvery
	}
	c.SnapshotEvery = c.cadence().Joined().Snapshot
	if c.RetentionEvery == 0 {
		c.RetentionEvery = DefaultRetentionEvery
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.hooks.now == nil {
		c.hooks.now = time.Now
	}
	return c, nil
}

func (c *Config) cadence() replica.Cadence {
	return replica.Cadence{Checkpoint: c.CheckpointEvery, Snapshot: c.SnapshotEvery}
}

// elapsed between two readings of the clock, by the monotonic and the wall
// clock.
func elapsed(then, now time.Time) time.Duration {
	return replica.Elapsed(now.Sub(then), time.Duration(now.UnixNano()-then.UnixNano()))
}
