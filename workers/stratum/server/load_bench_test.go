// SPDX-License-Identifier: Apache-2.0

//go:build unix

package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// groupCommit is a sink that writes shares to a file and answers those of one
// fsync together.
type groupCommit struct {
	file  *os.File
	queue chan func(error)
}

func (g *groupCommit) Take(_ Share, done func(error)) { g.queue <- done }

func (g *groupCommit) run(ctx context.Context) {
	var batch []func(error)
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
		for _, d := range batch {
			d(err)
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

// spent is the processor time of this process.
func spent(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCrowd has 10,000 miners connected in another process, each with a
// share every 10 s that is stored by group commit: at first these alone, then
// with a clean job every second. It prints the memory per connection, the time
// from share to answer in both parts, and the time until a job has been written
// to all and has reached the last, and the processor time that the writing
// took. Miners and server share the processors. One round is about half a
// minute, so use -benchtime 1x.
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
	const quiet = 15 * time.Second
	file, err := os.Create(filepath.Join(b.TempDir(), "shares"))
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	sink := &groupCommit{file: file, queue: make(chan func(error), 4096)}
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

	plan, err := json.Marshal(crowdPlan{Address: s.Addresses()[0].String(), TLS: secure, Miners: miners, Every: 10 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crowdVariable+"="+string(plan))
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	if line, err := out.ReadString('\n'); err != nil || line != "ready\n" {
		b.Fatalf("the crowd is not ready: %q %v; 10,000 connections need as many open files in two processes", line, err)
	}
	beforeHeld, beforeResident := inUse()
	time.Sleep(quiet) // shares alone
	if _, err := stdin.Write([]byte("jobs\n")); err != nil {
		b.Fatal(err)
	}
	started := make(map[string]time.Time)
	var wrote []time.Duration
	var busy time.Duration
	for i := range jobs {
		time.Sleep(time.Second) // the pace of the jobs
		next := *job
		next.ID = "job-" + strconv.Itoa(i)
		now, before := time.Now(), spent(b)
		if err := s.SetJob(&next); err != nil {
			b.Fatal(err)
		}
		wrote, busy = append(wrote, time.Since(now)), busy+spent(b)-before
		started[jobID(uint64(i+2)<<renewalBits)] = now
	}
	time.Sleep(2 * time.Second)
	afterHeld, afterResident := inUse()
	stdin.Close()
	var report crowdReport
	if err := json.NewDecoder(out).Decode(&report); err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := child.Wait(); err != nil {
		b.Fatal(err)
	}
	var worstWrite, worstArrival time.Duration
	var sumWrite, sumArrival time.Duration
	for i, d := range wrote {
		id := jobID(uint64(i+2) << renewalBits)
		if report.Heard[id] != miners {
			b.Errorf("job %s reached %d of %d", id, report.Heard[id], miners)
		}
		arrival := report.Last[id].Sub(started[id])
		sumWrite, sumArrival = sumWrite+d, sumArrival+arrival
		worstWrite, worstArrival = max(worstWrite, d), max(worstArrival, arrival)
	}
	milli := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	b.ReportMetric(milli(report.Quiet.P50), "p50-answer-ms")
	b.ReportMetric(milli(report.Quiet.P99), "p99-answer-ms")
	b.ReportMetric(milli(report.Busy.P99), "p99-answer-while-jobs-ms")
	b.ReportMetric(milli(busy/jobs), "mean-fanout-cpu-ms")
	b.ReportMetric(milli(sumWrite/jobs), "mean-fanout-ms")
	b.ReportMetric(milli(worstWrite), "max-fanout-ms")
	b.ReportMetric(milli(sumArrival/jobs), "mean-last-arrival-ms")
	b.ReportMetric(milli(worstArrival), "max-last-arrival-ms")
	b.ReportMetric(float64(max(beforeHeld, afterHeld)-held)/miners/1024, "runtime-KiB/conn")
	b.ReportMetric(float64(max(beforeResident, afterResident)-resident)/miners/1024, "resident-KiB/conn")
	b.ReportMetric(float64(report.Taken), "shares")
	b.ReportMetric(float64(report.Refused), "refused")
}
