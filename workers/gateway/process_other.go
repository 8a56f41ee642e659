// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package gateway

// thisProcess is not told apart from others here: leases run out by time.
func thisProcess() *process { return nil }

func (*process) gone() bool { return false }
