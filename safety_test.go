// SPDX-License-Identifier: Apache-2.0

package ballast_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// safetyTables are the two halves of the safety rules: what the dispatcher and
// what the worker does for each. They may not import each other.
var safetyTables = []string{"handlers/dispatch/safety_test.go", "workers/permit/safety_test.go"}

// safetyRules is how many there are.
const safetyRules = 16

// safetyProof is what a table says about one rule: its own proofs, and tests
// elsewhere.
type safetyProof struct {
	rule, demands string
	own           int
	elsewhere     []string
}

// TestEverySafetyRuleIsProven: each table has every rule once and in order and
// says what proves it, every test it names elsewhere exists, and every rule has a
// proof of its own on one side at least.
func TestEverySafetyRuleIsProven(t *testing.T) {
	own := make(map[string]int)
	for _, path := range safetyTables {
		proofs := readSafetyTable(t, path)
		if len(proofs) != safetyRules {
			t.Errorf("%s has %d rules of %d", path, len(proofs), safetyRules)
		}
		for i, p := range proofs {
			if want := fmt.Sprint("S", i+1); p.rule != want {
				t.Errorf("%s: rule %d is %q, not %s", path, i+1, p.rule, want)
			}
			if p.demands == "" || p.own+len(p.elsewhere) == 0 {
				t.Errorf("%s: %s says neither what it demands nor what proves it", path, p.rule)
			}
			own[p.rule] += p.own
			for _, e := range p.elsewhere {
				dir, name, ok := strings.Cut(e, " ")
				if !ok || !hasTest(t, dir, name) {
					t.Errorf("%s: %s is to be proven by %q, which does not exist: name a directory and a test function in it", path, p.rule, e)
				}
			}
		}
	}
	for i := range safetyRules {
		if rule := fmt.Sprint("S", i+1); own[rule] == 0 {
			t.Errorf("neither table proves %s by a test or story of its own", rule)
		}
	}
}

// readSafetyTable reads the variable safetyRules of a test file.
func readSafetyTable(t *testing.T, path string) []safetyProof {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var proofs []safetyProof
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 || v.Names[0].Name != "safetyRules" {
			return true
		}
		table, ok := v.Values[0].(*ast.CompositeLit)
		if !ok {
			return true
		}
		for _, row := range table.Elts {
			proofs = append(proofs, readSafetyRow(row.(*ast.CompositeLit)))
		}
		return false
	})
	return proofs
}

func readSafetyRow(row *ast.CompositeLit) safetyProof {
	var p safetyProof
	for _, el := range row.Elts {
		kv, ok := el.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		var texts []string
		ast.Inspect(kv.Value, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				text, _ := strconv.Unquote(l.Value)
				texts = append(texts, text)
			}
			return true
		})
		switch kv.Key.(*ast.Ident).Name {
		case "Rule":
			p.rule = strings.Join(texts, "")
		case "Demands":
			p.demands = strings.Join(texts, "")
		case "Elsewhere":
			p.elsewhere = texts
		default:
			p.own += len(texts)
		}
	}
	return p
}

// hasTest reports whether a test file of the directory has the function.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(path string) bool {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
			fn, ok := d.(*ast.FuncDecl)
			return ok && fn.Recv == nil && fn.Name.Name == name
		})
	})
}
