// SPDX-License-Identifier: Apache-2.0

package dispatch

import "testing"

// TestPublishedHeadroomSurvivesSnapshots: a site that is one node publishes its
// headroom when that has moved, whether or not it was restored meanwhile.
func TestPublishedHeadroomSurvivesSnapshots(t *testing.T) {
	s := newStranger(t)
	c := (&world{}).config()
	c.Policy.FirmSeconds = []int64{300}
	s.fold("site", c)
	before := s.d.StateHash()
	for range 2 * publishEvery {
		s.tick()
	}
	if !s.d.root.said.Once {
		t.Fatal("nothing was published")
	}
	r := restored(t, s.d)
	if r.root.said != s.d.root.said {
		t.Errorf("%+v was published, restored %+v", s.d.root.said, r.root.said)
	}
	was := s.d.StateHash()
	if s.d.root.said.Headroom++; was == before || s.d.StateHash() == was {
		t.Error("what was published is not in the digest")
	}
}
