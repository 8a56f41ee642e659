// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"strings"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
)

// staging names what a rebuild writes before it takes the place of the rows.
const staging = "rebuild"

// Errors of Rebuild.
var (
	// ErrNotEmpty: rows are there and Force is not set.
	ErrNotEmpty = errors.New("the ledger has rows already: --force writes them anew and replaces them at once at the end")
	// ErrTrimmed: a stream does not begin at its first message any more, so a
	// rebuild would hold less than has been.
	ErrTrimmed = errors.New("the stream has lost its beginning, the ledger would be poorer than it was: --force takes what is left")
	// ErrRebuilding: another process rebuilds this ledger.
	ErrRebuilding = errors.New("another process rebuilds this ledger")
)

// RebuildOptions of Rebuild.
type RebuildOptions struct {
	// Force replaces rows that are there, and accepts streams that have lost
	// their beginning.
	Force bool
	// Progress, when not nil, is told how many of the messages are read.
	Progress func(done, of uint64)
	// Logger; nil discards.
	Logger *slog.Logger

	between func()
}

// Rebuild writes the ledger at address anew from the streams of b, up to what
// they hold now. The rows are made apart and take the place of the old ones in
// one transaction: until then, and after any failure, the ledger is as it was.
// A projector may go on meanwhile.
func Rebuild(ctx context.Context, b *bus.Bus, address string, o RebuildOptions) (*Status, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	live, err := Open(ctx, address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = live.Close() }() // all is committed by then
	if empty, err := live.empty(ctx); err != nil {
		return nil, err
	} else if !empty && !o.Force {
		return nil, fmt.Errorf("ledger %s: %w", live.shown, ErrNotEmpty)
	}
	total, err := measureStreams(ctx, b, o.Force)
	if err != nil {
		return nil, err
	}
	unlock, err := live.lockRebuild(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	apart, err := live.openStaging(ctx, address)
	if err != nil {
		return nil, err
	}
	if err := apart.fill(ctx, b, total, o); err != nil {
		return nil, errors.Join(err, live.dropStaging(context.WithoutCancel(ctx), apart))
	}
	err = live.swap(ctx, apart)
	if err := errors.Join(err, live.dropStaging(context.WithoutCancel(ctx), apart)); err != nil {
		return nil, fmt.Errorf("ledger %s: rebuilt rows could not be put in place, the old ones stand: %w", live.shown, err)
	}
	return live.Status(ctx, b)
}

// measureStreams counts what there is to read.
func measureStreams(ctx context.Context, b *bus.Bus, force bool) (uint64, error) {
	var total uint64
	for _, stream := range Streams {
		state, err := sameStream(ctx, b, stream, position{})
		if err != nil {
			return 0, fmt.Errorf("ledger: %w", err)
		}
		if state.FirstSeq > 1 && !force {
			return 0, fmt.Errorf("ledger: %s begins at %d: %w", stream, state.FirstSeq, ErrTrimmed)
		}
		total += state.Msgs
	}
	return total, nil
}

// lockRebuild keeps a second rebuild out. In SQLite the staging file does.
func (s *Store) lockRebuild(ctx context.Context) (func(), error) {
	if !s.postgres {
		return func() {}, nil
	}
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", s.shown, err)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte("ballast ledger rebuild " + s.schema)) // never fails
	var got bool
	if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(h.Sum64())).Scan(&got); err != nil || !got {
		_ = conn.Close() // nothing is held by it
		if err == nil {
			err = ErrRebuilding
		}
		return nil, fmt.Errorf("ledger %s: %w", s.shown, err)
	}
	return func() {
		// Closing hands the connection back to the pool, still locked.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", int64(h.Sum64())) // the server unlocks when the connection ends
		_ = conn.Close()
	}, nil
}

