// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
	"github.com/ballast-energy/ballast/workers/upstream"
)

func TestCoinbaseHeight(t *testing.T) {
	const start = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff"
	for script, want := range map[string]int64{
		"040341d10c00": 840001, "0451aabbcc": 1, "0460aabbcc": 16, "03011100": 17, "0402800000": 128, "03017f00": 127, "0403ffff7f": 8388607,
		// 0 is none, nor are numbers without their bytes, negative or
		// implausible ones, the first blocks' times, and other beginnings.
		"0400000000": 0, "04030102": 0, "02018000": 0, "0403ffffff": 0, "0504ffff001d": 0, "0a08000000000000000100": 0, "01": 0, "": 0, "ff0341d10c": 0, "034c0100": 0,
	} {
		tx, err := hex.DecodeString(start + script)
		if err != nil {
			t.Fatal(err)
		}
		if got := coinbaseHeight(tx); got != want {
			t.Errorf("%s: %d, want %d", script, got, want)
		}
	}
}

func TestTheBookIsBounded(t *testing.T) {
	var b book
	now := time.Now()
	add := func(id string, at time.Time) string {
		w := &work{job: &upstream.Job{}, poolID: id, received: at}
		b.add(w)
		return w.job.ID
	}
	for i := range 3 * maxJobs {
		add(fmt.Sprint(i), now)
	}
	if len(b.byID) != maxJobs || len(b.order) != maxJobs || b.byID[fmt.Sprint(2*maxJobs-1)] != nil || b.byID[fmt.Sprint(2*maxJobs)] == nil {
		t.Errorf("%d jobs", len(b.byID))
	}
	if add("late", now.Add(jobLife+time.Second)); len(b.byID) != 1 {
		t.Errorf("%d jobs live on", len(b.byID))
	}
	if id := add("late", now.Add(jobLife)); id == "late" || b.byID[id] == nil || b.byID["late"] == nil {
		t.Errorf("two jobs share %s", id)
	}
}

// TestIDsNeverComeAgain: whatever the pool calls its jobs, however long ago the
// others were forgotten.
func TestIDsNeverComeAgain(t *testing.T) {
	var b book
	now := time.Now()
	seen := map[string]bool{}
	add := func(poolID string) string {
		w := &work{job: &upstream.Job{}, poolID: poolID, received: now}
		b.add(w)
		if id := w.job.ID; seen[id] || !usableID(id) || b.byID[id] != w {
			t.Fatalf("job %q of the pool has the id %q", poolID, id)
		}
		seen[w.job.ID] = true
		return w.job.ID
	}
	if add("bf") != "bf" || add("bf") == "bf" {
		t.Error("the first is called as the pool does, and no other")
	}
	for n := range 4 * maxJobs {
		add("same")
		add(fmt.Sprint(n % 7))
		add(fmt.Sprintf("job-%d", n))         // as ours are called, before us and behind
		add(fmt.Sprintf("job-%d", 8*maxJobs)) // and far ahead
		add("")
	}
	now = now.Add(2 * jobLife) // all of them are forgotten
	for range 3 {
		add("bf")
		add("same")
		add("job-1")
	}
	for n := range maxPoolIDs + 10 {
		add(fmt.Sprint("x", n))
	}
	if len(b.given) > maxPoolIDs || len(b.byID) > maxJobs {
		t.Errorf("%d ids, %d jobs", len(b.given), len(b.byID))
	}
	if id := add("never seen"); id == "never seen" {
		t.Error("ids of the pool are noted without end")
	}
	add("x1")
}

func TestTimesOfAJob(t *testing.T) {
	for _, ntime := range []uint32{0, 1, 1 << 31, math.MaxUint32 - 1, math.MaxUint32} {
		w, err := newWork(offer{notify: &stratum.Notify{Coinbase1: []byte{1}, Bits: 0x1d00ffff, NTime: ntime}, difficulty: "1", extranonce: stratum.Extranonce{Extranonce2Bytes: 4}}, "s", upstream.Terms{})
		if err != nil {
			t.Fatal(err)
		}
		if w.job.MinTime != ntime || w.job.MaxTime < ntime || w.job.MaxTime-ntime > rollSeconds {
			t.Errorf("%d: %d to %d", ntime, w.job.MinTime, w.job.MaxTime)
		}
		if clockError(ntime, time.Unix(1_800_000_000, 0)) == nil {
			t.Errorf("%d: no word of the clock", ntime)
		}
	}
}

// FuzzSession throws whatever a pool may say at a session.
// TestUnusableJobsDoNotCountAsWork: a pool that sends nothing else leaves us
// with old work, and is left for that.
func TestUnusableJobsDoNotCountAsWork(t *testing.T) {
	s, _ := bare(t, nil)
	at := time.Unix(1_800_000_000, 0)
	s.lastNotify = at
	good := notify("1")
	params := func(line string) []byte {
		var m stratum.Message
		if err := stratum.ParseMessage([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		return m.Params
	}
	for _, bad := range []string{strings.Replace(good, "17034219", "00000000", 1), strings.Replace(good, "20000000", "2", 1)} {
		if err := s.job(params(bad), at.Add(time.Minute)); err == nil || !s.lastNotify.Equal(at) {
			t.Errorf("%v; the last job came %s", err, s.lastNotify)
		}
	}
	if err := s.job(params(good), at.Add(time.Minute)); err != nil || !s.lastNotify.Equal(at.Add(time.Minute)) {
		t.Errorf("%v; the last job came %s", err, s.lastNotify)
	}
}

func FuzzSession(f *testing.F) {
	f.Add([]byte(welcome + notify("1")))
	f.Add([]byte(`{"id":null,"method":"mining.set_extranonce","params":["00",4]}` + "\n" + notify("2")))
	f.Add([]byte(`{"id":null,"method":"mining.set_version_mask","params":["0000e000"]}` + "\n" + `{"id":null,"method":"client.reconnect","params":["127.0.0.1",1,0]}` + "\n"))
	f.Add([]byte(`{"id":5,"result":null,"error":[24,"x",null]}` + "\n" + `{"id":"x","method":"mining.ping"}` + "\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		s, j := bare(t, &torn{})
		s.open(time.Now())
		verdicts := 0
		s.submit(share(j, 1, j.Version), func(upstream.Verdict) { verdicts++ })
		s.nextWrite(nil, nil)
		r := stratum.NewReader(bytes.NewReader(said), 0)
		var m stratum.Message
		for range 1000 {
			err := r.Next(&m)
			if err != nil && !stratum.Recoverable(err) {
				break
			}
			if err == nil {
				s.handle(&m, time.Now())
			}
			s.tick(time.Now().Add(time.Hour))
		}
		s.settle()
		if verdicts != 1 {
			t.Fatalf("%d verdicts", verdicts)
		}
		for _, id := range s.book.order {
			if j := s.book.byID[id].job; j.ID != id || !usableID(id) || j.Version&j.VersionMask != 0 || j.Extranonce2Bytes < 1 || len(j.Branches) > stratum.MaxBranches {
				t.Fatalf("job %+v", j)
			}
		}
	})
}
