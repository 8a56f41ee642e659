// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestReproduces compares what the generator prints with what is committed,
// byte for byte.
func TestReproduces(t *testing.T) {
	for _, o := range outputs {
		t.Run(o.name, func(t *testing.T) {
			text, err := o.print()
			if err != nil {
				t.Fatal(err)
			}
			committed, err := os.ReadFile(filepath.Join("..", "internal", "sha256d", o.name))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text, committed) {
				t.Errorf("%s is not what the generator prints: run go generate ./hashengine/...", o.name)
			}
		})
	}
}
