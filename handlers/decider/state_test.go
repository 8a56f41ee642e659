// SPDX-License-Identifier: Apache-2.0

package decider_test

import (
	"strings"
	"testing"

	"github.com/ballast-energy/ballast/handlers/decider"
)

// What is stored in snapshots already must be read for ever: the bytes are part
// of the contract.
func TestStateOfOneIdentityOnly(t *testing.T) {
	type state struct{ Watts int64 }
	mine := decider.Identity{Name: "toy", Version: "2", ConfigHash: "aa"}
	b, err := decider.EncodeState(mine, &state{Watts: 7})
	if want := `{"Decider":"toy","Version":"2","ConfigHash":"aa","State":{"Watts":7}}`; err != nil || string(b) != want {
		t.Fatalf("%s, %v; want %s", b, err, want)
	}
	var got state
	if err := decider.DecodeState(mine, b, &got); err != nil || got.Watts != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		id   decider.Identity
		b    string
		want string
	}{
		"another decider":       {decider.Identity{Name: "other", Version: "2", ConfigHash: "aa"}, string(b), "other: snapshot is of toy"},
		"another version":       {decider.Identity{Name: "toy", Version: "3", ConfigHash: "aa"}, string(b), "this is toy version 3"},
		"another configuration": {decider.Identity{Name: "toy", Version: "2", ConfigHash: "bb"}, string(b), "configuration aa, this is toy version 2 configuration bb"},
		"damaged":               {mine, string(b[1:]), "toy: decode snapshot: "},
		"of another shape":      {mine, `{"State":{"Watts":"many"}}`, "toy: decode snapshot: "},
	} {
		if err := decider.DecodeState(c.id, []byte(c.b), &state{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
	if _, err := decider.EncodeState(mine, func() {}); err == nil || !strings.HasPrefix(err.Error(), "toy: encode snapshot: ") {
		t.Errorf("a state that is no data: %v", err)
	}
}
