// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events/bus/bustest"
)

// The real binary, built once for all tests of this package.
var builtBinary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "ballast-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	builtBinary = filepath.Join(dir, "ballast")
	build := exec.Command("go", "build", "-o", builtBinary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the binary under test:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// process is one running ballast.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error

	mu  sync.Mutex
	out []string // lines of both outputs
	// line is closed and replaced with every line.
	line chan struct{}
}

// start runs ballast with args in dir; it is killed at the end of the test if
// it still runs then.
func start(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: "ballast " + strings.Join(args, " "), done: make(chan struct{}), line: make(chan struct{})}
	p.cmd = exec.Command(builtBinary, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), "NO_COLOR=1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	go func() {
		sc := bufio.NewScanner(r)
		sc.Buffer(make([]byte, 1<<20), 1<<20)
		for sc.Scan() {
			p.mu.Lock()
			p.out = append(p.out, sc.Text())
			close(p.line)
			p.line = make(chan struct{})
			p.mu.Unlock()
		}
		r.Close()
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.output())
		}
	})
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.out, "\n")
}

// waitLine blocks until a line holds s.
func (p *process) waitLine(s string, within time.Duration) string {
	p.t.Helper()
	deadline := time.After(within)
	from := 0
	for {
		p.mu.Lock()
		for ; from < len(p.out); from++ {
			if strings.Contains(p.out[from], s) {
				defer p.mu.Unlock()
				return p.out[from]
			}
		}
		more := p.line
		p.mu.Unlock()
		select {
		case <-more:
		case <-p.done:
			p.t.Fatalf("%s ended (%v) without saying %q:\n%s", p.name, p.err, s, p.output())
		case <-deadline:
			p.t.Fatalf("%s did not say %q within %v:\n%s", p.name, s, within, p.output())
		}
	}
}

// kill sends SIGKILL and waits for the end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// signal sends a signal and does not wait.
func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// end asks it to end and returns its exit code.
func (p *process) end(within time.Duration) int {
	p.t.Helper()
	p.signal(os.Interrupt)
	return p.wait(within)
}

// wait for the end by itself; returns the exit code.
func (p *process) wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(within):
		p.t.Fatalf("%s did not end within %v:\n%s", p.name, within, p.output())
	}
	return p.cmd.ProcessState.ExitCode()
}

// ballast runs a command to its end and returns its standard output and exit
// code. One that waits for what follows from it does so with the patience of the
// tests instead of the half minute of a person.
func ballast(t *testing.T, dir string, args ...string) (stdout string, code int) {
	t.Helper()
	if slices.Contains(args, "--wait") {
		args = append(slices.Clone(args), "--deadline", patience.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, builtBinary, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("ballast %s: %v", strings.Join(args, " "), err)
	}
	if errOut.Len() > 0 {
		t.Logf("ballast %s: %s", strings.Join(args, " "), errOut.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// mustBallast is ballast with exit code 0.
func mustBallast(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, code := ballast(t, dir, args...)
	if code != 0 {
		t.Fatalf("ballast %s: exit code %d\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// jsonLines decodes one value per line.
func jsonLines(t *testing.T, out string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		if line == "" {
			continue
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("no JSON: %q: %v", line, err)
		}
		all = append(all, v)
	}
	return all
}

// site is a running demo with its own place and port.
type site struct {
	t    *testing.T
	dir  string
	url  string
	main *process
}

// startDemo runs `ballast up` with args and waits until it serves.
func startDemo(t *testing.T, args ...string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir()}
	addr := bustest.FreeAddress(t)
	s.url = "nats://" + addr
	t.Setenv("BALLAST_BUS_LISTEN", addr)
	s.main = start(t, s.dir, append([]string{"up"}, args...)...)
	s.main.waitLine("bus at", patience)
	return s
}

// run a command against the site; exit code 0.
func (s *site) run(args ...string) string {
	s.t.Helper()
	return mustBallast(s.t, s.dir, append(args, "--server", s.url)...)
}
