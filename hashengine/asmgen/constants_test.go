// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/ballast-energy/ballast/hashengine/internal/sha256d"
)

// TestConstants compares the computed constants with the written ones.
func TestConstants(t *testing.T) {
	if roundConstants != sha256d.K {
		t.Errorf("round constants %08x, want %08x", roundConstants, sha256d.K)
	}
	if initialState != sha256d.IV {
		t.Errorf("initial state %08x, want %08x", initialState, sha256d.IV)
	}
}
