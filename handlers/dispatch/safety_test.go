// SPDX-License-Identifier: Apache-2.0

package dispatch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/handlers/scenario"
)

// safetyRule is one of the sixteen rules that no change may break, and what
// proves it.
type safetyRule struct {
	// Rule and what it demands, in short.
	Rule, Demands string
	// Stories under testdata, and test functions of this package, that fail when
	// this side breaks the rule.
	Stories, Tests []string
	// Elsewhere are tests of other packages that prove the rest of it, each as
	// "directory TestName"; a test of the repository sees that they exist.
	Elsewhere []string
}

// safetyRules is what the dispatcher does for each rule. The worker's half has a
// table like this one.
var safetyRules = []safetyRule{
	{Rule: "S1", Demands: "without a permit that lives a unit draws its failsafe power at most",
		Stories:   []string{"no-config-no-power", "restarted-agent", "replaced-agent", "leaving-agent"},
		Elsewhere: []string{"workers/permit TestMachineRules", "workers/permit TestStorm", "workers/agent TestAgentFallsToFailsafeWithItsLeaseAndLeavesItOnRequestOnly"}},
	{Rule: "S2", Demands: "leases are short, renewed often, with every setpoint, and a renewal raises nobody",
		Stories:   []string{"renewals", "short-lease", "late-status", "large-agent"},
		Tests:     []string{"TestRandomJournals"},
		Elsewhere: []string{"workers/permit TestPanelCountsLeasesFromTheStatus", "workers/permit TestPanelOldReplicaCannotKeepALeaseAlive", "workers/permit TestPanelDescribes"}},
	{Rule: "S3", Demands: "the lowest limit holds, whoever set it, and nothing delays a reduction",
		Stories:   []string{"lowest-limit-rules", "ai-takes-power-back", "local-limit", "tree-deepest-and-highest", "config-lowers-limit", "suspect-reading", "unapplied-reduction", "starts-at-once", "starts-per-day", "hysteresis"},
		Tests:     []string{"TestRandomJournals", "TestProgrammesOnlyLower"},
		Elsewhere: []string{"workers/permit TestMachineRules", "handlers/host TestReductionsPassWhatWaits"}},
	{Rule: "S4", Demands: "a raise needs all of: fresh meters up to the root, this epoch, room beyond the reserve, budget, rest and restart delay",
		Stories: []string{"fresh-meter-to-rise", "new-epoch", "tree-lost-ramp", "min-off", "ramp-tokens", "clock-jumps-forward"},
		Tests:   []string{"TestNothingRisesUnless", "TestRandomJournals"}},
	{Rule: "S5", Demands: "what is not measured counts as full load in the end",
		Stories: []string{"meter-silent", "bad-readings", "stuck-meter", "house-load", "tree-stale-branch", "tree-stale-parent", "tree-unmetered-parent", "clock-set-back"},
		Tests:   []string{"TestMissingDrawCountsAbove", "TestRedundancyNobodyKnows", "TestTreesThatCannotBeGiveNoPower"}},
	{Rule: "S6", Demands: "keys only rise, are the same at every replica, and begin anew only where the journal may have broken",
		Stories:   []string{"new-epoch"},
		Tests:     []string{"TestKeysOnlyRise", "TestSameJournalSameOutputs"},
		Elsewhere: []string{"workers/permit TestOnlyTheHighestKeyCounts", "handlers/host TestReplicasStoreOneCopy", "handlers/decider TestEpochBoundaryIsWhatTheOpeningSays"}},
	{Rule: "S7", Demands: "a reduction is done when meters show it; until then somebody is asked, in steps that have deadlines",
		Stories: []string{"metered-curtailment", "metered-late", "metered-never", "metered-at-the-rack", "escalation-by-meter", "escalation-by-word", "escalation-dead-agent", "escalation-outlet-fails", "escalation-page", "disobedient-unit", "says-nothing-draws-three-kilowatts", "noisy-load-hides-nothing"},
		Tests:   []string{"TestRandomJournals"}},
	{Rule: "S8", Demands: "room is kept for the largest rise that may come before mining has made way, and for every job that may return",
		Stories: []string{"job-returns", "job-tells-lies", "reserve-envelope", "ride-through-envelope"},
		Tests:   []string{"TestRiseLearns", "TestLongerSpanForgetsNoRise", "TestRecordedLoad"}},
	{Rule: "S9", Demands: "power comes back at a bounded rate, spread, and after a rest",
		Stories: []string{"ramp-tokens", "restore-in-steps", "tree-ramp-tokens", "start-jitter", "starts-at-once", "failsafe-and-back", "programme-recovery"},
		Tests:   []string{"TestRefill"}},
	{Rule: "S10", Demands: "silence ends in failsafe, and only a command that knows of it leads out",
		Stories:   []string{"failsafe-and-back"},
		Elsewhere: []string{"workers/permit TestMachineRules", "workers/agent TestBusLossAndReturn"}},
	{Rule: "S11", Demands: "who goes before whom is data, and every decision says whose word it was",
		Stories: []string{"precedence-is-data", "explain-emergency", "lowest-limit-rules", "who-may-cancel", "stop-needs-a-person", "economics-never-raises"}},
	{Rule: "S12", Demands: "every command has a cause, a decider and a decision, and a replay gives it again",
		Stories:   []string{"explain-rack-limit", "explain-stale-meter", "explain-emergency"},
		Tests:     []string{"TestEveryCommandIsExplained", "TestSameJournalSameOutputs"},
		Elsewhere: []string{"handlers/audit TestVerifyFindsForgeries", "handlers/host TestOneHostPublishesWhatTheFoldSays"}},
	{Rule: "S13", Demands: "money moves no limit, and the last line of defence needs nobody",
		Stories:   []string{"economics-never-raises", "no-quote-no-run"},
		Tests:     []string{"TestMoneyMovesNoLimit"},
		Elsewhere: []string{"workers/permit TestStandsAlone", "workers/agent TestBusLossAndReturn"}},
	{Rule: "S14", Demands: "leases are spans of a clock that never jumps, decisions know journal time alone, and clocks that disagree are reported",
		Stories:   []string{"clock-skew", "clock-jumps-forward", "clock-jumps-back", "window-survives-clock-jump", "restore-survives-clock-jump", "programme-ramp-clock-jump"},
		Tests:     []string{"TestSameJournalSameOutputs"},
		Elsewhere: []string{". TestDecidersArePure", "workers/permit TestLedgerForgets", "workers/agent TestLeaseEndsWhileTheMachineSleeps", "handlers/host TestTickGapRaisesOneAlert"}},
	{Rule: "S15", Demands: "an instruction that was received is carried out although nobody repeats it; starts and returns are spread",
		Stories:   []string{"scheduled-curtail", "programme-silence-holds", "programme-ramp-before-window", "start-jitter", "restore-in-steps"},
		Tests:     []string{"TestInstructionsOutliveTheirReader"},
		Elsewhere: []string{"workers/permit TestStandsAlone"}},
	{Rule: "S16", Demands: "a dip or a lost reading sheds nothing, a dead meter only what hangs with it, and nothing comes back at once",
		Stories: []string{"ride-through-sag", "ride-through-silence", "ride-through-envelope", "missed-reading", "tree-ride-through", "tree-stale-branch", "two-meters-of-one-load", "restore-in-steps"}},
}

