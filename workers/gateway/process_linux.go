// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// thisProcess, nil where the kernel does not tell.
func thisProcess() *process {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil
	}
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return nil
	}
	p := &process{Boot: strings.TrimSpace(string(boot)), Namespace: namespace, PID: os.Getpid()}
	if _, p.Started, err = processStat(p.PID); err != nil {
		return nil
	}
	return p
}

// gone reports whether the process has ended for certain: it ran on this boot
// of this machine, where its id is seen, and is no more.
func (p *process) gone() bool {
	me := thisProcess()
	if me == nil || p.Boot != me.Boot || p.Namespace != me.Namespace || p.PID < 1 {
		return false
	}
	// Asked first: files of others' processes may be hidden.
	if errors.Is(unix.Kill(p.PID, 0), unix.ESRCH) {
		return true
	}
	state, started, err := processStat(p.PID)
	return err == nil && (started != p.Started || state == "Z" || state == "X")
}

// processStat reads a process's state and start, in the kernel's units.
func processStat(pid int) (state, started string, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", "", err
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	const startField = 19 // the 22nd of all
	if len(fields) <= startField {
		return "", "", fmt.Errorf("process %d: %q is too short", pid, b)
	}
	return fields[0], fields[startField], nil
}
