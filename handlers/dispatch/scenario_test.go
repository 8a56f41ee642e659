// SPDX-License-Identifier: Apache-2.0

package dispatch_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
	"github.com/ballast-energy/ballast/handlers/scenario"
)

// build makes the decider that a scenario asks for.
func build(options []string) (decider.Decider, error) {
	var cfg dispatch.Config
	for _, o := range options {
		switch o {
		case "dispatch":
		case "no-reductions":
			cfg.NoReductions = true
		default:
			return nil, fmt.Errorf("dispatch has no option %q", o)
		}
	}
	return dispatch.New(cfg), nil
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.scenario")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			t.Parallel()
			if err := scenario.RunFile(f, build); err != nil {
				t.Error(err)
			}
		})
	}
}
