// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"testing"

	"github.com/ballast-energy/ballast/workers/stratum"
)

// TestSlicesAreDividedOneAfterTheOther: slots of all slices are different, and
// all are given out.
func TestSlicesAreDividedOneAfterTheOther(t *testing.T) {
	s := newSpace("s", []byte{0xaa}, []byte{0x01}, 4)
	s.newest, s.live = &work{serial: 1}, 1
	seen := make(map[string]bool)
	take := func(want int) {
		t.Helper()
		for n := range want {
			l := s.take()
			if l == nil || len(l.bytes) != 2 || seen[string(l.bytes)] {
				t.Fatalf("slot %v after %d", l, n)
			}
			seen[string(l.bytes)] = true
		}
	}
	take(100)
	for _, slice := range [][]byte{{0xff}, {0x02}} {
		if err := s.widen(slice); err != nil {
			t.Fatal(err)
		}
	}
	for _, slice := range [][]byte{{0x01}, {0xff}, {}, {0x03, 0x04}} {
		if err := s.widen(slice); !errors.Is(err, ErrSlice) {
			t.Errorf("%x: %v", slice, err)
		}
	}
	take(668)
	if l := s.take(); l != nil || s.takeable() != 0 || s.free() != 0 {
		t.Fatalf("%v, %d left", l, s.takeable())
	}
	for _, first := range []byte{1, 2, 0xff} {
		for second := range 256 {
			if !seen[string([]byte{first, byte(second)})] {
				t.Fatalf("%02x%02x was never given out", first, second)
			}
		}
	}
}

// TestWhoWaitsIsPlacedInAnotherSlice, and who works is not disturbed.
func TestWhoWaitsIsPlacedInAnotherSlice(t *testing.T) {
	s := open(t, nil)
	if err := s.WidenSession("up", []byte{1}); err == nil {
		t.Error("a session without work was widened")
	}
	if err := s.OpenSession("up", []byte{0x10}); err != nil {
		t.Fatal(err)
	}
	j := sheetJob(t, "up", "1")
	j.Extranonce2Bytes = 3 // a place a slice
	s.setJob(t, j)
	first := s.start(t, "a.one")
	if r := <-s.full; !r.Full || r.Slots != 1 {
		t.Fatalf("%+v", r)
	}
	second := s.dial(t)
	second.say(`{"id":1,"method":"mining.subscribe"}`, `{"id":2,"method":"mining.authorize","params":["a.two","x"]}`)
	eventually(t, "the second waits", func() bool { return s.Stats().Waiting == 1 })
	if err := s.WidenSession("up", []byte{0x20}); err != nil {
		t.Fatal(err)
	}
	second.untilMethod(stratum.MethodNotify)
	if st := s.Stats(); st.Waiting != 0 || st.Sessions["up"].Slots != 2 {
		t.Fatalf("%+v", st)
	}
	// The shares of both say in which slice they were found.
	if _, a := first.mine("a.one", []byte{0, 1}, 0); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
	third := s.dial(t)
	if err := s.WidenSession("up", []byte{0x30}); err != nil {
		t.Fatal(err)
	}
	third.subscribe()
	third.authorize("a.three", "x")
	third.untilMethod(stratum.MethodNotify)
	if _, a := third.mine("a.three", []byte{0, 1}, 0); string(a.Result) != "true" {
		t.Fatalf("%s", a.Error)
	}
	got := s.shelf.all()
	if len(got) != 2 || got[0].Extranonce2[0] != 0x10 || got[1].Extranonce2[0] != 0x30 || len(got[1].Extranonce2) != 3 {
		t.Fatalf("%+v", got)
	}
	// A new job goes to all of them.
	k := sheetJob(t, "up", "2")
	k.Extranonce2Bytes = 3
	s.setJob(t, k)
	for _, m := range []*miner{first, second, third} {
		m.untilMethod(stratum.MethodNotify)
	}
}
