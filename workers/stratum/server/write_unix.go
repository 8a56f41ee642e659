// SPDX-License-Identifier: Apache-2.0

//go:build unix

package server

import (
	"errors"
	"net"
	"syscall"
)

// rawOf is the connection's handle for writes that do not wait.
func rawOf(c net.Conn) syscall.RawConn {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// writeNow writes as much as the system takes at once.
func writeNow(raw syscall.RawConn, b []byte) (n int, err error) {
	closed := raw.Write(func(fd uintptr) bool {
		n, err = syscall.Write(int(fd), b)
		for errors.Is(err, syscall.EINTR) {
			n, err = syscall.Write(int(fd), b)
		}
		return true
	})
	if closed != nil {
		return 0, closed
	}
	if errors.Is(err, syscall.EAGAIN) {
		return 0, nil
	}
	return max(n, 0), err
}
