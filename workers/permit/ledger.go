// SPDX-License-Identifier: Apache-2.0

package permit

import "time"

// Instant is a reading of the worker's monotonic clock in nanoseconds since a
// start of its own choosing. It never steps back and keeps running while the
// machine sleeps, if the system offers such a clock.
type Instant int64

// Add returns the instant d later.
func (t Instant) Add(d time.Duration) Instant { return t + Instant(d) }

// Sub returns the time from o to t.
func (t Instant) Sub(o Instant) time.Duration { return time.Duration(t - o) }

// Ledger remembers when each status of a boot was sent, for as long as a lease
// could be counted from it.
type Ledger struct {
	keep  time.Duration
	first uint64 // counter of sent[head]
	head  int
	sent  []Instant
}

// NewLedger forgets an instant once it is older than keep, the longest lease
// that the worker honours.
func NewLedger(keep time.Duration) *Ledger { return &Ledger{keep: keep, first: 1} }

// Send notes that the next status is sent now and returns its counter: 1 for
// the first, then one more each time.
func (l *Ledger) Send(now Instant) uint64 {
	for l.head < len(l.sent) && now.Sub(l.sent[l.head]) > l.keep {
		l.head++
		l.first++
	}
	if l.head > 64 && l.head > len(l.sent)/2 {
		n := copy(l.sent, l.sent[l.head:])
		l.sent, l.head = l.sent[:n], 0
	}
	if n := len(l.sent); n > l.head && now < l.sent[n-1] {
		now = l.sent[n-1] // a clock that steps back gives no longer lease
	}
	l.sent = append(l.sent, now)
	return l.Last()
}

// Last is the counter of the newest status, 0 before the first.
func (l *Ledger) Last() uint64 { return l.first + uint64(len(l.sent)-l.head) - 1 }

// Sent returns when the status with that counter was sent, and false when it
// was not sent or is too old to be remembered.
func (l *Ledger) Sent(counter uint64) (Instant, bool) {
	if counter < l.first || counter > l.Last() {
		return 0, false
	}
	return l.sent[l.head+int(counter-l.first)], true
}
