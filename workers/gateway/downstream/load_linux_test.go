// SPDX-License-Identifier: Apache-2.0

package downstream_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/gateway/downstream"
	"github.com/ballast-energy/ballast/workers/stratum/crowdtest"
	"github.com/ballast-energy/ballast/workers/stratum/server"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// busyPool sends a clean job whenever it is told to.
type busyPool struct {
	pool
	next chan struct{}
}

func (p *busyPool) Run(ctx context.Context, sink upstream.Sink) error {
	sink.Opened(upstream.Session{ID: "s1", Address: "stratum+tcp://pool.example:3333", Primary: true})
	for n := byte(0); ; n++ {
		now := uint32(time.Now().Unix())
		j := &upstream.Job{
			Session: "s1", ID: "job", Version: 0x20000000, PrevHash: hashengine.DoubleSHA256([]byte{n}),
			Coinbase1: make([]byte, 60), Coinbase2: make([]byte, 100), Extranonce1: []byte{1, 2, 3, 4}, Extranonce2Bytes: 8,
			NTime: now, MinTime: now - 600, MaxTime: now + 7200, Bits: 0x17034219, Height: 900_000, Difficulty: "0.001", Clean: true,
			Terms:    upstream.Terms{Scheme: events.SchemeFPPS, RewardSats: 317_500_000, Basis: events.BasisLive},
			Received: time.Now(),
		}
		for len(j.Branches) < 12 {
			j.Branches = append(j.Branches, j.PrevHash)
		}
		sink.Job(j)
		select {
		case <-p.next:
		case <-ctx.Done():
			sink.Closed("s1", nil)
			return nil
		}
	}
}

// BenchmarkCrowd has 10,000 miners connected from another process, each with a
// share every 10 s that a gateway stores on its bus, safe from a power failure,
// before it is answered: at first these alone, then with a clean job every
// second. A round is half a minute, so use -benchtime 1x. The store under the
// bus is in TMPDIR: with that in memory, what remains is the processors' share. It
// prints what the disk alone takes to keep a record at the same time, too: the
// bus keeps a whole group with several of those, and an answer may have to wait
// for the group before its own.
func BenchmarkCrowd(b *testing.B) {
	for _, d := range []bus.Durability{bus.PowerLoss, bus.ProcessCrash} {
		b.Run(string(d), func(b *testing.B) {
			for range b.N {
				crowdRound(b, d)
			}
		})
	}
}

// syncs measures what the disk alone takes to keep a record, now and then for
// some time.
func syncs(b *testing.B, during time.Duration) crowdtest.Times {
	file, err := os.Create(filepath.Join(b.TempDir(), "record"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	record := make([]byte, 400)
	var times []time.Duration
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		began := time.Now()
		if _, err := file.Write(record); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began))
	}
	return crowdtest.Quantiles(times)
}

func crowdRound(b *testing.B, durability bus.Durability) {
	const miners, jobs, lowest = 10_000, 10, "0.0000000002"
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events, err := bus.Open(ctx, bus.Config{DataDir: b.TempDir(), Durability: durability, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = events.Close(context.Background()) }()
	joint := downstream.New(nil)
	srv, err := server.Listen(server.Config{
		Endpoints: []server.Endpoint{{Address: "127.0.0.1:0"}}, Sink: joint, Authoriser: server.AuthoriserFunc(server.AnyName),
		MinDifficulty: lowest, MaxDifficulty: "0.0000000004", StartDifficulty: lowest, ShareInterval: 10 * time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	p := &busyPool{next: make(chan struct{})}
	g, err := gateway.New(gateway.Config{
		Site: "demo", Gateway: "gw-1", Upstream: p, OnJob: joint.Job, OnClosed: joint.Closed, Connections: joint.Connections,
	}, events)
	if err != nil {
		b.Fatal(err)
	}
	joint.Join(srv, g)
	var ends []func()
	for _, f := range []func(context.Context) error{g.Run, srv.Run, joint.Run} {
		run, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f(run) }()
		ends = append(ends, func() {
			stop()
			if err := <-done; err != nil {
				b.Error(err)
			}
		})
	}
	defer func() {
		for i := range ends {
			ends[len(ends)-1-i]()
		}
	}()
	crowd, err := crowdtest.Start(crowdtest.Plan{
		Address: srv.Addresses()[0].String(), Miners: miners, Difficulty: "0.000000000232830643653869628906", Every: 10 * time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	cpu, waited := crowdtest.ProcessTime(), crowdtest.Waited()
	disk := syncs(b, 10*time.Second)
	cpu, waited = crowdtest.ProcessTime()-cpu, crowdtest.Waited()-waited
	if err := crowd.Turn(); err != nil {
		b.Fatal(err)
	}
	for range jobs {
		time.Sleep(time.Second) // the pace of the jobs
		p.next <- struct{}{}
	}
	time.Sleep(2 * time.Second)
	report, err := crowd.End()
	if err != nil {
		b.Fatal(err)
	}
	milli := func(name string, d time.Duration) { b.ReportMetric(float64(d)/float64(time.Millisecond), name+"-ms") }
	milli("answer-p50", report.Quiet.P50)
	milli("answer-p99", report.Quiet.P99)
	milli("answer-max", report.Quiet.Max)
	milli("disk-p50", disk.P50)
	milli("disk-p99", disk.P99)
	milli("jobs-answer-p50", report.Busy.P50)
	milli("jobs-answer-p99", report.Busy.P99)
	milli("jobs-answer-max", report.Busy.Max)
	b.ReportMetric(float64(cpu.Microseconds())/float64(max(report.Quiet.N, 1)), "cpu-µs/share")
	milli("waited-for-cpu-per-s", waited/10)
	milli("last-fanout", srv.Stats().LastFanOut)
	b.ReportMetric(float64(report.Taken), "shares")
	b.ReportMetric(float64(report.Refused), "refused")
}
