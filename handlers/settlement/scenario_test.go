// SPDX-License-Identifier: Apache-2.0

package settlement_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/scenario"
	"github.com/ballast-energy/ballast/handlers/settlement"
)

// build makes the decider that a scenario asks for: "decider settlement".
func build(options []string) (decider.Decider, error) {
	if len(options) != 1 || options[0] != settlement.Name {
		return nil, fmt.Errorf("a settlement scenario begins with %q, not %q", "decider settlement", options)
	}
	return settlement.New(settlement.Config{})
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.scenario")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			if err := scenario.RunFile(f, build); err != nil {
				t.Error(err)
			}
		})
	}
}
