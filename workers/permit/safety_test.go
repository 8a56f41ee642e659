// SPDX-License-Identifier: Apache-2.0

package permit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ballast-energy/ballast/events"
)

// safetyRule is one of the sixteen rules that no change may break, and what
// proves it.
type safetyRule struct {
	// Rule and what it demands, in short.
	Rule, Demands string
	// Tests are functions of this package that fail when a worker breaks the rule;
	// Cases are rows of TestMachineRules that do.
	Tests, Cases []string
	// Elsewhere are tests of other packages that prove the rest of it, each as
	// "directory TestName"; a test of the repository sees that they exist.
	Elsewhere []string
}

// safetyRules is what a worker does for each rule. The dispatcher's half has a
// table like this one.
var safetyRules = []safetyRule{
	{Rule: "S1", Demands: "without a permit that lives a unit draws its failsafe power at most",
		Tests: []string{"TestStorm", "TestPanelRefuses", "TestPanelCountsLeasesFromTheStatus"},
		Cases: []string{"starts at failsafe", "a ramp with a lease raises, its end lowers", "no raise: not stored, late, or without lease"}},
	{Rule: "S2", Demands: "a lease counts from the status that it answers, a renewal raises nobody, and the rest of a lease is told",
		Tests: []string{"TestPanelCountsLeasesFromTheStatus", "TestPanelBoundsLeases", "TestPanelOldReplicaCannotKeepALeaseAlive", "TestPanelDescribes", "TestStorm"},
		Cases: []string{"a renewal prolongs and lowers, never raises", "a renewal gives no lease to who has none", "a shorter renewal does not shorten"}},
	{Rule: "S3", Demands: "the lowest limit holds, whoever set it, and nothing delays a reduction",
		Tests: []string{"TestNinthDeciderCanOnlyLower", "TestPanelBroadcast", "TestMachineHoldsLevels", "TestStorm"},
		Cases: []string{"of two deciders the lower rules", "the local limit is kept apart", "curtail never raises", "a ramp that lowers needs no lease", "a curtail overtaken by a renewal is obeyed"}},
	{Rule: "S4", Demands: "only a ramp raises: stored, in time, with a lease, and newer than all before it",
		Tests: []string{"TestPanelRefuses", "TestStorm"},
		Cases: []string{"no raise: not stored, late, or without lease", "a refused raise outranks older raises, not older reductions"}},
	{Rule: "S5", Demands: "what is not measured counts as full load: the dispatcher's",
		Elsewhere: []string{"handlers/dispatch TestSafetyRules"}},
	{Rule: "S6", Demands: "the key of a unit's commands only rises; what is lower is refused, and said to be",
		Tests: []string{"TestOnlyTheHighestKeyCounts", "TestStorm"},
		Cases: []string{"curtail at once, an old one after a newer ramp not", "ordinals order within a cause, epochs before sequences", "an old renewal changes nothing"}},
	{Rule: "S7", Demands: "what was applied is told, and proves nothing: meters do",
		Tests:     []string{"TestMachineTellsWhatItApplied"},
		Elsewhere: []string{"handlers/dispatch TestSafetyRules"}},
	{Rule: "S8", Demands: "room is kept for the largest rise: the dispatcher's",
		Elsewhere: []string{"handlers/dispatch TestSafetyRules"}},
	{Rule: "S9", Demands: "power comes back at a bounded rate: a unit rises with its own ramp only",
		Tests:     []string{"TestStorm"},
		Elsewhere: []string{"handlers/dispatch TestSafetyRules"}},
	{Rule: "S10", Demands: "silence ends in failsafe, and only a command that knows of it leads out",
		Tests: []string{"TestStandsAlone"},
		Cases: []string{"failsafe is left only by a ramp that knows of it", "a renewal gives no lease to who has none", "a renewal cannot come before its time"}},
	{Rule: "S11", Demands: "who goes before whom is the dispatcher's; a unit says whose word holds it",
		Tests:     []string{"TestCauseOfTheSetpointInForce", "TestPanelTellsTheCause"},
		Elsewhere: []string{"handlers/dispatch TestSafetyRules"}},
	{Rule: "S12", Demands: "the same messages give the same states",
		Tests:     []string{"TestStormReplaysTheSame"},
		Elsewhere: []string{"handlers/dispatch TestEveryCommandIsExplained", "handlers/audit TestVerifyFindsForgeries"}},
	{Rule: "S13", Demands: "this last line of defence needs no bus, no database and no dispatcher",
		Tests: []string{"TestStandsAlone"}},
	{Rule: "S14", Demands: "leases are spans of a clock that never jumps",
		Tests:     []string{"TestLedgerForgets", "TestPanelCountsLeasesFromTheStatus"},
		Elsewhere: []string{". TestDecidersArePure", "workers/agent TestLeaseEndsWhileTheMachineSleeps"}},
	{Rule: "S15", Demands: "a reduction that was received stays without anybody repeating it",
		Tests:     []string{"TestStandsAlone"},
		Cases:     []string{"curtail reaches below failsafe and stays there"},
		Elsewhere: []string{"handlers/dispatch TestInstructionsOutliveTheirReader"}},
	{Rule: "S16", Demands: "a dip sheds nothing and comes back in steps: the dispatcher's",
		Elsewhere: []string{"handlers/dispatch TestSafetyRules"}},
}

