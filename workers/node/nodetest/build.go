// SPDX-License-Identifier: Apache-2.0

package nodetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
)

// Binary is the path of btcd, built on the first call.
var Binary = sync.OnceValues(build)

func build() (string, error) {
	module, err := moduleDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		sum.Write(b)
	}
	fmt.Fprintf(sum, "%s %s %s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "ballast-test", fmt.Sprintf("btcd-%x", sum.Sum(nil)[:8]))
	binary := filepath.Join(dir, "btcd")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	// Tests of several packages build at a time: each makes its own file and
	// puts it in place whole.
	temporary, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temporary) }() // what stays is in a cache
	made := filepath.Join(temporary, filepath.Base(binary))
	cmd := exec.Command("go", "build", "-o", made, "github.com/btcsuite/btcd")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building btcd in tools/btcd: %w: %.2000s", err, out)
	}
	return binary, os.Rename(made, binary)
}

// moduleDir is tools/btcd of the project that the test belongs to.
func moduleDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		module := filepath.Join(dir, "tools", "btcd")
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("tools/btcd is in no folder above the test's")
		}
		dir = up
	}
}
