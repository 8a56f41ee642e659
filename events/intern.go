// SPDX-License-Identifier: Apache-2.0

package events

// maxInterned bounds an internTable, so that a flood of made-up names costs
// memory once and is then forgotten.
const maxInterned = 1 << 16

// internTable gives equal byte strings one Go string. Not safe for concurrent
// use.
type internTable struct {
	m map[string]string
}

func (t *internTable) get(b []byte) string {
	if s, ok := t.m[string(b)]; ok {
		return s
	}
	if len(b) > maxName {
		return string(b)
	}
	if t.m == nil || len(t.m) >= maxInterned {
		t.m = make(map[string]string, 64)
	}
	s := string(b)
	t.m[s] = s
	return s
}
