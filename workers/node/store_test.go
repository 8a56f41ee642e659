// SPDX-License-Identifier: Apache-2.0

package node

import (
	"testing"

	"github.com/ballast-energy/ballast/hashengine"
)

func TestATemplateThatComesBackIsTheLastToBeForgotten(t *testing.T) {
	s := newStore(3)
	named := func(n byte) *template {
		return &template{branches: []hashengine.Hash{{n}}, txs: &transactions{}, height: int64(n)}
	}
	for _, n := range []byte{1, 2, 3, 1, 4, 5} {
		s.keep(named(n))
	}
	for n, want := range map[byte]bool{1: true, 2: false, 3: false, 4: true, 5: true} {
		if got := s.find(hashengine.Hash{}, named(n).branches) != nil; got != want {
			t.Errorf("template %d is kept: %t", n, got)
		}
	}
	if len(s.order) != 3 || len(s.kept) != 3 {
		t.Errorf("%d in order, %d kept", len(s.order), len(s.kept))
	}
}
