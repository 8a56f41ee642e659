// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// What is not there is no error, and a store that is not there is one.
func TestSnapshotIsWhatTheStoreHolds(t *testing.T) {
	ctx := testContext(t)
	b := openTest(t, testConfig(t))
	if data, err := b.Snapshot(ctx, "tx1/toy/1-aa"); data != nil || err != nil {
		t.Errorf("where nothing was stored: %q, %v", data, err)
	}
	store, err := b.SnapshotStore(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutBytes(ctx, "tx1/toy/1-aa", []byte("state")); err != nil {
		t.Fatal(err)
	}
	if data, err := b.Snapshot(ctx, "tx1/toy/1-aa"); string(data) != "state" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
	if err := b.js.DeleteObjectStore(ctx, events.SnapshotBucket); err != nil {
		t.Fatal(err)
	}
	if data, err := b.Snapshot(ctx, "tx1/toy/1-aa"); data != nil || err == nil || !strings.Contains(err.Error(), events.SnapshotBucket) {
		t.Errorf("without a store: %q, %v", data, err)
	}
}
