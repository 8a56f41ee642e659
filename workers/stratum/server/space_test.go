// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"testing"
)

func TestDivisionOfExtranonce(t *testing.T) {
	for _, c := range []struct{ size, slice, slot, miner int }{
		{2, 0, 0, 2}, {3, 0, 1, 2}, {4, 0, 2, 2}, {5, 0, 2, 3}, {6, 0, 2, 4}, {7, 0, 3, 4}, {8, 0, 4, 4},
		{9, 0, 4, 5}, {12, 0, 4, 8}, {16, 0, 8, 8}, {32, 0, 24, 8}, {8, 1, 3, 4}, {8, 4, 2, 2}, {8, 6, 0, 2},
	} {
		s := newSpace("s", []byte{1}, make([]byte, c.slice), c.size)
		if s.slotBytes != c.slot || s.minerBytes != c.miner || s.capacity != 1<<(8*min(c.slot, 4)) {
			t.Errorf("%d bytes, %d the owner's: slot %d, miner %d, capacity %d", c.size, c.slice, s.slotBytes, s.minerBytes, s.capacity)
		}
	}
	for _, c := range []struct{ size, slice int }{{0, 0}, {1, 0}, {4, 3}, {4, 4}} {
		if s := newSpace("s", nil, make([]byte, c.slice), c.size); s.capacity != 0 || s.take() != nil {
			t.Errorf("%d bytes, %d the owner's: divided", c.size, c.slice)
		}
	}
}

func TestSlotsAreUniqueAndRestBeforeReuse(t *testing.T) {
	s := newSpace("s", []byte{0xaa}, []byte{0xbb}, 4)
	s.newest, s.live = &work{serial: 5}, 5
	held := make(map[string]*slot)
	for range 256 {
		l := s.take()
		if l == nil || len(l.bytes) != 2 || l.bytes[0] != 0xbb || held[string(l.bytes)] != nil {
			t.Fatalf("slot %v after %d", l, len(held))
		}
		held[string(l.bytes)] = l
		if p := l.prefix(); string(p) != "\xaa"+string(l.bytes) {
			t.Fatalf("prefix %x", p)
		}
	}
	if s.take() != nil || s.free() != 0 {
		t.Fatal("more than there are")
	}
	s.giveBack(held["\xbb\x07"], true)
	if s.take() != nil {
		t.Fatal("given out again while work of that time is alive")
	}
	s.live = 6
	if l := s.take(); l == nil || l.bytes[1] != 7 {
		t.Fatalf("not given out again: %v", l)
	}
	s.giveBack(held["\xbb\x09"], false)
	if l := s.take(); l == nil || l.bytes[1] != 9 {
		t.Fatalf("no work was done in it, and it is not given out at once: %v", l)
	}
}

// TestSlotsOfComersAndGoersAreFew: what is remembered of slots does not grow
// with the connections that there ever were.
func TestSlotsOfComersAndGoersAreFew(t *testing.T) {
	s := newSpace("s", nil, nil, 8)
	for i := range 10_000 {
		serial := uint32(i/100 + 1)
		s.newest, s.live = &work{serial: serial}, serial
		l := s.take()
		s.giveBack(l, i%2 == 0)
	}
	if n := len(s.freed) + len(s.unused); n > 300 || s.fresh > 300 {
		t.Fatalf("%d slots freed are remembered, %d were given out", n, s.fresh)
	}
}

// TestClientsWithoutALoginUseNoSlotsUp: in a session of 256 places 300
// clients subscribe and go, and a miner still finds one.
func TestClientsWithoutALoginUseNoSlotsUp(t *testing.T) {
	s := open(t, nil)
	j := sheetJob(t, "up-1", "bf")
	j.Extranonce2Bytes = 3
	s.setJob(t, j)
	for range 300 {
		m := s.dial(t)
		m.subscribe()
		m.conn.Close()
		eventually(t, "it is gone", func() bool { return s.Stats().Connections == 0 })
	}
	m := s.start(t, "a.r")
	if _, a := m.mine("a.r", []byte{0, 1}, 0); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
}

