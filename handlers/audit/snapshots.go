// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// streamSnapshots is what the lines of an export that hold snapshots say their
// stream is.
const streamSnapshots = "SNAPSHOTS"

// Snapshot is where a state of a decider can be had from.
type Snapshot struct {
	// Site and Identity of the decider.
	Site     string
	Identity decider.Identity
	// Epoch and Sequence of the last message folded into it.
	Epoch, Sequence uint64
	// Where it comes from, for people.
	Where string
	// Load returns its bytes, nil when it is gone.
	Load func(context.Context) ([]byte, error)
}

// ReadSnapshot is a snapshot of bytes at hand.
func ReadSnapshot(where string, data []byte) (Snapshot, error) {
	h, _, err := decider.ReadHeader(data)
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", where, err)
	}
	return Snapshot{
		Site: h.Site, Identity: decider.Identity{Name: h.Decider, Version: h.Version, ConfigHash: h.ConfigHash},
		Epoch: h.Epoch, Sequence: h.Sequence, Where: where,
		Load: func(context.Context) ([]byte, error) { return data, nil },
	}, nil
}

// WriteSnapshot adds a snapshot of a decider to an export.
func (x *Writer) WriteSnapshot(data []byte) error {
	h, _, err := decider.ReadHeader(data)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	next := uint64(1)
	if o := x.open[streamSnapshots]; o != nil {
		next = o.Last + 1
	}
	return x.Write(streamSnapshots, h.Epoch, &decider.Raw{Subject: h.Decider, Data: data, Sequence: next, Arrived: time.Unix(0, 0)})
}

// snapshotWait bounds the listing of snapshots.
const snapshotWait = 5 * time.Second

// Snapshots of the hosts, as stored in the object store events.SnapshotBucket.
func (l *live) Snapshots(ctx context.Context) ([]Snapshot, error) {
	// Whoever may not read them is not answered.
	short, cancel := context.WithTimeout(ctx, snapshotWait)
	defer cancel()
	store, err := l.b.SnapshotStore(short)
	if err != nil {
		return nil, err
	}
	list, err := store.List(short)
	if errors.Is(err, jetstream.ErrNoObjectsFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	var out []Snapshot
	for _, info := range list {
		parts := strings.Split(info.Name, "/")
		if len(parts) < 3 || parts[0] != l.site {
			continue
		}
		version, hash, ok := cutLast(parts[2], "-")
		if !ok {
			continue
		}
		name := info.Name
		out = append(out, Snapshot{
			Site: l.site, Identity: decider.Identity{Name: parts[1], Version: version, ConfigHash: hash},
			Epoch: uintOf(info.Metadata["epoch"]), Sequence: uintOf(info.Metadata["sequence"]), Where: "bus " + name,
			Load: func(ctx context.Context) ([]byte, error) { return l.b.Snapshot(ctx, name) },
		})
	}
	return out, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// Snapshots in the export.
func (f *file) Snapshots(ctx context.Context) ([]Snapshot, error) {
	if f.index == nil {
		return nil, nil
	}
	var out []Snapshot
	for m, err := range f.Read(ctx, streamSnapshots, 0) {
		if err != nil {
			return nil, err
		}
		s, err := ReadSnapshot(f.path, m.Data)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFile, err)
		}
		at := m.Sequence
		s.Load = func(ctx context.Context) ([]byte, error) {
			for m, err := range f.Read(ctx, streamSnapshots, at) {
				if err != nil {
					return nil, err
				}
				return slices.Clone(m.Data), nil
			}
			return nil, nil
		}
		out = append(out, s)
	}
	return out, nil
}

// Directory of snapshots: what an auditor keeps of earlier replays. Verify adds
// to it (Options.Record), and a later Verify can begin there.
type Directory string

// snapshotSuffix of the files in a Directory.
const snapshotSuffix = ".snapshot"

// Keep writes a snapshot into the directory, which is made when it is not
// there. A file of the directory is whole or not there.
func (d Directory) Keep(data []byte) error {
	h, _, err := decider.ReadHeader(data)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err := os.MkdirAll(string(d), 0o755); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	name := filepath.Join(string(d), fmt.Sprintf("%s.%s.%s-%s.%d-%d%s", h.Site, h.Decider, h.Version, h.ConfigHash, h.Epoch, h.Sequence, snapshotSuffix))
	if err := os.WriteFile(name+".part", data, 0o644); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if err := os.Rename(name+".part", name); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	return nil
}

