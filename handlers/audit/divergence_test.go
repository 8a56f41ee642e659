// SPDX-License-Identifier: Apache-2.0

package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/audit"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
)

// message of a made-up export.
type message struct {
	stream string
	raw    decider.Raw
}

// madeUp is a journal of readings with what toys said to them.
type madeUp struct {
	t         testing.TB
	messages  []message
	snapshots [][]byte
	sequence  map[string]uint64
	at        time.Time
	r         *decider.Runner
	// checkpoints every so many folded, snapshots every so many of these.
	every, each uint64
}

func newMadeUp(t testing.TB) *madeUp {
	m := &madeUp{t: t, sequence: map[string]uint64{}, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), every: 100, each: 5}
	m.hand("1.0")
	m.fact("host", &events.JournalOpened{Epoch: 1, OpenedBy: "host", Reason: "a test"})
	m.activate("1.0")
	return m
}

// hand lets another version decide from here on, with the state so far.
func (m *madeUp) hand(version string) {
	m.t.Helper()
	r, err := decider.NewRunner("ballast", site, decidertest.New(version))
	if err != nil {
		m.t.Fatal(err)
	}
	r.Opened(decider.Opening{Epoch: 1})
	for i := range m.messages {
		if m.messages[i].stream == events.StreamJournal {
			if _, err := r.Feed(&m.messages[i].raw); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	m.r = r
}

func (m *madeUp) activate(version string) {
	id := decidertest.New(version).Identity()
	m.fact(id.Name, &events.DeciderActivated{Decider: id.Name, Version: version, ConfigHash: id.ConfigHash, ActivatedBy: "a test"})
}

func (m *madeUp) fact(source string, p events.Payload) {
	e := events.New(site, source, p)
	msg := m.encode(e)
	m.sequence[events.StreamInputs]++
	msg.Subject = events.JournalSubject("ballast", site, p.EventType(), source)
	msg.Header.Set(events.HeaderOrigin, fmt.Sprintf("%s/%d", events.StreamInputs, m.sequence[events.StreamInputs]))
	msg.Header.Set(events.HeaderOriginTime, m.at.Format(time.RFC3339Nano))
	m.journal(msg)
}

func (m *madeUp) encode(e *events.Event) *nats.Msg {
	m.t.Helper()
	msg, err := events.Encode("ballast", e)
	if err != nil {
		m.t.Fatal(err)
	}
	return msg
}

func (m *madeUp) readings(n int) *madeUp {
	for range n {
		m.at = m.at.Add(100 * time.Millisecond)
		p := &events.MeterReading{PowerWatts: int64(m.sequence[events.StreamJournal]) * 7 % 2003, SampledAt: m.at, Quality: events.QualityGood}
		m.journal(m.encode(events.New(site, "meter", p)))
	}
	return m
}

func (m *madeUp) journal(msg *nats.Msg) {
	m.t.Helper()
	raw := m.store(events.StreamJournal, msg, m.at)
	st, err := m.r.Feed(raw)
	if err != nil {
		m.t.Fatal(err)
	}
	if !st.Speaks {
		return
	}
	batches, _, err := m.r.Batches(&st)
	if err != nil {
		m.t.Fatal(err)
	}
	for _, b := range batches {
		for _, o := range b.Messages {
			m.store(b.Stream, o, m.at.Add(time.Millisecond))
		}
	}
	if folded := m.r.Counts().Folded; folded%m.every == 0 {
		c := m.r.Checkpoint()
		e := events.New(site, c.Decider, c).CausedBy(st.Event).At(m.at).WithID(decider.CheckpointID(site, c))
		m.store(events.StreamCommands, m.encode(e), m.at.Add(time.Millisecond))
		if folded%(m.every*m.each) == 0 {
			data, err := m.r.Snapshot(map[string]uint64{events.StreamCommands: m.sequence[events.StreamCommands], events.StreamRevenue: m.sequence[events.StreamRevenue]})
			if err != nil {
				m.t.Fatal(err)
			}
			m.snapshots = append(m.snapshots, data)
		}
	}
}

func (m *madeUp) store(stream string, msg *nats.Msg, at time.Time) *decider.Raw {
	m.sequence[stream]++
	m.messages = append(m.messages, message{stream, decider.Raw{Subject: msg.Subject, Header: msg.Header, Data: msg.Data, Sequence: m.sequence[stream], Arrived: at}})
	return &m.messages[len(m.messages)-1].raw
}

// write the export.
func (m *madeUp) write() string {
	m.t.Helper()
	var b bytes.Buffer
	x, err := audit.NewWriter(&b, audit.FileHeader{Site: site, Prefix: "ballast", Openings: []decider.Opening{{Epoch: 1}}})
	if err != nil {
		m.t.Fatal(err)
	}
	for i := range m.messages {
		if err := x.Write(m.messages[i].stream, 1, &m.messages[i].raw); err != nil {
			m.t.Fatal(err)
		}
	}
	for _, s := range m.snapshots {
		if err := x.WriteSnapshot(s); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		m.t.Fatal(err)
	}
	path := filepath.Join(m.t.TempDir(), "made-up.zst")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// audit the export with a toy of that version, spoiled at an event or not.
func (m *madeUp) audit(o audit.Options, version string, broken uint64) *audit.Report {
	m.t.Helper()
	src, err := audit.File(m.write())
	if err != nil {
		m.t.Fatal(err)
	}
	r, err := audit.Verify(m.t.Context(), src, o, func() (decider.Decider, error) {
		d := decidertest.New(version)
		d.Broken = broken
		return d, nil
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return r[0]
}

// commands are the positions of the ramps among the messages.
func (m *madeUp) ramps() []int {
	var out []int
	for i := range m.messages {
		if strings.Contains(m.messages[i].raw.Subject, string(events.TypeCommandRamp)) {
			out = append(out, i)
		}
	}
	return out
}

// Every way in which an export can be changed is found, and shown.
func TestFileDivergence(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*madeUp)
		broken uint64
		want   func(*audit.Report) bool
		says   []string
	}{
		{
			name: "nothing",
			want: func(r *audit.Report) bool {
				return r.Clean() && r.Complete() && r.Equal > 0 && r.Checkpoints > 0 && r.Divergence == nil
			},
			says: []string{"follows from the journal"},
		},
		{
			name: "a changed command",
			change: func(m *madeUp) {
				r := &m.messages[m.ramps()[200]].raw
				r.Data = bytes.Replace(r.Data, []byte(`"lease_milliseconds":12000`), []byte(`"lease_milliseconds":99000`), 1)
			},
			want: func(r *audit.Report) bool {
				d := r.Divergence
				return r.Differing.Count == 1 && d != nil && d.Kind == "differing" && d.Cause != nil && d.Cause.Type == events.TypeMeterReading &&
					slices.Equal(d.Output, []audit.Change{{Path: "lease_milliseconds", Recorded: "99000", Replayed: "12000"}}) &&
					d.NextAgrees && len(d.States) == 2 && d.States[0].Equal() && d.States[1].Equal() && len(d.Effect) > 0
			},
			says: []string{"DOES NOT FOLLOW", "lease_milliseconds: 99000 → 12000", "what is stored was changed afterwards", "stored: ", "fold:   "},
		},
		{
			name: "a lost command",
			change: func(m *madeUp) {
				i := m.ramps()[150]
				m.messages = slices.Delete(m.messages, i, i+1)
			},
			want: func(r *audit.Report) bool {
				return r.Missing.Count == 1 && r.Divergence.Kind == "missing" && r.Divergence.Replayed != "" && r.Divergence.Recorded == "" && r.Divergence.NextAgrees
			},
			says: []string{"missing: 1", "fold:   "},
		},
		{
			name: "an extra command",
			change: func(m *madeUp) {
				m.messages[m.ramps()[151]].raw.Header.Set(events.HeaderMsgID, decider.MessageID(site, decidertest.Name, events.OrderKey{Epoch: 1, Sequence: 30, Ordinal: 7}))
			},
			want: func(r *audit.Report) bool {
				return r.Extra.Count == 1 && r.Missing.Count == 1 && r.Divergence.Kind == "extra" && r.Divergence.Recorded != "" && r.Divergence.Key.Sequence == 30
			},
			says: []string{"the fold does not say it"},
		},
		{
			name: "a command stored twice",
			change: func(m *madeUp) {
				x := m.messages[m.ramps()[100]].raw
				m.sequence[events.StreamCommands]++
				x.Sequence = m.sequence[events.StreamCommands]
				m.messages = append(m.messages, message{events.StreamCommands, x})
			},
			want: func(r *audit.Report) bool { return r.Copies == 1 && r.Extra.Count == 0 && !r.Clean() },
		},
		{
			name: "a reading changed in the journal",
			change: func(m *madeUp) {
				for i := range m.messages {
					if r := &m.messages[i].raw; m.messages[i].stream == events.StreamJournal && r.Sequence == 777 {
						r.Data = bytes.Replace(r.Data, []byte(`"power_watts":`), []byte(`"power_watts":1`), 1)
					}
				}
			},
			want: func(r *audit.Report) bool {
				d := r.Divergence
				return d != nil && d.Key.Sequence == 777 && d.Agreed.Sequence < 777 && d.Next != nil && !d.NextAgrees && len(d.States) > 0 && !d.States[len(d.States)-1].Equal()
			},
			says: []string{"the state was another one", "watts: "},
		},
		{
			name: "a message of the journal that changes nothing is changed",
			change: func(m *madeUp) {
				for i := range m.messages {
					if r := &m.messages[i].raw; m.messages[i].stream == events.StreamJournal && r.Sequence == 1 {
						r.Data = bytes.Replace(r.Data, []byte("a test"), []byte("a lie!"), 1)
					}
				}
			},
			want: func(r *audit.Report) bool { return r.Differing.Count == 10 && r.Divergence.Kind == "checkpoint" },
			says: []string{"the journal was changed between the beginning and the one at 1/100"},
		},
		{
			name:   "a replica with bad memory",
			broken: 640,
			want: func(r *audit.Report) bool {
				d := r.Divergence
				return d != nil && d.Key.Sequence >= 640 && d.Key.Sequence <= 700 && d.Agreed.Sequence == 600 && len(d.States) == 2 &&
					slices.ContainsFunc(d.States[1].Changes, func(c audit.Change) bool { return c.Path == "watts" })
			},
			says: []string{"the state was another one: 1 values differ", "made-up.zst, folded on from 500"},
		},
		{
			name:   "a replica with bad memory, and no snapshot",
			broken: 640,
			change: func(m *madeUp) { m.snapshots = nil },
			want:   func(r *audit.Report) bool { return len(r.Divergence.States) == 0 && !r.Divergence.NextAgrees },
			says:   []string{"the states part between the checkpoint at 1/600 and the one at 1/700; only their hashes were recorded there"},
		},
		{
			name: "a span of another version",
			change: func(m *madeUp) {
				m.activate("2.0")
				m.hand("2.0")
				m.readings(100)
				m.activate("1.0")
				m.hand("1.0")
				m.readings(100)
			},
			want: func(r *audit.Report) bool {
				return r.Clean() && !r.Complete() && len(r.OtherVersions) == 1 && r.OtherVersions[0].Outputs > 0 && r.OtherVersions[0].From.Sequence == 1004
			},
			says: []string{"decided by version 2.0"},
		},
		{
			name: "a cut tail",
			change: func(m *madeUp) {
				m.messages = slices.DeleteFunc(m.messages, func(x message) bool { return x.stream == events.StreamJournal && x.raw.Sequence > 990 })
			},
			want: func(r *audit.Report) bool {
				return !r.Clean() && len(r.Lost) == 1 && r.Lost[0].From > 990 && r.Divergence.Kind == "lost"
			},
			says: []string{"NOT in the journal"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMadeUp(t).readings(1000)
			if c.change != nil {
				c.change(m)
			}
			r := m.audit(audit.Options{}, "1.0", c.broken)
			if !c.want(r) {
				t.Errorf("not as wanted:\n%s\n%+v", r, r.Divergence)
			}
			for _, s := range c.says {
				if !strings.Contains(r.String(), s) {
					t.Errorf("the report does not say %q:\n%s", s, r)
				}
			}
		})
	}
}

// A replay begins at any snapshot, and finds there what a whole one finds.
func TestFileFromSnapshot(t *testing.T) {
	m := newMadeUp(t).readings(2000)
	whole := m.audit(audit.Options{}, "1.0", 0)
	clean(t, whole)
	for from, at := range map[uint64]uint64{500: 500, 1999: 1500, 1 << 60: 2000} {
		r := m.audit(audit.Options{From: from}, "1.0", 0)
		clean(t, r)
		if r.Snapshot != at || !r.Anchored || !r.Complete() || r.StateHash != whole.StateHash || r.Messages != whole.Messages-at {
			t.Errorf("from %d: snapshot %d, %d messages:\n%s", from, r.Snapshot, r.Messages, r)
		}
	}
	src, err := audit.File(m.write())
	if err != nil {
		t.Fatal(err)
	}
	_, err = audit.Verify(t.Context(), src, audit.Options{From: 499}, toy(decidertest.New("1.0")))
	if !errors.Is(err, audit.ErrNoSnapshot) {
		t.Errorf("before the first snapshot: %v", err)
	}
	m.messages[1500].raw.Arrived = m.messages[1500].raw.Arrived.Add(1) // whatever it is
	i := slices.IndexFunc(m.messages, func(x message) bool { return x.stream == events.StreamJournal && x.raw.Sequence == 1500 })
	m.messages[i].raw.Arrived = m.messages[i].raw.Arrived.Add(1)
	if src, err = audit.File(m.write()); err != nil {
		t.Fatal(err)
	}
	if _, err = audit.Verify(t.Context(), src, audit.Options{From: 1500}, toy(decidertest.New("1.0"))); err == nil || !strings.Contains(err.Error(), "not taken of this journal") {
		t.Errorf("the snapshot of another journal: %v", err)
	}
}

// A record of the replay finds by halves where the recorded states left it.
func TestFileRecordAndLocate(t *testing.T) {
	m := newMadeUp(t).readings(3000)
	dir := audit.Directory(filepath.Join(t.TempDir(), "record"))
	r := m.audit(audit.Options{Record: dir.Keep, RecordEvery: 200}, "1.0", 0)
	clean(t, r)
	record, err := dir.Snapshots()
	if err != nil || len(record) != 15 || r.Recorded != 15 {
		t.Fatalf("%d snapshots recorded, %d found: %v", r.Recorded, len(record), err)
	}
	id := decidertest.New("1.0").Identity()
	src, err := audit.File(m.write())
	if err != nil {
		t.Fatal(err)
	}
	if good, bad, err := audit.Locate(t.Context(), src, record, id); err != nil || good != 3000 || bad != 0 {
		t.Errorf("agrees at %d, differs at %d: %v", good, bad, err)
	}
	// The same journal, decided by a replica whose memory went bad at 1,234.
	other := newMadeUp(t)
	d := decidertest.New("1.0")
	d.Broken = 1234
	if other.r, err = decider.NewRunner("ballast", site, d); err != nil {
		t.Fatal(err)
	}
	other.r.Opened(decider.Opening{Epoch: 1})
	for i := range other.messages {
		if other.messages[i].stream == events.StreamJournal {
			if _, err := other.r.Feed(&other.messages[i].raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	other.readings(3000)
	if src, err = audit.File(other.write()); err != nil {
		t.Fatal(err)
	}
	good, bad, err := audit.Locate(t.Context(), src, record, id)
	if err != nil || good != 1200 || bad != 1400 {
		t.Fatalf("agrees at %d, differs at %d: %v", good, bad, err)
	}
	rs, err := audit.Verify(t.Context(), src, audit.Options{Known: record, From: good, To: bad}, toy(decidertest.New("1.0")))
	if err != nil {
		t.Fatal(err)
	}
	if x := rs[0]; x.Clean() || x.Messages != 200 || x.Divergence.Key.Sequence < 1234 || x.Divergence.Agreed != nil && x.Divergence.Agreed.Sequence > 1234 {
		t.Errorf("folded %d messages\n%s", x.Messages, x)
	}
}

// Any bit that flips in an export is found, or changes nothing.
func TestFileDamage(t *testing.T) {
	m := newMadeUp(t).readings(300)
	path := m.write()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 1 + len(whole)/200 {
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		src, err := audit.File(path)
		if err != nil {
			continue
		}
		r, err := audit.Verify(t.Context(), src, audit.Options{}, toy(decidertest.New("1.0")))
		if err == nil && r[0].Clean() && r[0].Equal != r[0].Compared {
			t.Errorf("byte %d: %s", at, r[0])
		}
	}
	for _, n := range []int{1, 7, 100, len(whole) / 2} {
		if err := os.WriteFile(path, whole[:len(whole)-n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.File(path); !errors.Is(err, audit.ErrFile) {
			t.Errorf("%d bytes cut off: %v", n, err)
		}
	}
}

func TestChanges(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{`{"a":1}`, `{"a":1}`, ""},
		{`{"a":1,"b":[1,2]}`, `{"a":2,"b":[1]}`, "a: 1 → 2; b[1]: 2 → (none)"},
		{`{"units":[{"id":"u1","set":3},{"id":"u2","set":4}]}`, `{"units":[{"id":"u2","set":5},{"id":"u3"}]}`,
			`units[u1]: {"id":"u1","set":3} → (none); units[u2].set: 4 → 5; units[u3]: (none) → {"id":"u3"}`},
		{`{"big":12345678901234567890}`, `{"big":12345678901234567891}`, "big: 12345678901234567890 → 12345678901234567891"},
		{`{"x":null}`, `{}`, "x: null → (none)"},
		{"no JSON", "{}", `(bytes): "no JSON" → "{}"`},
	} {
		list, more := audit.Changes([]byte(c.a), []byte(c.b))
		var all []string
		for _, x := range list {
			all = append(all, x.String())
		}
		if got := strings.Join(all, "; "); got != c.want || more != 0 {
			t.Errorf("%s against %s:\n%s\nwant\n%s", c.a, c.b, got, c.want)
		}
	}
}
