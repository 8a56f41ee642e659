// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigurationsOfTheReadme: what the README shows of a gateway is a
// configuration that is read as it stands.
func TestConfigurationsOfTheReadme(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	shown := 0
	for i, block := range strings.Split(string(b), "```yaml\n")[1:] {
		text, _, closed := strings.Cut(block, "\n```")
		if !closed || !strings.Contains(text, "gateway:") {
			continue
		}
		shown++
		file := filepath.Join(dir, "readme.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, code := ballast(t, dir, "config", "check", file)
		if code != 0 || !strings.Contains(out, "gateway gw-1 of site ") {
			t.Errorf("block %d: exit code %d: %s", i, code, out)
		}
	}
	if shown < 2 {
		t.Errorf("the README shows %d configurations of a gateway", shown)
	}
}
