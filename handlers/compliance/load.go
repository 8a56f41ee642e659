// SPDX-License-Identifier: Apache-2.0

package compliance

// Load is what meters show at a node, W; nil where none tells, or where one
// that is needed is not believed.
type Load struct {
	Total, Mining, AI *int64
}

// LoadAt is the present load at a node, RootNode or "" for the point of
// connection. It knows the nodes of programmes and of live events only; of
// others all is nil.
func (d *Decider) LoadAt(node string) Load {
	if node == nodeName("") {
		node = ""
	}
	i := d.pointOf(node)
	if i < 0 {
		return Load{}
	}
	var l Load
	for k, to := range [kinds]**int64{kindTotal: &l.Total, kindMining: &l.Mining, kindAI: &l.AI} {
		if s := &d.Points[i].Load[k]; s.Known && s.Stale == 0 {
			w := s.Watts
			*to = &w
		}
	}
	return l
}
