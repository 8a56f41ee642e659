// SPDX-License-Identifier: Apache-2.0

package crowdtest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// variable of the environment that makes a test binary a crowd.
const variable = "BALLAST_TEST_CROWD"

// Plan is what the crowd does.
type Plan struct {
	// Address of the server, an IPv4 address and a port.
	Address string
	TLS     bool
	// Miners that connect, from as many source addresses as it takes.
	Miners int
	// Difficulty of the shares, decimal text: what the server gives to all.
	Difficulty string
	// Every is the time between two shares of a miner; 0 sends none.
	Every time.Duration
}

// Report is what the crowd saw.
type Report struct {
	// Answers that were true, and others.
	Taken, Refused int
	// Quiet is the time from a share's write to its answer's arrival before
	// Turn, Busy after it.
	Quiet, Busy Times
	// QuietCPU is the crowd's own processor time in the former.
	QuietCPU time.Duration
	// Arrivals of jobs at the miners, by id.
	Arrivals map[string]Arrival
}

// Arrival is how many miners a job reached, and when 99 % of those and the last.
type Arrival struct {
	N         int
	P99, Last time.Time
}

// Times are quantiles of N durations.
type Times struct {
	N             int
	P50, P99, Max time.Duration
}

// Quantiles of times, which it sorts.
func Quantiles(times []time.Duration) Times {
	slices.Sort(times)
	n := len(times)
	if n == 0 {
		return Times{}
	}
	return Times{N: n, P50: times[n/2], P99: times[n*99/100], Max: times[n-1]}
}

// Main is the crowd, when this process was started as one: it reports true when
// that is over. TestMain calls it first.
func Main() bool {
	plan := os.Getenv(variable)
	if plan == "" {
		return false
	}
	if err := mine(plan, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
	return true
}

// Crowd is one that runs.
type Crowd struct {
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// Start starts a crowd and waits until all its miners have a job.
func Start(p Plan) (*Crowd, error) {
	plan, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	c := &Crowd{process: exec.Command(os.Args[0])}
	c.process.Env = append(os.Environ(), variable+"="+string(plan))
	c.process.Stderr = os.Stderr
	if c.in, err = c.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.process.Start(); err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if line, err := c.out.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, errors.Join(fmt.Errorf("the crowd is not ready; %d connections need as many open files in two processes", p.Miners), err, c.process.Wait())
	}
	return c, nil
}

// Turn ends the quiet part.
func (c *Crowd) Turn() error {
	_, err := c.in.Write([]byte("\n"))
	return err
}

// End ends the crowd, which reports.
func (c *Crowd) End() (*Report, error) {
	err := c.in.Close()
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.NewDecoder(c.out).Decode(&r); err != nil {
		return nil, errors.Join(err, c.process.Wait())
	}
	_, _ = io.Copy(io.Discard, c.out)
	return &r, c.process.Wait()
}
