// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum/crowdtest"
)

// groupCommit is a sink that writes shares to a file and answers those of one
// fsync together.
type groupCommit struct {
	file  *os.File
	queue chan stored
	mu    sync.Mutex
	// times from Take to done.
	times []time.Duration
}

// stored is a share that waits for it.
type stored struct {
	at   time.Time
	done func(error)
}

func (g *groupCommit) Take(_ Share, done func(error)) { g.queue <- stored{time.Now(), done} }

// taken are the times since the last call.
func (g *groupCommit) taken() crowdtest.Times {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := crowdtest.Quantiles(g.times)
	g.times = nil
	return q
}

func (g *groupCommit) run(ctx context.Context) {
	var batch []stored
	record := make([]byte, 400) // what a share's event is about
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-g.queue:
			batch = append(batch[:0], d)
		}
		for more := true; more; {
			select {
			case d := <-g.queue:
				batch = append(batch, d)
			default:
				more = false
			}
		}
		var err error
		for range batch {
			if _, err = g.file.Write(record); err != nil {
				break
			}
		}
		if err == nil {
			err = g.file.Sync()
		}
		g.mu.Lock()
		for _, d := range batch {
			g.times = append(g.times, time.Since(d.at))
		}
		g.mu.Unlock()
		for _, d := range batch {
			d.done(err)
		}
	}
}

// inUse is the memory that the runtime holds and the resident set, bytes.
func inUse() (held, resident int64) {
	runtime.GC()
	debug.FreeOSMemory()
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	held = int64(s[0].Value.Uint64() - s[1].Value.Uint64())
	if text, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
				kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				resident = kib << 10
			}
		}
	}
	return held, resident
}

// histogram of the runtime, to be subtracted.
func histogram(name string) *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	h := sample[0].Value.Float64Histogram()
	return &metrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: slices.Clone(h.Buckets)}
}

// since are the 99th percentile and the largest of what has come to a
// histogram since another reading, as the upper bounds of their buckets.
func since(before, after *metrics.Float64Histogram) (p99, most time.Duration) {
	total, seen := uint64(0), uint64(0)
	for i := range after.Counts {
		total += after.Counts[i] - before.Counts[i]
	}
	for i := range after.Counts {
		n := after.Counts[i] - before.Counts[i]
		bound := time.Duration(min(after.Buckets[i+1], 1e6) * float64(time.Second))
		if seen < total*99/100+1 && seen+n >= total*99/100+1 {
			p99 = bound
		}
		if seen += n; n > 0 {
			most = bound
		}
	}
	return p99, most
}

// BenchmarkCrowd has 10,000 miners connected in another process, each with a
// share every 10 s that is stored by group commit: at first these alone, then
// with a clean job every second. An answer counts from the share's write to its
// arrival at the miner's socket. It prints that and what it is made of: the time
// in the store, and how long goroutines that could run did not; further the
// processor time per share of server and miners, and how long in each second the
// server's threads waited for a processor that others had. Then it prints the
// time until a job is written to all and has arrived at 99 % and at the last,
// and the memory per connection. One round is half a minute, so use -benchtime
// 1x.
func BenchmarkCrowd(b *testing.B) {
	for _, c := range []struct {
		name   string
		secure bool
	}{{"plain", false}, {"tls", true}} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				crowdRound(b, c.secure)
			}
		})
	}
}

