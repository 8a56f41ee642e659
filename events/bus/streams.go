// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// replaySuffix makes the first token of imported subjects, so that no
// subscription to live subjects can ever match them.
const replaySuffix = "-replay"

// ReplayPrefix is the first token of subjects in StreamReplay.
func ReplayPrefix(prefix string) string { return prefix + replaySuffix }

// metaSync is written into every stream by the process that embeds the server,
// so that others can tell when acknowledged events are on the disk.
const metaSync = "ballast.sync"

// sync is how the embedded server syncs under d.
func (d Durability) sync() string {
	if d == ProcessCrash {
		return "every second"
	}
	return "always"
}

// Streams returns the declaration of every stream of the contract under c:
// what EnsureStreams applies and CheckStreams compares with. The object store
// of snapshots and the bucket of slices are not among them (see SnapshotStore
// and SliceStore).
func Streams(c Config) []jetstream.StreamConfig {
	c = c.withDefaults()
	declare := func(name, description string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Description: description,
			Subjects:    StreamSubjects(c.Prefix, name),
			Retention:   jetstream.LimitsPolicy,
			MaxMsgs:     -1,
			MaxBytes:    -1,
			MaxMsgSize:  -1,
			Discard:     jetstream.DiscardOld,
			Storage:     jetstream.FileStorage,
			Replicas:    c.Replicas,
			Duplicates:  c.DuplicateWindow,
			AllowDirect: true,
		}
	}
	// The server persists asynchronously only without replicas; with them the
	// Raft log groups the syncs.
	persist := jetstream.DefaultPersistMode
	if c.Durability == PowerLoss && c.Replicas == 1 {
		persist = jetstream.AsyncPersistMode
	}

	inputs := declare(events.StreamInputs, "Rare facts: grid signals, site configuration, epochs, activations. Kept for ever.")
	inputs.DenyDelete = true

	journal := declare(events.StreamJournal, "Everything deciders read, in one total order. Purged by decider hosts behind their snapshots.")
	journal.PersistMode = persist

	commands := declare(events.StreamCommands, "What deciders decided, with reasons.")
	commands.MaxAge = bound(c.Retention.CommandsAge)
	commands.DenyDelete = true
	commands.AllowAtomicPublish = true
	commands.RePublish = &jetstream.RePublish{
		Source:      c.Prefix + ".*.command.>",
		Destination: c.Prefix + ".{{wildcard(1)}}." + events.StoredToken + ".command.>",
	}

	jobs := declare(events.StreamJobs, "Mining work, minutes of it.")
	jobs.Storage = jetstream.MemoryStorage
	jobs.MaxAge = bound(c.Retention.JobsAge)
	jobs.MaxMsgsPerSubject = 16
	jobs.MaxBytes = 128 << 20
	// No job outlives the stream, so neither does its id.
	if jobs.MaxAge > 0 {
		jobs.Duplicates = min(jobs.Duplicates, jobs.MaxAge)
	}

	shares := declare(events.StreamShares, "Proof of work and its verdicts. Kept for ever.")
	shares.DenyDelete = true
	shares.AllowAtomicPublish = true

	revenue := declare(events.StreamRevenue, "Energy and money. Deletes and purges are refused.")
	revenue.DenyDelete, revenue.DenyPurge = true, true
	revenue.AllowAtomicPublish = true

	dead := declare(events.StreamDeadLetter, "What could not be understood or done, with the reason.")
	dead.MaxAge = bound(c.Retention.DeadLetterAge)
	dead.MaxBytes = boundBytes(c.Retention.DeadLetterBytes)

	replay := declare(events.StreamReplay, "Imported journals; never live.")
	replay.PersistMode = persist

	out := []jetstream.StreamConfig{inputs, journal, commands, jobs, shares, revenue, dead, replay}
	for i := range out {
		if c.Embedded() {
			out[i].Metadata = map[string]string{metaSync: c.Durability.sync()}
		}
		// The server refuses ids remembered for longer than messages live.
		if age := out[i].MaxAge; age > 0 {
			out[i].Duplicates = min(out[i].Duplicates, age)
		}
		if out[i].MaxMsgsPerSubject == 0 {
			out[i].MaxMsgsPerSubject = -1
		}
		out[i].MaxConsumers = -1
	}
	return out
}