// Snapshots in the directory; one that is not there has none.
func (d Directory) Snapshots() ([]Snapshot, error) {
	names, err := filepath.Glob(filepath.Join(string(d), "*"+snapshotSuffix))
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", string(d), err)
	}
	var out []Snapshot
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("record: %w", err)
		}
		s, err := ReadSnapshot(name, data)
		if err != nil {
			return nil, fmt.Errorf("record: %w", err)
		}
		s.Load = func(context.Context) ([]byte, error) { return os.ReadFile(name) }
		out = append(out, s)
	}
	return out, nil
}

// of returns the snapshots of one decider, rising by place.
func of(all []Snapshot, site string, id decider.Identity) []Snapshot {
	var out []Snapshot
	for _, s := range all {
		if s.Site == site && s.Identity == id && s.Sequence > 0 {
			out = append(out, s)
		}
	}
	slices.SortStableFunc(out, func(a, b Snapshot) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Sequence, b.Sequence))
	})
	return out
}

// newestUpTo is the newest snapshot of a sequence or before; ok is false when
// there is none.
func newestUpTo(sorted []Snapshot, sequence uint64) (s Snapshot, ok bool) {
	for i := len(sorted) - 1; i >= 0; i-- {
		if sorted[i].Sequence <= sequence {
			return sorted[i], true
		}
	}
	return Snapshot{}, false
}

// Locate finds, with as many looks as a binary search needs, between which two
// snapshots of a record the hosts' state left that of the replay the record was
// made by: good is the newest whose stored checkpoint agrees with it, bad the
// first whose does not. Each may be 0: no snapshot agrees, or none disagrees.
// What was stored of single decisions is not looked at.
func Locate(ctx context.Context, src Source, record []Snapshot, id decider.Identity) (good, bad uint64, err error) {
	sorted := of(record, src.Site(), id)
	low, high := 0, len(sorted) // all before low agree, none from high on
	for low < high {
		mid := (low + high) / 2
		same, err := agrees(ctx, src, &sorted[mid])
		if err != nil {
			return 0, 0, fmt.Errorf("locate in %s: %w", src.Site(), err)
		}
		if same {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low > 0 {
		good = sorted[low-1].Sequence
	}
	if low < len(sorted) {
		bad = sorted[low].Sequence
	}
	return good, bad, nil
}

// locateAhead messages of COMMANDS are looked through for a checkpoint.
const locateAhead = 200_000

// agrees compares a snapshot of the record with the checkpoint stored at its
// place. None there is no agreement: when it was recorded, there was one.
func agrees(ctx context.Context, src Source, s *Snapshot) (bool, error) {
	data, err := s.Load(ctx)
	if err != nil {
		return false, err
	}
	h, _, err := decider.ReadHeader(data)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.Where, err)
	}
	n := 0
	for m, err := range src.Read(ctx, events.StreamCommands, h.Outputs[events.StreamCommands]+1) {
		if err != nil {
			return false, err
		}
		if c := checkpointOf(m, src.Site(), s.Identity); c != nil {
			if c.Epoch == h.Epoch && c.Sequence == h.Sequence {
				return c.StateHash == h.StateHash && c.ChainHash == h.Chain.String() && c.Folded == h.Counts.Folded, nil
			}
		}
		if n++; n > locateAhead {
			break
		}
	}
	return false, nil
}

// checkpointOf decodes m if it is a checkpoint of that decider.
func checkpointOf(m *decider.Raw, site string, id decider.Identity) *events.DeciderCheckpoint {
	if headerOf(m.Header, events.HeaderCEType) != string(events.TypeDeciderCheckpoint) {
		return nil
	}
	e, err := events.Decode(m.Subject, m.Header, m.Data)
	if err != nil || e.Site != site {
		return nil
	}
	c, ok := e.Data.(*events.DeciderCheckpoint)
	if !ok || c.Decider != id.Name || c.Version != id.Version || c.ConfigHash != id.ConfigHash {
		return nil
	}
	return c
}
