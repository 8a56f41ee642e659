// SPDX-License-Identifier: Apache-2.0

package ballast_test

import (
	"bufio"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/ballast-energy/ballast/"

// rooms says, of ours, what each room may import. A room may always import
// itself. Rooms meet on the bus only.
var rooms = map[string][]string{
	"schemas":    {},
	"events":     {"schemas"},
	"sources":    {"events"},
	"handlers":   {"events"},
	"workers":    {"events", "hashengine"},
	"hashengine": {},
	"cmd":        {"schemas", "events", "sources", "handlers", "workers", "hashengine"},
}

// fxMayBeImported says where the wiring library may appear: the binary and one
// module.go per room.
func fxMayBeImported(path string) bool {
	return strings.HasPrefix(path, "cmd/") || filepath.Base(path) == "module.go"
}

// goFiles yields every Go file of the project with its slash path.
func goFiles(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "data" || name == "bin") {
			return filepath.SkipDir
		}
		if !d.IsDir() && strings.HasSuffix(name, ".go") {
			visit(filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRoomsDoNotImportSideways(t *testing.T) {
	goFiles(t, func(path string) {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		room, _, _ := strings.Cut(path, "/")
		allowed, isRoom := rooms[room]
		for _, im := range f.Imports {
			p, _ := strconv.Unquote(im.Path.Value)
			if strings.HasPrefix(p, "go.uber.org/fx") && !fxMayBeImported(path) {
				t.Errorf("%s imports %s: wiring belongs in cmd/ballast or a room's module.go", path, p)
			}
			rest, ours := strings.CutPrefix(p, module)
			if !ours || !isRoom {
				continue
			}
			to, _, _ := strings.Cut(rest, "/")
			if to == room {
				continue
			}
			ok := false
			for _, a := range allowed {
				ok = ok || a == to
			}
			if !ok {
				t.Errorf("%s imports %s: %s may import %v and itself; rooms meet on the bus", path, p, room, allowed)
			}
		}
	})
}

func TestDecidersArePure(t *testing.T) {
	banned := map[string]string{
		"math/rand":    "a decider has no random source",
		"math/rand/v2": "a decider has no random source",
		"crypto/rand":  "a decider has no random source",
		"os":           "a decider does no I/O",
		"net":          "a decider does no I/O",
		"net/http":     "a decider does no I/O",
		"sync":         "a decider has no goroutines",
		"log/slog":     "a decider does no I/O; what it has to say is an event",
	}
	goFiles(t, func(path string) {
		inside := strings.HasPrefix(path, "handlers/dispatch/") || strings.HasPrefix(path, "handlers/settlement/") || strings.HasPrefix(path, "handlers/compliance/") || strings.HasPrefix(path, "workers/permit/") || strings.HasPrefix(path, "handlers/host/replica/")
		if !inside || strings.HasSuffix(path, "_test.go") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		for _, im := range f.Imports {
			p, _ := strconv.Unquote(im.Path.Value)
			if why, bad := banned[p]; bad {
				t.Errorf("%s imports %s: %s", path, p, why)
			}
		}
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range []string{"time.Now(", "time.Since(", "time.After(", "\tgo func"} {
			if strings.Contains(string(src), call) {
				t.Errorf("%s uses %s: time reaches a decider only as arrival times and ticks", path, strings.TrimSpace(call))
			}
		}
	})
}

func TestEveryPackageIsDocumentedOnce(t *testing.T) {
	docs := map[string][]string{}
	dirs := map[string]bool{}
	goFiles(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		dir := filepath.Dir(path)
		dirs[dir] = true
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		if f.Doc != nil {
			docs[dir] = append(docs[dir], path)
		}
	})
	for dir := range dirs {
		switch got := docs[dir]; {
		case len(got) == 0:
			t.Errorf("no package comment in %s: add a doc.go that says what it is for, how to use it and its concurrency properties", dir)
		case len(got) > 1:
			t.Errorf("several package comments in %s: %v", dir, got)
		}
	}
}

func TestEveryFileNamesItsLicence(t *testing.T) {
	goFiles(t, func(path string) {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sc := bufio.NewScanner(f)
		for i := 0; i < 3 && sc.Scan(); i++ {
			if strings.Contains(sc.Text(), "SPDX-License-Identifier: Apache-2.0") {
				return
			}
		}
		t.Errorf("%s: no SPDX-License-Identifier in its first lines", path)
	})
}

func TestNoRoomIsAGarbageRoom(t *testing.T) {
	goFiles(t, func(path string) {
		for _, tok := range strings.Split(strings.TrimSuffix(path, ".go"), "/") {
			switch tok {
			case "util", "utils", "common", "helper", "helpers", "misc":
				t.Errorf("%s: name it after its subject", path)
			}
		}
	})
}
