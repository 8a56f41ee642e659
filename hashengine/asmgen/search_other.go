// SPDX-License-Identifier: Apache-2.0

//go:build !linux || !amd64

package main

import "errors"

// search needs processors that the kernels are for, and executable memory.
func search([]string) error {
	return errors.New("search runs on amd64 and Linux only")
}