// openStaging opens empty tables beside the ledger.
func (s *Store) openStaging(ctx context.Context, address string) (*Store, error) {
	if s.postgres {
		schema := s.schema + "_" + staging
		if _, err := s.db.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE"); err != nil {
			return nil, fmt.Errorf("ledger %s: remove an unfinished rebuild: %w", s.shown, err)
		}
		apart, err := connect(address, schema, true)
		if err != nil {
			return nil, err
		}
		if err := apart.migrate(ctx); err != nil {
			return nil, errors.Join(err, s.dropStaging(context.WithoutCancel(ctx), apart))
		}
		return apart, nil
	}
	apart, err := connect(s.path+"."+staging, "", true)
	if err != nil {
		return nil, err
	}
	// Tables of an unfinished rebuild are emptied; one under way holds the file.
	err = apart.migrate(ctx)
	for i := 0; i < len(tables) && err == nil; i++ {
		_, err = apart.db.ExecContext(ctx, "DELETE FROM "+tables[i].name)
	}
	if err != nil {
		_ = apart.db.Close() // the first error says it
		if strings.Contains(err.Error(), "SQLITE_BUSY") {
			return nil, fmt.Errorf("ledger %s: %w", s.shown, ErrRebuilding)
		}
		return nil, fmt.Errorf("ledger %s: %w (an unreadable %s may be removed)", s.shown, err, apart.path)
	}
	return apart, nil
}

// dropStaging closes and removes it.
func (s *Store) dropStaging(ctx context.Context, apart *Store) error {
	err := apart.db.Close()
	if s.postgres {
		_, derr := s.db.ExecContext(ctx, "DROP SCHEMA IF EXISTS "+apart.schema+" CASCADE")
		return errors.Join(err, derr)
	}
	for _, end := range []string{"", "-wal", "-shm"} {
		if rerr := os.Remove(apart.path + end); rerr != nil && !os.IsNotExist(rerr) {
			err = errors.Join(err, rerr)
		}
	}
	return err
}

// fill reads the streams to their present end.
func (s *Store) fill(ctx context.Context, b *bus.Bus, total uint64, o RebuildOptions) error {
	var done uint64
	for _, stream := range Streams {
		state, err := sameStream(ctx, b, stream, position{})
		if err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if state.Msgs == 0 {
			continue
		}
		w := &writing{store: s, log: o.Logger, m: newMetrics(nil), between: o.between, stream: stream}
		before := uint64(0)
		w.committed = func() {
			if before == 0 {
				before = state.FirstSeq - 1
			}
			done += w.at.sequence - before
			before = w.at.sequence
			if o.Progress != nil {
				o.Progress(min(done, total), total)
			}
		}
		if err := w.read(ctx, b, events.ReadRequest{Stream: stream, FromSequence: state.FirstSeq}); err != nil {
			return fmt.Errorf("ledger: rebuild: %w", err)
		}
	}
	return nil
}

// swap puts the rows of apart in the place of ours, in one transaction.
func (s *Store) swap(ctx context.Context, apart *Store) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it goes back to the pool
	from, wipe := apart.schema, "TRUNCATE "
	if !s.postgres {
		// The file is complete only when its writer has closed it.
		if err := apart.db.Close(); err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, "ATTACH DATABASE ? AS "+staging, apart.path); err != nil {
			return err
		}
		from, wipe = staging, "DELETE FROM main."
		defer func() {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "DETACH DATABASE "+staging) // the connection ends with the store
		}()
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := s.replace(ctx, tx, from, wipe); err != nil {
		_ = tx.Rollback() // the first error says it
		return err
	}
	return tx.Commit()
}

func (s *Store) replace(ctx context.Context, tx *sql.Tx, from, wipe string) error {
	ours := "main"
	if s.postgres {
		ours = s.schema
		// All at once and in the order in which writers take them.
		names := make([]string, len(tables))
		for i, t := range tables {
			names[i] = t.name
		}
		if _, err := tx.ExecContext(ctx, "LOCK TABLE positions IN ACCESS EXCLUSIVE MODE"); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, wipe+strings.Join(names, ", ")); err != nil {
			return err
		}
	}
	for _, t := range tables {
		if !s.postgres {
			if _, err := tx.ExecContext(ctx, wipe+t.name); err != nil {
				return fmt.Errorf("table %s: %w", t.name, err)
			}
		}
		columns := strings.Join(t.columns, ", ")
		if _, err := tx.ExecContext(ctx, "INSERT INTO "+ours+"."+t.name+" ("+columns+") SELECT "+columns+" FROM "+from+"."+t.name); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return nil
}
