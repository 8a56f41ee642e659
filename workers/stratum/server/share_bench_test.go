// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/stratum"
)

// benchConn is a connection at work on a job of 12 branches, whose answers go
// nowhere.
func benchConn(b *testing.B) (*Server, *conn) {
	b.Helper()
	s, err := Listen(Config{
		Endpoints: []Endpoint{{Address: "127.0.0.1:0"}}, Authoriser: AuthoriserFunc(AnyName),
		Sink:          SinkFunc(func(_ Share, done func(error)) { done(nil) }),
		MinDifficulty: levelOf(lowestExponent).text, MaxDifficulty: levelOf(lowestExponent).text, StartDifficulty: "1",
		Limits: Limits{SharesPerJob: 1 << 26},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	j := sheetJob(b, "s", "bf")
	for len(j.Branches) < 12 {
		j.Branches = append(j.Branches, hashengine.DoubleSHA256(j.Branches[len(j.Branches)-1][:]))
	}
	if err := s.SetJob(j); err != nil {
		b.Fatal(err)
	}
	ours, theirs := net.Pipe()
	b.Cleanup(func() { ours.Close(); theirs.Close() })
	c := newConn(s, 1, ours, netip.Addr{}, netip.Prefix{}, nil)
	c.out.close()
	for _, line := range []string{
		`{"id":1,"method":"mining.subscribe","params":["bench"]}`, `{"id":2,"method":"mining.authorize","params":["a.r","x"]}`,
	} {
		var m stratum.Message
		if err := stratum.ParseMessage([]byte(line), &m); err != nil {
			b.Fatal(err)
		}
		c.handle(context.Background(), time.Now().Add(time.Minute), &m)
	}
	return s, c
}

// BenchmarkShare is everything that one core does for a share, from its line to
// its answer: parsing, the checks, coinbase, 12 branches, header, targets,
// duplicates, sink. The root is not cached. Beside it the double hashes alone,
// which bind it.
func BenchmarkShare(b *testing.B) {
	s, c := benchConn(b)
	id := c.newest.notify.JobID
	line := stratum.AppendSubmit(nil, 7, "a.r", id, []byte{1, 2, 3, 4}, c.newest.minTime, 0, false, 0)
	at := bytes.LastIndex(line, []byte("00000000"))
	var m stratum.Message
	b.ReportAllocs()
	b.ResetTimer()
	const digits = "0123456789abcdef"
	for i := range b.N {
		for d := range 8 {
			line[at+d] = digits[i>>(28-4*d)&15]
		}
		if err := stratum.ParseMessage(line[:len(line)-1], &m); err != nil {
			b.Fatal(err)
		}
		c.share(&m)
	}
	b.StopTimer()
	if st := s.Stats(); st.Stored != uint64(b.N) {
		b.Fatalf("%d of %d stored: %v", st.Stored, b.N, st.Refused)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "shares/s")
}

// BenchmarkRoot is the header of a share alone, and its hash.
func BenchmarkRoot(b *testing.B) {
	_, c := benchConn(b)
	w, slot := c.newest, c.slot
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		h := w.header(slot.bytes, []byte{1, 2, 3, 4}, 0x20000000, w.minTime, uint32(i))
		hash := h.Hash()
		if w.network.Met(&hash) {
			b.Fatal("a block")
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "shares/s")
}

// BenchmarkHashesOfAShare is the SHA-256 in that and nothing else: coinbase, 12
// pairs and the header, twice each.
func BenchmarkHashesOfAShare(b *testing.B) {
	_, c := benchConn(b)
	coinbase := make([]byte, len(c.newest.prefix)+8+len(c.newest.job.Coinbase2))
	var pair [64]byte
	var header [80]byte
	b.ResetTimer()
	for range b.N {
		h := sha256.Sum256(coinbase)
		h = sha256.Sum256(h[:])
		for range 12 {
			copy(pair[:32], h[:])
			h = sha256.Sum256(pair[:])
			h = sha256.Sum256(h[:])
		}
		copy(header[36:], h[:])
		h = sha256.Sum256(header[:])
		h = sha256.Sum256(h[:])
		coinbase[0] = h[0]
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "shares/s")
}
