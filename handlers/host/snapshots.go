// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/host/replica"
)

// storeWait bounds the storing or loading of one snapshot.
const storeWait = time.Minute

// Metadata keys of a snapshot in the object store, for whoever must know its
// place without loading it.
const (
	metaEpoch    = "epoch"
	metaSequence = "sequence"
)

// SnapshotKey names the snapshot of an identity at a site in the object store
// events.SnapshotBucket.
func SnapshotKey(site string, id decider.Identity) string {
	return site + "/" + id.Name + "/" + id.Version + "-" + id.ConfigHash
}

// snapshotPlace is where the stored snapshot of key stands; ok is false when
// there is none.
func snapshotPlace(ctx context.Context, store jetstream.ObjectStore, key string) (p replica.Place, ok bool, err error) {
	info, err := store.GetInfo(ctx, key)
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return p, false, nil
	}
	if err != nil {
		return p, false, fmt.Errorf("snapshot %s: %w", key, err)
	}
	p.Epoch, err = strconv.ParseUint(info.Metadata[metaEpoch], 10, 64)
	if err == nil {
		p.Sequence, err = strconv.ParseUint(info.Metadata[metaSequence], 10, 64)
	}
	if err != nil {
		// Not written by a host: as good as none.
		return replica.Place{}, false, nil
	}
	return p, true, nil
}

// storeSnapshot puts a snapshot in place of an older one.
func storeSnapshot(ctx context.Context, b *bus.Bus, key string, at replica.Place, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	store, err := b.SnapshotStore(ctx)
	if err != nil {
		return err
	}
	have, ok, err := snapshotPlace(ctx, store, key)
	if err != nil {
		return err
	}
	if ok && !at.After(have) {
		return nil // another replica was here
	}
	_, err = store.Put(ctx, jetstream.ObjectMeta{
		Name:        key,
		Description: "decider snapshot",
		Metadata: map[string]string{
			metaEpoch:    strconv.FormatUint(at.Epoch, 10),
			metaSequence: strconv.FormatUint(at.Sequence, 10),
		},
	}, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("snapshot %s: %w", key, err)
	}
	return nil
}

// loadSnapshot returns nil when there is none.
func loadSnapshot(ctx context.Context, b *bus.Bus, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	return b.Snapshot(ctx, key)
}
