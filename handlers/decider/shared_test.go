// SPDX-License-Identifier: Apache-2.0

package decider_test

import (
	"reflect"
	"testing"

	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/decider/decidertest"
)

// TestSharedMessagesFoldAlike: runners that share messages, one of them in
// another epoch from some message on, do what each would do alone.
func TestSharedMessagesFoldAlike(t *testing.T) {
	var ms []*decider.Raw
	for seq := uint64(1); seq <= 40; seq++ {
		switch seq % 5 {
		case 1:
			ms = append(ms, raw(t, seq, "operator", signal(), seq/5+1))
		case 2:
			m := reading(t, seq, 7_000)
			m.Data = []byte("{")
			ms = append(ms, m)
		case 3:
			ms = append(ms, ms[len(ms)-2])
			again := *ms[len(ms)-1]
			again.Sequence, ms[len(ms)-1] = seq, &again
		default:
			ms = append(ms, reading(t, seq, int64(seq)*700))
		}
	}
	opening := decider.Opening{Epoch: 2, After: 20}
	alone, together := make([]*decider.Runner, 3), make([]*decider.Runner, 3)
	for i := range alone {
		alone[i], together[i] = newRunner(t, decidertest.New("v")), newRunner(t, decidertest.New("v"))
		if i == 1 {
			alone[i].Opened(opening)
			together[i].Opened(opening)
		}
	}
	for _, m := range ms {
		shared := &decider.Shared{Raw: *m}
		for i := range alone {
			want, err := alone[i].Feed(m)
			if err != nil {
				t.Fatal(err)
			}
			got, err := together[i].FeedShared(shared)
			if err != nil {
				t.Fatal(err)
			}
			if got.Outcome != want.Outcome || !reflect.DeepEqual(got.Event, want.Event) || !reflect.DeepEqual(got.Outputs, want.Outputs) {
				t.Fatalf("runner %d at %d: %+v, alone %+v", i, m.Sequence, got, want)
			}
			if a, b := together[i].Checkpoint(), alone[i].Checkpoint(); !reflect.DeepEqual(a, b) {
				t.Fatalf("runner %d at %d: %+v, alone %+v", i, m.Sequence, a, b)
			}
		}
	}
	if alone[0].Chain() == alone[1].Chain() || alone[0].Counts().Repeated == 0 || alone[0].Counts().Unusable == 0 {
		t.Errorf("the messages show too little: %+v", alone[0].Counts())
	}
	if _, err := together[0].FeedShared(&decider.Shared{Raw: *ms[0]}); err == nil {
		t.Error("a shared message is folded twice")
	}
}
