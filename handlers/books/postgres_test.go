// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a PostgreSQL of our own: a new cluster in a temporary folder, a
// Unix socket there, nothing else.
type server struct {
	dir string
	cmd *exec.Cmd
	as  *syscall.Credential
	bin string
}

var errNoPostgres = errors.New("no PostgreSQL on this machine (Debian: package postgresql); these tests ran on SQLite alone")

// postgresServer starts it once for all tests; TestMain stops it.
var postgresServer = sync.OnceValues(func() (*server, error) {
	bin, err := postgresBinaries()
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin}
	// The path of a socket may have about 100 bytes.
	if s.dir, err = os.MkdirTemp("/tmp", "ballast-pg-"); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // the server refuses to run as root
		u, err := user.Lookup("postgres")
		if err != nil {
			if u, err = user.Lookup("nobody"); err != nil {
				return nil, err
			}
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.as = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(s.dir, "data")
	initdb := s.command("initdb", "-D", data, "-U", "ballast", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.cmd = s.command("postgres", "-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "timezone=Asia/Kolkata")
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := s.admin("SELECT 1")
		if err == nil {
			return s, nil
		}
		if time.Now().After(end) {
			text, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("the server does not answer: %w\n%s", err, text)
		}
	}
})

func postgresBinaries() (string, error) {
	if p, err := exec.LookPath("initdb"); err == nil {
		if p, err = filepath.EvalSymlinks(p); err == nil {
			return filepath.Dir(p), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errNoPostgres
	}
	return filepath.Dir(slices.Max(found)), nil
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "LC_ALL=C")
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return c
}

func (s *server) address(database string) string {
	return "postgres://ballast@/" + database + "?host=" + url.QueryEscape(s.dir)
}

func (s *server) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	st, err := connect(s.address("postgres"), "public", false)
	if err != nil {
		return err
	}
	defer st.Close()
	_, err = st.db.ExecContext(ctx, statement)
	return err
}

func (s *server) stop() {
	if s == nil {
		return
	}
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGINT) // fast shutdown
		_ = s.cmd.Wait()
	}
	_ = os.RemoveAll(s.dir)
}

// startedPostgres is the server if a test has started it.
var startedPostgres *server

var databases int

// postgresLedger is the address of an empty database.
func postgresLedger(t testing.TB) string {
	t.Helper()
	s, err := postgresServer()
	startedPostgres = s
	if errors.Is(err, errNoPostgres) && os.Getenv("BALLAST_TEST_POSTGRES") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	databases++
	name := "ledger" + strconv.Itoa(databases)
	if err := s.admin("CREATE DATABASE " + name); err != nil {
		t.Fatal(err)
	}
	return s.address(name)
}

// onEach runs a test on both databases.
func onEach(t *testing.T, f func(t *testing.T, address string)) {
	t.Run("sqlite", func(t *testing.T) { f(t, filepath.Join(t.TempDir(), "a ledger?.sqlite")) })
	t.Run("postgres", func(t *testing.T) { f(t, postgresLedger(t)) })
}

// dump is every row of every table, in one form for both databases.
func dump(t testing.TB, s *Store) []string {
	t.Helper()
	var out []string
	for _, tb := range tables {
		for _, line := range query(t, s, "SELECT * FROM "+tb.name) {
			out = append(out, tb.name+": "+line)
		}
	}
	slices.Sort(out)
	return out
}

// query is the rows of a query, each as columns and values, sorted.
func query(t testing.TB, s *Store, text string, args ...any) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rows, err := s.db.QueryContext(ctx, s.bind(text), args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer rows.Close()
	var out []string
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		line := ""
		for i, v := range values {
			line += fmt.Sprintf(" %s=%s", columns[i], plain(v))
		}
		out = append(out, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case time.Time:
		return v.UTC().Format(timeLayout)
	case bool:
		if v {
			return "1"
		}
		return "0"
	case []byte:
		return string(v)
	case sql.NullString:
		return v.String
	}
	return fmt.Sprint(v)
}
