// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
)

// journal fills JOURNAL with n messages and returns their arrival times.
func journal(t testing.TB, b *Bus, n int) []time.Time {
	t.Helper()
	ctx := testContext(t)
	for i := range n {
		if _, err := b.js.Publish(ctx, fmt.Sprintf("ballast.demo.meter.reading.m-%d", i%3), make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := b.js.Stream(ctx, events.StreamJournal)
	if err != nil {
		t.Fatal(err)
	}
	at := make([]time.Time, n+1)
	for i := 1; i <= n; i++ {
		m, err := s.GetMsg(ctx, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		at[i] = m.Time
	}
	return at
}

func journalState(t testing.TB, b *Bus) jetstream.StreamState {
	t.Helper()
	s, err := b.js.Stream(testContext(t), events.StreamJournal)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State
}

func TestJournalBoundByAge(t *testing.T) {
	ctx := testContext(t)
	c := testConfig(t)
	c.Retention.JournalAge = time.Hour
	b := openTest(t, c)
	if n, err := b.JournalBound(ctx, time.Now().Add(1000*time.Hour)); err != nil || n != 0 {
		t.Errorf("empty journal: %d, %v", n, err)
	}
	const n = 40
	at := journal(t, b, n)
	// A hole in the middle, as deletes by hand leave it.
	s, err := b.js.Stream(ctx, events.StreamJournal)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(15); seq < 25; seq++ {
		if err := s.DeleteMsg(ctx, seq); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i <= n; i++ {
		if i >= 15 && i < 25 {
			continue
		}
		// Message i has just become an hour old: those before it are older.
		want := uint64(i - 1)
		if i == 25 {
			want = 14
		}
		got, err := b.JournalBound(ctx, at[i].Add(time.Hour))
		if err != nil || got != want {
			t.Errorf("at the age of message %d: %d, %v; want %d", i, got, err, want)
		}
	}
	if got, err := b.JournalBound(ctx, at[n].Add(time.Hour+1)); err != nil || got != n {
		t.Errorf("all are too old: %d, %v", got, err)
	}
}

func TestJournalBoundByBytes(t *testing.T) {
	ctx := testContext(t)
	c := testConfig(t)
	c.Retention.JournalAge, c.Retention.JournalBytes = -1, 10_000
	b := openTest(t, c)
	journal(t, b, 200)
	for round := 0; journalState(t, b).Bytes > 10_000; round++ {
		n, err := b.JournalBound(ctx, time.Now())
		if err != nil || n == 0 || round > 2 {
			t.Fatalf("round %d: %d, %v", round, n, err)
		}
		if err := b.PurgeJournal(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if st := journalState(t, b); st.Bytes < 9_000 {
		t.Errorf("purged far more than asked for: %d bytes left", st.Bytes)
	}
	if n, err := b.JournalBound(ctx, time.Now()); err != nil || n != 0 {
		t.Errorf("still beyond the bound: %d, %v", n, err)
	}
}

func TestPurgeJournalKeepsWhatFollows(t *testing.T) {
	ctx := testContext(t)
	b := openTest(t, testConfig(t))
	journal(t, b, 10)
	for _, step := range []struct{ upTo, first uint64 }{{0, 1}, {4, 5}, {4, 5}, {2, 5}, {9, 10}, {10, 11}, {10, 11}} {
		if err := b.PurgeJournal(ctx, step.upTo); err != nil {
			t.Fatal(err)
		}
		if st := journalState(t, b); st.FirstSeq != step.first || st.LastSeq != 10 {
			t.Fatalf("purged up to %d: %d to %d left, want from %d", step.upTo, st.FirstSeq, st.LastSeq, step.first)
		}
	}
}

func TestFilling(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	state := jetstream.StreamState{Msgs: 100, Bytes: 1000, FirstTime: now.Add(-2 * day)}
	for name, tc := range map[string]struct {
		age   time.Duration
		bytes int64
		at    time.Time
		by    string
	}{
		"no bound":       {0, -1, time.Time{}, ""},
		"age":            {7 * day, -1, now.Add(5 * day), "age"},
		"bytes":          {0, 2000, now.Add(2 * day), "bytes"},
		"bytes first":    {7 * day, 2000, now.Add(2 * day), "bytes"},
		"age first":      {3 * day, 2000, now.Add(day), "age"},
		"already full":   {0, 1000, now, "bytes"},
		"never in sight": {0, 1 << 62, time.Time{}, ""},
	} {
		f := fillingOf("X", state, tc.age, tc.bytes, now)
		if !f.DropsAt.Equal(tc.at) || f.DroppedBy != tc.by || f.BytesPerDay != 500 {
			t.Errorf("%s: %+v, want %s by %q", name, f, tc.at, tc.by)
		}
	}
	if f := fillingOf("X", jetstream.StreamState{}, day, 10, now); f.DroppedBy != "" || f.BytesPerDay != 0 {
		t.Errorf("empty: %+v", f)
	}
}