// StreamSubjects lists the subjects that stream stores under prefix, derived
// from events.Types; nil for a name that is none of the contract's.
func StreamSubjects(prefix, stream string) []string {
	if stream == events.StreamReplay {
		return []string{ReplayPrefix(prefix) + ".>"}
	}
	var out []string
	for _, t := range events.Types() {
		if t.Stream == stream {
			out = append(out, events.Subject(prefix, "*", t.Type, "*"))
		}
		if t.Relayed && stream == events.StreamJournal {
			out = append(out, events.JournalSubject(prefix, "*", t.Type, "*"))
		}
	}
	if stream == events.StreamCommands {
		out = append(out, events.BroadcastSubject(prefix, "*"))
	}
	return out
}

func bound(d time.Duration) time.Duration { return max(d, 0) }

func boundBytes(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

// EnsureStreams makes the streams, the snapshot store and the bucket of slices
// exist as declared. It
// may be called by several processes at once and any number of times. On an
// error some streams may have been applied; calling again goes on.
func (b *Bus) EnsureStreams(ctx context.Context) error {
	for _, want := range Streams(b.cfg) {
		if err := b.ensureStream(ctx, want); err != nil {
			return err
		}
	}
	err := b.request(ctx, func(ctx context.Context) error {
		_, err := b.js.CreateOrUpdateObjectStore(ctx, snapshotConfig(b.cfg))
		return err
	})
	if err != nil {
		return fmt.Errorf("bus: object store %s: %w", events.SnapshotBucket, err)
	}
	err = b.request(ctx, func(ctx context.Context) error {
		_, err := b.js.CreateOrUpdateKeyValue(ctx, sliceConfig(b.cfg))
		return err
	})
	if err != nil {
		return fmt.Errorf("bus: bucket %s: %w", events.SliceBucket, err)
	}
	return nil
}

// requestWait bounds one request to the stream API, requestTries how often it
// is made: a cluster that elects a leader leaves requests without an answer.
const (
	requestWait  = 3 * time.Second
	requestTries = 5
)

// request makes one request to the stream API, again when no answer came.
func (b *Bus) request(ctx context.Context, do func(ctx context.Context) error) error {
	var err error
	for range requestTries {
		try, cancel := context.WithTimeout(ctx, requestWait)
		err = do(try)
		cancel()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
	return fmt.Errorf("the stream API left %d requests without an answer: %w", requestTries, err)
}

// stream looks a stream up, with its state.
func (b *Bus) stream(ctx context.Context, name string) (s jetstream.Stream, err error) {
	err = b.request(ctx, func(ctx context.Context) error {
		s, err = b.js.Stream(ctx, name)
		return err
	})
	return s, err
}

func (b *Bus) ensureStream(ctx context.Context, want jetstream.StreamConfig) error {
	for range 3 {
		s, err := b.stream(ctx, want.Name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			err = b.request(ctx, func(ctx context.Context) error {
				_, err := b.js.CreateStream(ctx, want)
				return err
			})
			if err == nil {
				return nil
			}
			if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
				continue // somebody was faster: compare with theirs
			}
			return fmt.Errorf("bus: create stream %s: %w", want.Name, err)
		case err != nil:
			return fmt.Errorf("bus: look for stream %s: %w", want.Name, err)
		}
		have := s.CachedInfo().Config
		if len(differences(have, want)) == 0 {
			return nil
		}
		// What the declaration does not speak of stays as it is.
		merged := merge(have, want)
		err = b.request(ctx, func(ctx context.Context) error {
			_, err := b.js.UpdateStream(ctx, merged)
			return err
		})
		if err != nil {
			return fmt.Errorf("bus: stream %s differs from its declaration (%s) and the server refuses to change it; it was left as it is: %w",
				want.Name, strings.Join(differences(have, want), "; "), err)
		}
		return nil
	}
	return fmt.Errorf("bus: stream %s comes and goes: is another process deleting it?", want.Name)
}

// merge puts the declared fields into the present configuration.
func merge(have, want jetstream.StreamConfig) jetstream.StreamConfig {
	m := want
	m.Placement, m.Sources = have.Placement, have.Sources
	m.Metadata = maps.Clone(have.Metadata)
	if m.Metadata == nil {
		m.Metadata = make(map[string]string)
	}
	maps.Copy(m.Metadata, want.Metadata)
	m.Compression, m.MaxConsumers, m.FirstSeq = have.Compression, have.MaxConsumers, have.FirstSeq
	return m
}

// Drift is one stream that is not as declared.
type Drift struct {
	// Stream named.
	Stream string
	// Missing: it does not exist.
	Missing bool
	// Differences, one sentence each; empty when Missing.
	Differences []string
}

// CheckStreams compares what the server has with the declaration and changes
// nothing. No drift is an empty slice.
func (b *Bus) CheckStreams(ctx context.Context) ([]Drift, error) {
	var out []Drift
	for _, want := range append(Streams(b.cfg), snapshotStreamConfig(b.cfg), sliceStreamConfig(b.cfg)) {
		s, err := b.stream(ctx, want.Name)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			out = append(out, Drift{Stream: want.Name, Missing: true})
			continue
		case err != nil:
			return out, fmt.Errorf("bus: look at stream %s: %w", want.Name, err)
		}
		if d := differences(s.CachedInfo().Config, want); len(d) > 0 {
			out = append(out, Drift{Stream: want.Name, Differences: d})
		}
	}
	return out, nil
}

