// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "development"

// Exit codes, the same for every verb.
const (
	exitOK          = 0
	exitFailed      = 1 // it was tried and did not work
	exitUsage       = 2 // the command line or the configuration is wrong
	exitNotMetered  = 3 // signal --wait: not metered by the deadline
	exitDiffers     = 4 // journal replay --verify, schema validate, doctor: a finding
	exitUnreachable = 5 // no bus
	exitUnreadable  = 6 // journal replay: the export or the snapshot is damaged or cut off
	exitIncomplete  = 7 // journal replay --verify: nothing differs, but not everything could be compared
)

// exitError carries an exit code up to main.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// withCode makes main exit with code.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{code, err}
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: tests call it.
func run(args []string, stdout, stderr *os.File) int {
	// The first signal asks everything to end in order, the second ends the
	// process: a shutdown that hangs must not need another terminal.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { <-ctx.Done(); stop() }()

	a := &app{out: stdout, err: stderr, environ: os.Environ()}
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var coded *exitError
	if errors.As(err, &coded) {
		fmt.Fprintf(stderr, "ballast: %v\n", err)
		return coded.code
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return exitOK // a person pressed Ctrl-C
	}
	fmt.Fprintf(stderr, "ballast: %v\n", err)
	if a.started {
		return exitFailed
	}
	return exitUsage
}