func crowdRound(b *testing.B, secure bool) {
	const miners, jobs = 10000, 10
	const quiet = 10 * time.Second
	file, err := os.Create(filepath.Join(b.TempDir(), "shares"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	sink := &groupCommit{file: file, queue: make(chan stored, 4096)}
	ctx, cancel := context.WithCancel(context.Background())
	go sink.run(ctx)
	lowest := levelOf(lowestExponent).text
	config := Config{
		Endpoints: []Endpoint{{Address: "127.0.0.1:0"}}, Sink: sink, Authoriser: AuthoriserFunc(AnyName),
		MinDifficulty: lowest, MaxDifficulty: lowest, ShareInterval: 10 * time.Second,
	}
	if secure {
		config.Endpoints[0].CertFile, config.Endpoints[0].KeyFile = certificate(b)
	}
	s, err := Listen(config)
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	job := sheetJob(b, "up", "first")
	for len(job.Branches) < 12 {
		job.Branches = append(job.Branches, job.Branches[0])
	}
	if err := s.SetJob(job); err != nil {
		b.Fatal(err)
	}
	held, resident := inUse()

	crowd, err := crowdtest.Start(crowdtest.Plan{Address: s.Addresses()[0].String(), TLS: secure, Miners: miners, Difficulty: lowest, Every: 10 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	beforeHeld, beforeResident := inUse()
	const runnable, collected = "/sched/latencies:seconds", "/sched/pauses/total/gc:seconds"
	sink.taken()
	runs, pauses, cpu, stolen := histogram(runnable), histogram(collected), crowdtest.ProcessTime(), crowdtest.Waited()
	time.Sleep(quiet) // shares alone
	cpu, stolen = crowdtest.ProcessTime()-cpu, crowdtest.Waited()-stolen
	ranLate, _ := since(runs, histogram(runnable))
	_, pause := since(pauses, histogram(collected))
	quietStore := sink.taken()
	if err := crowd.Turn(); err != nil {
		b.Fatal(err)
	}
	started := make(map[string]time.Time)
	var wrote []time.Duration
	var busy time.Duration
	for i := range jobs {
		time.Sleep(time.Second) // the pace of the jobs
		next := *job
		next.ID = "job-" + strconv.Itoa(i)
		now, before := time.Now(), crowdtest.ProcessTime()
		if err := s.SetJob(&next); err != nil {
			b.Fatal(err)
		}
		wrote, busy = append(wrote, time.Since(now)), busy+crowdtest.ProcessTime()-before
		started[jobID(uint64(i+2)<<renewalBits)] = now
	}
	time.Sleep(2 * time.Second)
	afterHeld, afterResident := inUse()
	report, err := crowd.End()
	if err != nil {
		b.Fatal(err)
	}
	var p99s, lasts []time.Duration
	for i := range wrote {
		id := jobID(uint64(i+2) << renewalBits)
		a := report.Arrivals[id]
		if a.N != miners {
			b.Errorf("job %s reached %d of %d", id, a.N, miners)
		}
		p99s, lasts = append(p99s, a.P99.Sub(started[id])), append(lasts, a.Last.Sub(started[id]))
	}
	milli := func(name string, d time.Duration) { b.ReportMetric(float64(d)/float64(time.Millisecond), name+"-ms") }
	milli("answer-p50", report.Quiet.P50)
	milli("answer-p99", report.Quiet.P99)
	milli("answer-max", report.Quiet.Max)
	milli("store-p50", quietStore.P50)
	milli("store-p99", quietStore.P99)
	milli("store-max", quietStore.Max)
	milli("runnable-p99", ranLate)
	milli("gc-pause-max", pause)
	b.ReportMetric(float64(cpu.Microseconds())/float64(max(report.Quiet.N, 1)), "cpu-µs/share")
	b.ReportMetric(float64(report.QuietCPU.Microseconds())/float64(max(report.Quiet.N, 1)), "crowd-cpu-µs/share")
	milli("waited-for-cpu-per-s", time.Duration(float64(stolen)/quiet.Seconds()))
	milli("jobs-answer-p50", report.Busy.P50)
	milli("jobs-answer-p99", report.Busy.P99)
	milli("jobs-answer-max", report.Busy.Max)
	milli("jobs-store-p99", sink.taken().P99)
	milli("fanout-cpu", busy/jobs)
	milli("fanout-p50", crowdtest.Quantiles(wrote).P50)
	milli("fanout-max", crowdtest.Quantiles(wrote).Max)
	milli("arrival99-p50", crowdtest.Quantiles(p99s).P50)
	milli("arrival99-max", crowdtest.Quantiles(p99s).Max)
	milli("arrival-last-p50", crowdtest.Quantiles(lasts).P50)
	milli("arrival-last-max", crowdtest.Quantiles(lasts).Max)
	b.ReportMetric(float64(max(beforeHeld, afterHeld)-held)/miners/1024, "runtime-KiB/conn")
	b.ReportMetric(float64(max(beforeResident, afterResident)-resident)/miners/1024, "resident-KiB/conn")
	b.ReportMetric(float64(report.Taken), "shares")
	b.ReportMetric(float64(report.Refused), "refused")
}
