// SPDX-License-Identifier: Apache-2.0

package schemas

import (
	"embed"
	"fmt"
	"path"
	"strings"
)

// BaseURL is where the $id of every schema begins. It names the schemas; they
// are never fetched from there.
const BaseURL = "https://ballast.energy/schemas/"

const (
	suffix      = ".schema.json"
	definitions = "defs"
)

//go:embed *.schema.json asyncapi.yaml
var files embed.FS

// List returns every event type that has a schema, sorted. The slice is fresh
// on every call.
func List() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic("schemas: the embedded folder cannot be listed: " + err.Error())
	}
	var types []string
	for _, e := range entries {
		if t, ok := strings.CutSuffix(e.Name(), suffix); ok && t != definitions {
			types = append(types, t)
		}
	}
	return types
}

// Schema returns the JSON Schema of an event type, as it stands in the
// repository. It refers to Definitions by relative URL.
func Schema(eventType string) ([]byte, error) {
	b, err := files.ReadFile(path.Clean(eventType + suffix))
	if err != nil || eventType == definitions {
		return nil, fmt.Errorf("no schema for event type %q; the types are: %s", eventType, strings.Join(List(), ", "))
	}
	return b, nil
}

// Definitions returns the shared definitions, defs.schema.json.
func Definitions() []byte { return mustRead(definitions + suffix) }

// AsyncAPI returns the AsyncAPI 3 document, YAML: channels, operations,
// headers and the streams behind them.
func AsyncAPI() []byte { return mustRead("asyncapi.yaml") }

func mustRead(name string) []byte {
	b, err := files.ReadFile(name)
	if err != nil {
		panic("schemas: " + err.Error())
	}
	return b
}
