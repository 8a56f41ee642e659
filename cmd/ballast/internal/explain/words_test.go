// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/events"
)

// TestEveryReasonHasWords: whoever adds a reason for a command, or something that
// holds units back, says here and in the schema what it means.
func TestEveryReasonHasWords(t *testing.T) {
	top := filepath.Join("..", "..", "..", "..")
	schema, err := os.ReadFile(filepath.Join(top, "schemas", "dispatch.decided.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range []string{"explanation.go", "command.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(top, "events", name), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, is := n.(*ast.ValueSpec)
			if !is || len(v.Values) != 1 {
				return true
			}
			lit, is := v.Values[0].(*ast.BasicLit)
			id := v.Names[0].Name
			if !is || !strings.HasPrefix(id, "Hold") && !strings.HasPrefix(id, "Reason") {
				return true
			}
			by, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			switch by {
			case "lease", "boot", "machine", "unsaid", events.HoldReserve: // never of a command; begins a name
				return true
			}
			found++
			if because(by, "") == by || because(by, "rack-7") == by+" at rack-7" {
				t.Errorf("%s (%s) has no words", id, by)
			}
			if strings.HasPrefix(id, "Hold") && !strings.Contains(string(schema), ", "+by+",") && !strings.Contains(string(schema), "a reason, or "+by+",") {
				t.Errorf("%s (%s) is not in the schema of dispatch.decided", id, by)
			}
			return true
		})
	}
	if found < 25 {
		t.Errorf("%d reasons found", found)
	}
	for _, term := range []string{"floor", "envelope", "unlearned", "rise", "jobs", "margin"} {
		if s := because(events.HoldReserve+"-"+term, events.RootNode); strings.Contains(s, "("+term+")") {
			t.Errorf("the term %s of a reserve has no words: %s", term, s)
		}
	}
	if s := because("something-new", "rack-7"); s != "something-new at rack-7" {
		t.Errorf("what a later version says: %s", s)
	}
}
