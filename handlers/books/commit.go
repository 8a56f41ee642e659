// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// commitWait bounds one transaction: a database that hangs is one that is
	// away.
	commitWait = 2 * time.Minute
	// maxParams of one statement, below the limits of both databases.
	maxParams = 16_000
)

// errMoved: another writer has moved the position.
var errMoved = errors.New("another process has written to this ledger meanwhile")

// position of a stream: everything up to and including it is written.
type position struct {
	sequence uint64
	arrived  int64 // Unix nanoseconds, of that message
}

// position is where the rows of a stream end; zero when there are none.
func (s *Store) position(ctx context.Context, stream string) (position, error) {
	var p position
	var sequence int64
	err := s.db.QueryRowContext(ctx, s.bind("SELECT sequence, arrived_nanos FROM positions WHERE stream = ?"), stream).Scan(&sequence, &p.arrived)
	if errors.Is(err, sql.ErrNoRows) {
		return position{}, nil
	}
	p.sequence = uint64(sequence)
	return p, err
}

// batch is what one transaction stores of one stream.
type batch struct {
	stream   string
	from, to position
	rows     []row
}

// stored says what a transaction did, by table; double are events whose id was
// there already.
type stored struct {
	rows   map[*table]int
	double int
}

// commit stores a batch and its position, or nothing. between is called before
// every step, for tests that end there; nil for none.
func (s *Store) commit(ctx context.Context, b *batch, v *valuer, between func()) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, commitWait)
	defer cancel()
	if between == nil {
		between = func() {}
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return stored{}, err
	}
	done, err := s.write(ctx, tx, b, v, between)
	if err != nil {
		_ = tx.Rollback() // the first error says it
		return stored{}, err
	}
	between()
	return done, tx.Commit()
}

func (s *Store) write(ctx context.Context, tx *sql.Tx, b *batch, v *valuer, between func()) (stored, error) {
	between()
	// First of all: whoever comes second waits here, and finds it moved.
	if err := s.move(ctx, tx, b); err != nil {
		return stored{}, err
	}
	done := stored{rows: map[*table]int{}}
	by := map[*table][]row{}
	order := []*table{}
	for _, r := range b.rows {
		if by[r.table] == nil {
			order = append(order, r.table)
		}
		by[r.table] = append(by[r.table], r)
	}
	for _, t := range order {
		between()
		fresh, err := s.fresh(ctx, tx, t, by[t])
		if err != nil {
			return stored{}, err
		}
		done.double += len(by[t]) - len(fresh)
		done.rows[t] += len(fresh)
		if t == shareTable {
			if err := s.count(ctx, tx, fresh, v, between); err != nil {
				return stored{}, err
			}
		}
		between()
		if err := s.insert(ctx, tx, t, fresh, ""); err != nil {
			return stored{}, err
		}
		var children []row
		for _, r := range fresh {
			children = append(children, r.children...)
		}
		if len(children) > 0 {
			between()
			done.rows[children[0].table] += len(children)
			if err := s.insert(ctx, tx, children[0].table, children, ""); err != nil {
				return stored{}, err
			}
		}
	}
	return done, nil
}

// move sets the position, if it is still where the batch begins.
func (s *Store) move(ctx context.Context, tx *sql.Tx, b *batch) error {
	var res sql.Result
	var err error
	if b.from.sequence == 0 {
		res, err = tx.ExecContext(ctx, s.bind("INSERT INTO positions (stream, sequence, arrived_nanos) VALUES (?, ?, ?) ON CONFLICT (stream) DO NOTHING"),
			b.stream, int64(b.to.sequence), b.to.arrived)
	} else {
		res, err = tx.ExecContext(ctx, s.bind("UPDATE positions SET sequence = ?, arrived_nanos = ? WHERE stream = ? AND sequence = ? AND arrived_nanos = ?"),
			int64(b.to.sequence), b.to.arrived, b.stream, int64(b.from.sequence), b.from.arrived)
	}
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(errMoved, err)
	}
	return nil
}

// fresh are the rows whose events are not stored yet, each once.
func (s *Store) fresh(ctx context.Context, tx *sql.Tx, t *table, rows []row) ([]row, error) {
	ids := make([]string, len(rows))
	for i := range rows {
		rows[i].id = cleanText(rows[i].id)
		ids[i] = rows[i].id
	}
	known := map[string]bool{}
	err := s.each(ctx, tx, "SELECT event_id FROM "+t.name+" WHERE event_id IN ", ids, func(r *sql.Rows) error {
		var id string
		if err := r.Scan(&id); err != nil {
			return err
		}
		known[id] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]row, 0, len(rows))
	for _, r := range rows {
		if !known[r.id] {
			known[r.id] = true
			out = append(out, r)
		}
	}
	return out, nil
}

// count marks the first verdict on each share and adds it to the hours.
func (s *Store) count(ctx context.Context, tx *sql.Tx, rows []row, v *valuer, between func()) error {
	type share struct{ site, id string }
	ids := make([]string, len(rows))
	for i := range rows {
		ids[i] = rows[i].share.shareID
	}
	judged := map[share]bool{}
	err := s.each(ctx, tx, "SELECT site, share_id FROM shares WHERE share_id IN ", ids, func(r *sql.Rows) error {
		var k share
		if err := r.Scan(&k.site, &k.id); err != nil {
			return err
		}
		judged[k] = true
		return nil
	})
	if err != nil {
		return err
	}
	sums := map[hourKey]*hourSum{}
	for i := range rows {
		sh := rows[i].share
		k := share{sh.site, sh.shareID}
		if judged[k] {
			continue
		}
		judged[k] = true
		rows[i].values[len(rows[i].values)-1] = true
		if err := v.add(sums, sh); err != nil {
			return err
		}
	}
	between()
	return s.grow(ctx, tx, sums)
}

// each runs a query over many keys, in parts; query ends where the list of
// keys begins.
func (s *Store) each(ctx context.Context, tx *sql.Tx, query string, keys []string, scan func(*sql.Rows) error) error {
	const part = 1000
	for len(keys) > 0 {
		n := min(part, len(keys))
		args := make([]any, n)
		for i, k := range keys[:n] {
			args[i] = k
		}
		if err := s.eachPart(ctx, tx, s.bind(query+"("+strings.TrimSuffix(strings.Repeat("?,", n), ",")+")"), args, scan); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func (s *Store) eachPart(ctx context.Context, tx *sql.Tx, query string, args []any, scan func(*sql.Rows) error) error {
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // rows.Err says what was wrong
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// insert stores rows, many per statement.
func (s *Store) insert(ctx context.Context, tx *sql.Tx, t *table, rows []row, conflict string) error {
	wide := len(t.columns)
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", wide), ",") + "),"
	// Powers of two, so that few statements are ever prepared.
	for most := 128; len(rows) > 0; {
		for most > len(rows) || most*wide > maxParams {
			most /= 2
		}
		args := make([]any, 0, most*wide)
		for _, r := range rows[:most] {
			if len(r.values) != wide {
				return fmt.Errorf("table %s: %d values for %d columns", t.name, len(r.values), wide)
			}
			for _, v := range r.values {
				args = append(args, s.value(v))
			}
		}
		query := "INSERT INTO " + t.name + " (" + strings.Join(t.columns, ", ") + ") VALUES " + strings.TrimSuffix(strings.Repeat(one, most), ",") + conflict
		if _, err := tx.ExecContext(ctx, s.bind(query), args...); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
		rows = rows[most:]
	}
	return nil
}
