// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// output is one generated file.
type output struct {
	name  string
	print func() ([]byte, error)
}

// outputs is the explicit list of what go generate writes.
var outputs = []output{
	{"shani_vr5_amd64.s", printVR5},
	{"shani_n4_amd64.s", printN4},
	{"shani_fill_amd64.s", printFill},
	{"shani_layout_amd64.go", printLayout},
	{"sha2_arm64.s", printARM64},
	{"avx512_amd64.s", avx512.print},
	{"avx2_amd64.s", avx2.print},
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "asmgen:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 && os.Args[1] == "search" {
		return search(os.Args[2:])
	}
	out := flag.String("out", ".", "directory that the assembly is written to")
	flag.Parse()
	for _, o := range outputs {
		text, err := o.print()
		if err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		if err := os.WriteFile(filepath.Join(*out, o.name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
