// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/workers/stratum"
)

// crowdVariable of the environment makes the test binary a crowd of miners: a
// process of its own, so that its memory and files are not the server's.
const crowdVariable = "BALLAST_TEST_CROWD"

// crowdPlan is what the crowd does.
type crowdPlan struct {
	Address string
	TLS     bool
	// Miners that connect, from as many source addresses as it takes.
	Miners int
	// Every is the time between two shares of a miner; 0 sends none.
	Every time.Duration
}

// crowdReport is what the crowd saw, written when its input ends.
type crowdReport struct {
	// Answers that were true, and others.
	Taken, Refused int
	// Quiet is the time from a share to its answer before the first line of the
	// crowd's input, Busy after it.
	Quiet, Busy crowdTimes
	// Last arrival of each job at any miner, and how many miners it reached.
	Last  map[string]time.Time
	Heard map[string]int
}

// crowdTimes are quantiles.
type crowdTimes struct{ P50, P99, Max time.Duration }

func quantiles(times []time.Duration) crowdTimes {
	slices.Sort(times)
	n := len(times)
	if n == 0 {
		return crowdTimes{}
	}
	return crowdTimes{P50: times[n/2], P99: times[n*99/100], Max: times[n-1]}
}

// crowd connects, says "ready", mines until its input ends and reports.
func crowd(text string, in io.Reader, out io.Writer) error {
	var plan crowdPlan
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		return err
	}
	c := &crowdState{plan: plan, report: crowdReport{Last: make(map[string]time.Time), Heard: make(map[string]int)}, stop: make(chan struct{})}
	var wg sync.WaitGroup
	ready := make(chan error, plan.Miners)
	const atOnce = 64
	tickets := make(chan struct{}, atOnce)
	for i := range plan.Miners {
		tickets <- struct{}{}
		wg.Go(func() {
			c.miner(i, func(err error) { <-tickets; ready <- err })
		})
	}
	for range plan.Miners {
		if err := <-ready; err != nil {
			return err
		}
	}
	fmt.Fprintln(out, "ready")
	lines := bufio.NewReader(in)
	_, _ = lines.ReadString('\n')
	c.mu.Lock()
	c.report.Quiet, c.times = quantiles(c.times), nil
	c.mu.Unlock()
	_, _ = io.Copy(io.Discard, lines)
	close(c.stop)
	wg.Wait()
	c.report.Busy = quantiles(c.times)
	return json.NewEncoder(out).Encode(c.report)
}

type crowdState struct {
	plan   crowdPlan
	stop   chan struct{}
	mu     sync.Mutex
	times  []time.Duration
	report crowdReport
}

func (c *crowdState) dial(i int) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/2000), 2)}}
	nc, err := d.Dial("tcp", c.plan.Address)
	if err != nil || !c.plan.TLS {
		return nc, err
	}
	return tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), nil
}

// miner runs one connection; ready is called once, when it has a job or failed.
func (c *crowdState) miner(i int, ready func(error)) {
	nc, err := c.dial(i)
	if err != nil {
		ready(err)
		return
	}
	defer nc.Close()
	user := "a.r" + strconv.Itoa(i)
	var b []byte
	b = stratum.Subscribe{UserAgent: "crowd"}.Append(b, 1)
	b = stratum.Authorize{User: user}.Append(b, 2)
	if _, err := nc.Write(b); err != nil {
		ready(err)
		return
	}
	lines := bufio.NewReaderSize(nc, 2<<10)
	r := stratum.NewReader(lines, 0)
	var m stratum.Message
	var mu sync.Mutex
	job, ntime, size := "", uint32(0), 0
	var sent time.Time
	var quit sync.WaitGroup
	defer quit.Wait()
	done := make(chan struct{})
	defer close(done)
	for {
		if err := r.Next(&m); err != nil {
			if job == "" {
				ready(errors.Join(errors.New("no job"), err))
			}
			return
		}
		now := time.Now()
		switch {
		case m.Method == stratum.MethodNotify:
			n, err := stratum.ParseNotify(m.Params)
			if err != nil {
				ready(err)
				return
			}
			mu.Lock()
			first := job == ""
			job, ntime = n.JobID, n.NTime
			mu.Unlock()
			c.mu.Lock()
			if c.report.Heard[job]++; now.After(c.report.Last[job]) {
				c.report.Last[job] = now
			}
			c.mu.Unlock()
			if first {
				ready(nil)
				quit.Go(func() {
					var pause <-chan time.Time // for ever, when there are no shares
					wait := func(d time.Duration) {
						if c.plan.Every > 0 {
							pause = time.After(d)
						}
					}
					wait(rand.N(max(c.plan.Every, 1)))
					for nonce := uint32(0); ; nonce++ {
						select {
						case <-pause:
						case <-c.stop:
							nc.Close()
							return
						case <-done:
							return
						}
						mu.Lock()
						sent = time.Now()
						line := stratum.AppendSubmit(nil, 3, user, job, make([]byte, size), ntime, nonce, false, 0)
						mu.Unlock()
						if _, err := nc.Write(line); err != nil {
							return
						}
						wait(c.plan.Every)
					}
				})
			}
		case m.Method != "":
		case string(m.ID) == "1":
			x, err := stratum.ParseSubscribeResult(m.Result)
			if err != nil {
				ready(err)
				return
			}
			size = x.Extranonce2Bytes
		case string(m.ID) == "3":
			mu.Lock()
			took := now.Sub(sent)
			mu.Unlock()
			c.mu.Lock()
			if m.Succeeded() {
				c.report.Taken++
			} else {
				c.report.Refused++
			}
			c.times = append(c.times, took)
			c.mu.Unlock()
		}
	}
}