// differences says in which declared fields have is not want.
func differences(have, want jetstream.StreamConfig) []string {
	var out []string
	diff := func(field string, h, w any) {
		if h != w {
			out = append(out, fmt.Sprintf("%s is %v, declared %v", field, h, w))
		}
	}
	hs, ws := slices.Clone(have.Subjects), slices.Clone(want.Subjects)
	slices.Sort(hs)
	slices.Sort(ws)
	diff("subjects", strings.Join(hs, " "), strings.Join(ws, " "))
	diff("retention", have.Retention, want.Retention)
	diff("storage", have.Storage, want.Storage)
	diff("replicas", have.Replicas, want.Replicas)
	diff("discard", have.Discard, want.Discard)
	diff("max_age", have.MaxAge, want.MaxAge)
	diff("max_bytes", unlimited(have.MaxBytes), unlimited(want.MaxBytes))
	diff("max_msgs", unlimited(have.MaxMsgs), unlimited(want.MaxMsgs))
	diff("max_msgs_per_subject", unlimited(have.MaxMsgsPerSubject), unlimited(want.MaxMsgsPerSubject))
	diff("max_msg_size", unlimited(int64(have.MaxMsgSize)), unlimited(int64(want.MaxMsgSize)))
	diff("duplicate_window", have.Duplicates, want.Duplicates)
	diff("allow_direct", have.AllowDirect, want.AllowDirect)
	diff("allow_atomic", have.AllowAtomicPublish, want.AllowAtomicPublish)
	diff("deny_delete", have.DenyDelete, want.DenyDelete)
	diff("deny_purge", have.DenyPurge, want.DenyPurge)
	diff("allow_rollup_hdrs", have.AllowRollup, want.AllowRollup)
	diff("persist_mode", have.PersistMode.String(), want.PersistMode.String())
	diff("republish", republish(have.RePublish), republish(want.RePublish))
	diff("sealed", have.Sealed, want.Sealed)
	for _, k := range slices.Sorted(maps.Keys(want.Metadata)) {
		diff("metadata "+k, have.Metadata[k], want.Metadata[k])
	}
	return out
}

// unlimited is −1 for every way in which the server writes "no limit".
func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

func republish(r *jetstream.RePublish) string {
	if r == nil {
		return "none"
	}
	return r.Source + " to " + r.Destination
}