func TestFullSessionIsReportedAndAnotherTaken(t *testing.T) {
	s := open(t, nil)
	one := sheetJob(t, "one", "1")
	one.Extranonce2Bytes = 2 // a place for a single miner
	s.setJob(t, one)
	first := s.start(t, "a.one")
	if first.size != 2 || len(first.extranonce1) != 4 {
		t.Fatalf("extranonce1 %x, extranonce2 of %d", first.extranonce1, first.size)
	}
	if r := <-s.full; r != (Room{Full: true, Sessions: 1, Slots: 1, Used: 1}) {
		t.Fatalf("%+v", r)
	}
	second := s.dial(t)
	second.say(`{"id":1,"method":"mining.subscribe"}`)
	eventually(t, "it waits", func() bool { return s.Room() == Room{Full: true, Sessions: 1, Slots: 1, Used: 1, Waiting: 1} })
	s.setJob(t, sheetJob(t, "two", "1"))
	if a := second.hear(); string(a.ID) != "1" || a.code() != 0 {
		t.Fatalf("%s %s", a.Result, a.Error)
	}
	if r := <-s.full; r.Full || r.Sessions != 2 || r.Slots != 1+1<<32 || r.Used != 2 {
		t.Fatalf("%+v", r)
	}
	if third := s.start(t, "a.three"); third.size != 4 {
		t.Fatalf("extranonce2 of %d", third.size)
	}
	if st := s.Stats(); st.Full != 1 || st.Sessions["one"].Slots != 1 || st.Sessions["two"].Slots != 2 {
		t.Fatalf("%+v", st)
	}
}

func TestOwnersSlice(t *testing.T) {
	s := open(t, nil)
	if err := s.OpenSession("up", []byte{0x80}); err != nil {
		t.Fatal(err)
	}
	s.setJob(t, sheetJob(t, "up", "1"))
	if err := s.OpenSession("up", nil); !errors.Is(err, ErrSessionOpen) {
		t.Fatalf("%v", err)
	}
	m := s.start(t, "a.r")
	if len(m.extranonce1) != 8 || m.extranonce1[4] != 0x80 || m.size != 4 {
		t.Fatalf("extranonce1 %x, extranonce2 of %d", m.extranonce1, m.size)
	}
	if _, a := m.mine("a.r", []byte{1, 2, 3, 4}, 0); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
	if sh := s.shelf.all()[0]; len(sh.Extranonce2) != 8 || sh.Extranonce2[0] != 0x80 || string(sh.Extranonce2[:4]) != string(m.extranonce1[4:]) {
		t.Fatalf("extranonce2 %x", sh.Extranonce2)
	}
}

func TestJobThatCannotBeHandedOut(t *testing.T) {
	s := open(t, nil)
	bad := sheetJob(t, "up", "1")
	bad.Extranonce2Bytes = 1
	if err := s.SetJob(bad); !errors.Is(err, ErrJob) || !errors.Is(err, ErrNoSpace) {
		t.Errorf("%v", err)
	}
	bad = sheetJob(t, "up", "1")
	bad.Bits = 0
	if err := s.SetJob(bad); !errors.Is(err, ErrJob) {
		t.Errorf("%v", err)
	}
	bad = sheetJob(t, "up", "1")
	bad.Difficulty = "-1"
	if err := s.SetJob(bad); !errors.Is(err, ErrJob) {
		t.Errorf("%v", err)
	}
	bad = sheetJob(t, "up", "1")
	for range 40 {
		bad.Branches = append(bad.Branches, bad.Branches[0])
	}
	if err := s.SetJob(bad); !errors.Is(err, ErrJob) {
		t.Errorf("%v", err)
	}
	if st := s.Stats(); len(st.Sessions) != 0 || st.Jobs != 0 {
		t.Errorf("%+v", st)
	}
}
