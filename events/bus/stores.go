// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// Streams behind the stores.
const (
	// snapshotStream is behind the object store of snapshots.
	snapshotStream = "OBJ_" + events.SnapshotBucket
	// sliceStream is behind the bucket of slices.
	sliceStream = "KV_" + events.SliceBucket
)

func snapshotConfig(c Config) jetstream.ObjectStoreConfig {
	return jetstream.ObjectStoreConfig{
		Bucket:      events.SnapshotBucket,
		Description: "Decider snapshots, key <site>/<decider>/<version>-<confighash>.",
		Storage:     jetstream.FileStorage,
		Replicas:    c.withDefaults().Replicas,
		MaxBytes:    -1,
	}
}

// snapshotStreamConfig is what the client library makes of snapshotConfig.
func snapshotStreamConfig(c Config) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: snapshotStream,
		Subjects: []string{
			"$O." + events.SnapshotBucket + ".C.>",
			"$O." + events.SnapshotBucket + ".M.>",
		},
		Storage: jetstream.FileStorage, Replicas: c.withDefaults().Replicas,
		Discard: jetstream.DiscardNew, AllowRollup: true, AllowDirect: true,
		Duplicates: 2 * time.Minute,
	}
}

// SnapshotStore is the object store of decider snapshots. EnsureStreams made
// it.
func (b *Bus) SnapshotStore(ctx context.Context) (jetstream.ObjectStore, error) {
	s, err := b.js.ObjectStore(ctx, events.SnapshotBucket)
	if err != nil {
		return nil, fmt.Errorf("bus: object store %s: %w (EnsureStreams makes it)", events.SnapshotBucket, err)
	}
	return s, nil
}

// Snapshot is what the object store of snapshots holds under a key, nil when
// that is nothing.
func (b *Bus) Snapshot(ctx context.Context, key string) ([]byte, error) {
	store, err := b.SnapshotStore(ctx)
	if err != nil {
		return nil, err
	}
	data, err := store.GetBytes(ctx, key)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", key, err)
	}
	return data, nil
}

func sliceConfig(c Config) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:      events.SliceBucket,
		Description: "Slices of upstream sessions' search space that are taken, key <site>.<pool>.<extranonce1>.",
		History:     1,
		Storage:     jetstream.FileStorage,
		Replicas:    c.withDefaults().Replicas,
		MaxBytes:    -1,
	}
}

// sliceStreamConfig is what the client library makes of sliceConfig.
func sliceStreamConfig(c Config) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              sliceStream,
		Subjects:          []string{"$KV." + events.SliceBucket + ".>"},
		MaxMsgsPerSubject: 1,
		Storage:           jetstream.FileStorage, Replicas: c.withDefaults().Replicas,
		Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true, AllowDirect: true,
		Duplicates: 2 * time.Minute,
	}
}

// SliceStore is the bucket in which gateways claim slices of search space, and
// the lease of their id. EnsureStreams made it.
func (b *Bus) SliceStore(ctx context.Context) (jetstream.KeyValue, error) {
	s, err := b.js.KeyValue(ctx, events.SliceBucket)
	if err != nil {
		return nil, fmt.Errorf("bus: bucket %s: %w (EnsureStreams makes it)", events.SliceBucket, err)
	}
	return s, nil
}