// TestSafetyRules sees that what is to prove the rules is there. The cases of the
// machine are those of a table that TestMachineRules runs.
func TestSafetyRules(t *testing.T) {
	tests, cases := make(map[string]bool), make(map[string]bool)
	for _, f := range filesHere(t, "*_test.go") {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !strings.HasPrefix(fn.Name.Name, "Test") {
				continue
			}
			tests[fn.Name.Name] = true
			if fn.Name.Name != "TestMachineRules" {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if kv, ok := n.(*ast.KeyValueExpr); ok {
					if l, ok := kv.Key.(*ast.BasicLit); ok && l.Kind == token.STRING {
						name, _ := strconv.Unquote(l.Value)
						cases[name] = true
					}
				}
				return true
			})
		}
	}
	for _, r := range safetyRules {
		t.Run(r.Rule, func(t *testing.T) {
			for _, name := range r.Tests {
				if !tests[name] {
					t.Errorf("%s (%s) is to be proven by %s, which does not exist", r.Rule, r.Demands, name)
				}
			}
			for _, name := range r.Cases {
				if !cases[name] {
					t.Errorf("%s (%s) is to be proven by the case %q of TestMachineRules, which does not exist", r.Rule, r.Demands, name)
				}
			}
		})
	}
}

// filesHere are the Go files of this directory whose names match.
func filesHere(t *testing.T, pattern string) map[string]*ast.File {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	files := make(map[string]*ast.File)
	for _, name := range names {
		if files[name], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestOnlyTheHighestKeyCounts (S6): in whatever order commands arrive, the key
// that a unit has obeyed only rises, what is lower is refused by name and moves
// nothing, and in the end the newest command rules.
func TestOnlyTheHighestKeyCounts(t *testing.T) {
	type order struct {
		key   events.OrderKey
		watts int64
		ramp  bool
	}
	all := []order{
		{key(10), 3000, true}, {key(11), 0, false}, {key(11, 1), 2500, true}, {key(12), 700, false},
		{events.OrderKey{Epoch: 2, Sequence: 1}, 1500, true},
	}
	give := func(m *Machine, o order) Refusal {
		if o.ramp {
			return m.Ramp(second(1), Grant{Decider: "d", Key: o.key, Watts: o.watts, Counter: 1, Expires: second(10), Stored: true, InTime: true}).Refused
		}
		return m.Curtail(second(1), "d", o.key, o.watts, Cause{}).Refused
	}
	orders := 0
	var permute func(done, left []order)
	permute = func(done, left []order) {
		for i := range left {
			rest := append(append([]order(nil), left[:i]...), left[i+1:]...)
			permute(append(done[:len(done):len(done)], left[i]), rest)
		}
		if len(left) > 0 {
			return
		}
		orders++
		m := NewMachine(full, failsafe)
		for i, o := range done {
			newest, any := m.Applied()
			before := m.Setpoint()
			refused := give(&m, o)
			older := any && o.key.Compare(newest) < 0
			if older != (refused == RefusedOld) || older && m.Setpoint() != before {
				t.Fatalf("%+v: command %d is %s, %d W after %d W", done, i, refused, m.Setpoint(), before)
			}
			if now, _ := m.Applied(); any && now.Compare(newest) < 0 {
				t.Fatalf("%+v: the key falls to %+v", done, now)
			}
			before = m.Setpoint()
			if again := give(&m, o); again == Obeyed || m.Setpoint() != before {
				t.Fatalf("%+v: a copy of command %d is %s", done, i, again)
			}
		}
		if m.Setpoint() != 1500 {
			t.Fatalf("%+v: %d W in the end", done, m.Setpoint())
		}
	}
	permute(nil, all)
	if orders != 120 {
		t.Fatalf("%d orders", orders)
	}
}

// TestStandsAlone (S10, S13, S15): the machine knows the words of the contract and
// nothing of a bus, a file or a network; and once it hears nothing more it is at
// its failsafe setpoint when its lease is over, or below it where it was told so,
// and stays there.
func TestStandsAlone(t *testing.T) {
	for name, f := range filesHere(t, "*.go") {
		for _, im := range f.Imports {
			path, _ := strconv.Unquote(im.Path.Value)
			foreign := strings.Contains(path, ".") && path != "github.com/ballast-energy/ballast/events"
			if !strings.HasSuffix(name, "_test.go") && (foreign || path == "os" || strings.HasPrefix(path, "net")) {
				t.Errorf("%s imports %s", name, path)
			}
		}
	}

	p := newPanel(t, 2)
	p.Ramp(0, midnight, true, panelRamp(key(1), p.Send(0, []int{0, 1}), full, "u0", "u1"))
	p.Curtail(second(1), &events.CommandCurtail{Decider: "dispatch", Key: key(2), Units: setpoints(40, "u1")})
	for at := second(1); at < second(3*3600); at = at.Add(500 * time.Millisecond) {
		p.Tick(at)
		want := int64(failsafe)
		if at < second(12) {
			want = full
		}
		if p.Setpoint(0) != want || p.Setpoint(1) != 40 {
			t.Fatalf("after %s of silence: %d W and %d W", time.Duration(at), p.Setpoint(0), p.Setpoint(1))
		}
	}
}
