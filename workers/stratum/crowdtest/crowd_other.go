// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package crowdtest

import (
	"errors"
	"io"
	"time"
)

// mine needs what only Linux has.
func mine(string, io.Reader, io.Writer) error { return errors.New("no crowd on this system") }

// ProcessTime is the processor time of this process; not known here.
func ProcessTime() time.Duration { return 0 }

// Waited is how long the threads of this process have waited for a processor;
// not known here.
func Waited() time.Duration { return 0 }
