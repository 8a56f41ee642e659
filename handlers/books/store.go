// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	_ "modernc.org/sqlite" // the driver named sqlite
)

// Schema is where the tables are in PostgreSQL.
const Schema = "ballast"

const (
	// openWait bounds connecting and migrating.
	openWait = time.Minute
	// busyWait is how long a writer waits for another one of an SQLite file.
	busyWait = 20 * time.Second
	// timeLayout is how SQLite holds a time: text of one width, which sorts.
	timeLayout = "2006-01-02T15:04:05.000000Z"
)

//go:embed migrations
var migrations embed.FS

// ErrAddress is wrapped by Open for what is no address of a database.
var ErrAddress = errors.New("not the address of a ledger: give the path of a file for SQLite, or postgres://user@host/database")

// ErrNewer is wrapped by Open for tables of a later version of this program.
var ErrNewer = errors.New("use the newer program, or another database")

// Store is an open database with the tables of this package.
type Store struct {
	db       *sql.DB
	postgres bool
	schema   string // PostgreSQL
	path     string // SQLite
	shown    string
}

// IsPostgres reports whether an address means PostgreSQL.
func IsPostgres(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

// Open connects to the database at address and brings its tables to the newest
// version: a path (or sqlite:PATH) is an SQLite file, made when it is not
// there; postgres://… is PostgreSQL, where the tables are in schema "ballast".
// A failed migration leaves the version before it.
func Open(ctx context.Context, address string) (*Store, error) {
	s, err := connect(address, Schema, false)
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		_ = s.db.Close() // the first error says it
		return nil, err
	}
	return s, nil
}

// OpenExisting is Open for whoever only looks: an SQLite file that is not
// there is an error that wraps fs.ErrNotExist, not a new ledger.
func OpenExisting(ctx context.Context, address string) (*Store, error) {
	s, err := connect(address, Schema, false)
	if err != nil {
		return nil, err
	}
	_ = s.db.Close() // it was not reached
	if s.path != "" {
		if _, err := os.Stat(s.path); err != nil {
			return nil, fmt.Errorf("ledger: %w (ballast serve --role ledger or ballast ledger rebuild makes it)", err)
		}
	}
	return Open(ctx, address)
}

// connect makes the handle; nothing is reached yet.
func connect(address, schema string, staging bool) (*Store, error) {
	if IsPostgres(address) {
		return connectPostgres(address, schema)
	}
	if rest, ok := strings.CutPrefix(address, "sqlite:"); ok {
		address = rest
	}
	if address == "" || strings.Contains(address, "://") || strings.HasPrefix(address, ":memory:") {
		return nil, fmt.Errorf("ledger %q: %w", clip(address), ErrAddress)
	}
	path, err := filepath.Abs(address)
	if err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	q := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(" + strconv.FormatInt(busyWait.Milliseconds(), 10) + ")", "journal_mode(WAL)", "synchronous(NORMAL)",
	}}
	if staging { // nobody else may use it, and what a crash leaves is thrown away
		q["_pragma"] = []string{"busy_timeout(500)", "locking_mode(EXCLUSIVE)", "journal_mode(WAL)", "synchronous(OFF)"}
	}
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: slashed, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	db.SetMaxOpenConns(4)
	if staging {
		db.SetMaxOpenConns(1)
	}
	return &Store{db: db, path: path, shown: path}, nil
}

func connectPostgres(address, schema string) (*Store, error) {
	c, err := pgx.ParseConfig(address)
	if err != nil {
		// The library blanks the password in its error.
		return nil, fmt.Errorf("ledger: %w: %w", ErrAddress, err)
	}
	c.RuntimeParams["search_path"] = schema
	c.RuntimeParams["timezone"] = "UTC"
	c.RuntimeParams["application_name"] = "ballast ledger"
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	shown := (&url.URL{Scheme: "postgres", Host: fmt.Sprintf("%s:%d", c.Host, c.Port), Path: "/" + c.Database}).String()
	if strings.HasPrefix(c.Host, "/") {
		shown = fmt.Sprintf("postgres:///%s (socket in %s)", c.Database, c.Host)
	}
	db := stdlib.OpenDB(*c)
	db.SetMaxOpenConns(8)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return &Store{db: db, postgres: true, schema: schema, shown: shown}, nil
}

// clip keeps what a person typed readable in an error.
func clip(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}

// Address is where the database is, without credentials.
func (s *Store) Address() string { return s.shown }

// Close ends all connections.
func (s *Store) Close() error { return s.db.Close() }

// migrate brings the tables to the newest version. Several processes may do it
// at once.
func (s *Store) migrate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	wrap := func(err error) error { return fmt.Errorf("ledger %s: %w", s.shown, err) }
	dir, dialect := "migrations/sqlite", goose.DialectSQLite3
	opts := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}
	if s.postgres {
		dir, dialect = "migrations/postgres", goose.DialectPostgres
		if err := s.ensureSchema(ctx); err != nil {
			return wrap(err)
		}
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		if err != nil {
			return wrap(err)
		}
		opts = append(opts, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, dir)
	if err != nil {
		return wrap(err)
	}
	p, err := goose.NewProvider(dialect, s.db, files, opts...)
	if err != nil {
		return wrap(err)
	}
	if pending, err := p.HasPending(ctx); err == nil && !pending {
		return s.notNewer(ctx, p)
	}
	if _, err := p.Up(ctx); err != nil {
		// Another process may have been faster; then nothing is left to do.
		if pending, perr := p.HasPending(ctx); perr != nil || pending {
			return wrap(err)
		}
	}
	return s.notNewer(ctx, p)
}

// ensureSchema makes the schema, unless it is there: making it needs a right
// that the role may lack when an administrator has made it.
func (s *Store) ensureSchema(ctx context.Context) error {
	var there bool
	if err := s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = $1)", s.schema).Scan(&there); err != nil {
		return err
	}
	if there {
		return nil
	}
	_, err := s.db.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+s.schema)
	return err
}

// notNewer refuses tables of a later version of this program, whose columns
// this one does not know.
func (s *Store) notNewer(ctx context.Context, p *goose.Provider) error {
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("ledger %s: %w", s.shown, err)
	}
	if current > target {
		return fmt.Errorf("ledger %s: its tables are of version %d, this program knows %d: %w", s.shown, current, target, ErrNewer)
	}
	return nil
}

// bind turns ? into what the database wants.
func (s *Store) bind(query string) string {
	if !s.postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for i := range len(query) {
		if query[i] == '?' {
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteByte(query[i])
	}
	return b.String()
}

// value turns a Go value into what the driver takes.
func (s *Store) value(v any) any {
	switch v := v.(type) {
	case time.Time:
		v = v.UTC().Truncate(time.Microsecond)
		if s.postgres {
			return v
		}
		return v.Format(timeLayout)
	case bool:
		if s.postgres {
			return v
		}
		if v {
			return int64(1)
		}
		return int64(0)
	case string:
		return cleanText(v)
	}
	return v
}

// cleanText makes text that both databases take: valid UTF-8 without NUL.
func cleanText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	}
	return s
}
