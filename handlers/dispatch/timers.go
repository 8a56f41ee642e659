// SPDX-License-Identifier: Apache-2.0

package dispatch

// What meters are waited for.
const (
	// timerRung: the instant at which the rung of a meter can change by its
	// silence.
	timerRung = iota
	// timerAlert: the instant from which its silence is worth an alert.
	timerAlert
	timerKinds
)

// timers is a heap of meters by the instant at which something happens to them:
// the first is due first, and one costs O(log meters) to move.
type timers struct {
	kind int
	heap []*meter
}

func (t *timers) less(a, b *meter) bool {
	if a.due[t.kind] != b.due[t.kind] {
		return a.due[t.kind] < b.due[t.kind]
	}
	return a.index < b.index
}

func (t *timers) put(i int, m *meter) {
	t.heap[i], m.slot[t.kind] = m, i
}

// reset waits for these meters, whose instants are set, and no others.
func (t *timers) reset(ms []*meter) {
	t.heap = append(t.heap[:0], ms...)
	for i, m := range t.heap {
		m.slot[t.kind] = i
	}
	for i := len(t.heap)/2 - 1; i >= 0; i-- {
		t.down(i)
	}
}

// set moves m to another instant.
func (t *timers) set(m *meter, at int64) {
	was := m.due[t.kind]
	if m.due[t.kind] = at; at < was {
		t.rise(m.slot[t.kind])
	} else if at > was {
		t.down(m.slot[t.kind])
	}
}

func (t *timers) rise(i int) {
	m := t.heap[i]
	for i > 0 {
		p := (i - 1) / 2
		if !t.less(m, t.heap[p]) {
			break
		}
		t.put(i, t.heap[p])
		i = p
	}
	t.put(i, m)
}

func (t *timers) down(i int) {
	m := t.heap[i]
	for {
		k := 2*i + 1
		if k >= len(t.heap) {
			break
		}
		if k+1 < len(t.heap) && t.less(t.heap[k+1], t.heap[k]) {
			k++
		}
		if !t.less(t.heap[k], m) {
			break
		}
		t.put(i, t.heap[k])
		i = k
	}
	t.put(i, m)
}

// first is the meter that is due by now, nil when there is none.
func (t *timers) first(now int64) *meter {
	if len(t.heap) == 0 || t.heap[0].due[t.kind] > now {
		return nil
	}
	return t.heap[0]
}

// alertAt is when the silence of m is worth an alert that is not raised yet.
func (m *meter) alertAt() int64 {
	if m.staleAlert {
		return never
	}
	return m.heard + m.gap + m.stale + 1
}

// wait brings the instants of m up to date.
func (d *Dispatch) wait(m *meter) {
	d.rungs.set(m, d.deadline(m))
	d.silences.set(m, m.alertAt())
}

// waitAll does so for every meter.
func (d *Dispatch) waitAll() {
	for _, m := range d.site.meters {
		m.due[timerRung], m.due[timerAlert] = d.deadline(m), m.alertAt()
	}
	d.rungs.reset(d.site.meters)
	d.silences.reset(d.site.meters)
}
