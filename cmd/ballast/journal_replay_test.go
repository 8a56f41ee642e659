// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/auditbench"
	"github.com/ballast-energy/ballast/handlers/decider"
)

// madeUpExport is a journal that the deciders of this program decided on.
func madeUpExport(t *testing.T, dir string) string {
	t.Helper()
	var b bytes.Buffer
	c := auditbench.Config{Events: 6_000, Workers: 30, Deciders: roles.Deciders(false), CheckpointEvery: 500, SnapshotEvery: 2_000}
	if _, err := auditbench.Write(t.Context(), &b, c, nil); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "journal.ndjson.zst")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// rewrite copies an export, changing its messages on the way; nil drops one.
func rewrite(t *testing.T, from, to string, change func(stream string, m *decider.Raw) *decider.Raw) {
	t.Helper()
	src, err := audit.File(from)
	if err != nil {
		t.Fatal(err)
	}
	known, err := src.Openings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	x, err := audit.NewWriter(&b, audit.FileHeader{Site: src.Site(), Prefix: src.Prefix(), Openings: known})
	if err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{events.StreamJournal, events.StreamCommands, events.StreamRevenue} {
		for m, err := range src.Read(t.Context(), stream, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if m = change(stream, m); m == nil {
				continue
			}
			if err := x.Write(stream, 1, m); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Every way in which a replay can end has an exit code of its own.
func TestReplayExitCodes(t *testing.T) {
	dir := t.TempDir()
	whole := madeUpExport(t, dir)
	record := filepath.Join(dir, "record")
	at := func(name string) string { return filepath.Join(dir, name) }

	changed := at("changed.zst")
	done := false
	rewrite(t, whole, changed, func(stream string, m *decider.Raw) *decider.Raw {
		if !done && stream == events.StreamCommands && strings.Contains(m.Subject, string(events.TypeDispatchDecided)) {
			m.Data, done = bytes.Replace(m.Data, []byte(`"headroom_watts":`), []byte(`"headroom_watts":1`), 1), true
		}
		return m
	})
	other := at("other.zst")
	rewrite(t, whole, other, func(stream string, m *decider.Raw) *decider.Raw {
		if stream == events.StreamJournal && strings.Contains(m.Subject, string(events.TypeDeciderActivated)) && bytes.Contains(m.Data, []byte(`"decider":"dispatch"`)) {
			m.Data = bytes.Replace(m.Data, []byte(`"version":"`), []byte(`"version":"0.`), 1)
		}
		if strings.Contains(m.Subject, string(events.TypeDeciderCheckpoint)) {
			return nil // they are of this version, and of the journal as it was
		}
		return m
	})
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("cut.zst"), data[:len(data)-20], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("damaged.snapshot"), []byte("ballast snapshot 1\nno"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--file " + whole, exitOK, "verified"},
		{"--file " + whole + " --json", exitOK, `"complete":true`},
		{"--file " + whole + " --from-snapshot newest", exitOK, "from the snapshot at 6000"},
		{"--file " + whole + " --from-snapshot 4500 --decider dispatch", exitOK, "from the snapshot at 4000"},
		{"--file " + whole + " --from-snapshot 1999", exitUsage, "no snapshot to begin from"},
		{"--file " + whole + " --from-snapshot nowhere", exitUsage, "newest, a journal sequence, or a file"},
		{"--file " + whole + " --locate", exitUsage, "--record"},
		{"--file " + whole + " --record " + record, exitOK, "verified"},
		{"--file " + changed, exitDiffers, "first divergence: 1/"},
		{"--file " + changed + " --json", exitDiffers, `"kind":"differing"`},
		{"--file " + other, exitIncomplete, "decided by version 0."},
		{"--file " + at("cut.zst"), exitUnreadable, "it was cut off"},
		{"--file " + whole + " --from-snapshot " + at("damaged.snapshot"), exitUnreadable, "snapshot cannot be used"},
		{"--file " + whole + " --decider nobody", exitUsage, "one of dispatch"},
	} {
		args := append([]string{"journal", "replay", "--verify"}, strings.Fields(c.args)...)
		out, code := piped(t, dir, args...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%.1500s", strings.Join(args[3:], " "), code, c.code, c.says, out)
		}
	}
	if _, code := piped(t, dir, "journal", "replay", "--file", whole, "--record", record); code != exitUsage {
		t.Errorf("--record without --verify: exit code %d", code)
	}
}

// What an audit recorded, the next finds the difference with.
func TestReplayLocates(t *testing.T) {
	dir := t.TempDir()
	whole := madeUpExport(t, dir)
	src, err := audit.File(whole)
	if err != nil {
		t.Fatal(err)
	}
	record := audit.Directory(filepath.Join(dir, "record"))
	if _, err := audit.Verify(t.Context(), src, audit.Options{Record: record.Keep, RecordEvery: 1_000}, roles.Deciders(false)...); err != nil {
		t.Fatal(err)
	}
	if out, code := piped(t, dir, "journal", "replay", "--verify", "--file", whole, "--record", string(record), "--locate"); code != exitOK || !strings.Contains(out, "up to 6000, the newest there") {
		t.Errorf("nothing to find: exit code %d\n%s", code, out)
	}
	bad := filepath.Join(dir, "bad.zst")
	rewrite(t, whole, bad, func(stream string, m *decider.Raw) *decider.Raw {
		if stream == events.StreamCommands && strings.HasSuffix(m.Subject, string(events.TypeDeciderCheckpoint)+".dispatch") {
			var sequence int
			if _, err := fmt.Sscanf(string(m.Data[bytes.Index(m.Data, []byte(`"sequence":`)):]), `"sequence":%d`, &sequence); err != nil {
				t.Fatal(err)
			}
			if sequence > 3_200 {
				m.Data = bytes.Replace(m.Data, []byte(`"state_hash":"`), []byte(`"state_hash":"0000`), 1)
				i := bytes.Index(m.Data, []byte(`","chain_hash"`))
				m.Data = append(m.Data[:i-4], m.Data[i:]...)
			}
		}
		return m
	})
	out, code := piped(t, dir, "journal", "replay", "--verify", "--file", bad, "--record", string(record), "--locate", "--decider", "dispatch")
	if code != exitDiffers || !strings.Contains(out, "between 3000 and 4000") || !strings.Contains(out, "journal: 1000 messages from the snapshot at 3000 to 4000") {
		t.Errorf("exit code %d\n%.3000s", code, out)
	}
}