// TestSafetyRules plays the stories of each rule under its name.
func TestSafetyRules(t *testing.T) {
	tests := testsHere(t)
	for _, r := range safetyRules {
		t.Run(r.Rule, func(t *testing.T) {
			for _, name := range r.Tests {
				if !tests[name] {
					t.Errorf("%s (%s) is to be proven by %s, which does not exist", r.Rule, r.Demands, name)
				}
			}
			for _, name := range r.Stories {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					if err := scenario.RunFile("testdata/"+name+".scenario", build); err != nil {
						t.Errorf("%s: %s\n%v", r.Rule, r.Demands, err)
					}
				})
			}
		})
	}
}

// testsHere are the test functions of this directory.
func testsHere(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

// mayRise is a story in which everything holds that a raise needs: the machine
// that a curtailment stopped is raised as soon as that ends, at 20.5 s.
const mayRise = `
config limit 100 kW, ai nameplate 60 kW, reserve 5 kW, min off 5s, ramp 10 kW/s, burst 20 kW, restart delay 5s
config node pdu limit 60 kW, ai nameplate 30 kW, agent w
config meter site measures ai, every 1s, stale 5s, range 0 W to 120 kW
config meter rack measures ai at pdu, every 1s, stale 5s, range 0 W to 60 kW
at 0.5s worker w announces 20 kW, follows
from 0s every 1s until 8s meter site reads 30 kW
from 9s every 1s until 20s meter site reads 30 kW
from 0s every 1s until 8s meter rack reads 10 kW
from 9s every 1s until 20s meter rack reads 10 kW
at 9s expect power w 20 kW
at 10.5s signal curtail to 0 W for 10s id c
at 19s expect power w 0 W
`

// TestNothingRisesUnless takes one condition of a raise away after the other.
func TestNothingRisesUnless(t *testing.T) {
	tests := map[string]struct{ was, is, more string }{
		"a meter of its own node is fresh": {was: "from 9s every 1s until 20s meter rack reads", is: "from 9s every 1s until 14s meter rack reads"},
		"the site's meter is fresh":        {was: "from 9s every 1s until 20s meter site reads", is: "from 9s every 1s until 14s meter site reads"},
		"readings are good":                {more: "from 15s every 1s until 20s meter rack reads 10 kW quality bad", was: "until 20s meter rack", is: "until 14s meter rack"},
		"the epoch is that of its meters":  {more: "at 20.4s epoch 2"},
		"the clock has not jumped":         {more: "at 20.4s clock jumps forward 1m"},
		"its node has room":                {was: "from 9s every 1s until 20s meter rack reads 10 kW", is: "from 9s every 1s until 20s meter rack reads 45 kW"},
		"the site has room":                {was: "from 9s every 1s until 20s meter site reads 30 kW", is: "from 9s every 1s until 20s meter site reads 81 kW"},
		"the reserve is kept":              {more: "at 11s configure reserve 60 kW"},
		"the ramp has budget":              {was: "ramp 10 kW/s", is: "ramp 100 W/s"},
		"it has rested":                    {was: "min off 5s", is: "min off 60s"},
		"the restart delay is over":        {was: "from 9s every 1s until 20s meter rack", is: "from 18s every 1s until 20s meter rack"},
		"the limit is over":                {more: "at 15s signal curtail to 10 kW for 1m id d"},
		"nobody on site holds it":          {more: "at 20.2s worker w reports power 0 W setpoint 0 W applied local 0 W"},
		"it is healthy":                    {more: "at 20.2s worker w reports power 0 W setpoint 0 W applied unhealthy"},
		"it is heard":                      {more: "at 12.5s worker w falls silent"},
		"the clock ticks":                  {more: "at 19.5s ticks stop"},
	}
	play := func(t *testing.T, text string) {
		t.Helper()
		s, err := scenario.Parse("story", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Play(build); err != nil {
			t.Error(err)
		}
	}
	play(t, mayRise+"from 20.5s to 22s expect ramp w to 20 kW\n")
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(mayRise, c.was) {
				t.Fatalf("nothing reads %q", c.was)
			}
			play(t, strings.Replace(mayRise, c.was, c.is, 1)+c.more+"\nfrom 20.1s to 22s expect no ramp\n")
		})
	}
}
