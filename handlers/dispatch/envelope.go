// SPDX-License-Identifier: Apache-2.0

package dispatch

// envelopeBuckets is into how many parts a window is cut: the peak is
// remembered for the window and at most one part longer.
const envelopeBuckets = 128

// peak is one candidate for the maximum of the window.
type peak struct {
	// Until is the elapsed time from which the value is forgotten, ns.
	Until int64 `json:"until"`
	// Watts seen.
	Watts int64 `json:"watts"`
}

// envelope is the sliding maximum of the AI load: a queue of candidates with
// falling watts, so that a push costs O(1) on average and a look nothing.
type envelope struct {
	// Peaks in order of expiry, watts falling.
	Peaks []peak `json:"peaks,omitempty"`
	// Started is when the first value was pushed, elapsed ns; −1 before.
	Started int64 `json:"started"`

	sum uint64
}

func (p peak) hash() uint64 { return mix2(uint64(p.Until), uint64(p.Watts)) }

// push remembers watts at now for a window of that length, both ns.
func (e *envelope) push(now, window, watts int64) {
	if e.Started < 0 {
		e.Started = now
	}
	e.expire(now)
	part := max(window/envelopeBuckets, 1)
	p := peak{Until: (now/part+1)*part + window, Watts: watts}
	n := len(e.Peaks)
	if n > 0 && e.Peaks[n-1].Watts >= watts && e.Peaks[n-1].Until >= p.Until {
		return
	}
	for n > 0 && e.Peaks[n-1].Watts <= watts {
		n--
		e.sum -= e.Peaks[n].hash()
	}
	e.Peaks = append(e.Peaks[:n], p)
	e.sum += p.hash()
}

// expire forgets what is older than the window.
func (e *envelope) expire(now int64) {
	n := 0
	for n < len(e.Peaks) && e.Peaks[n].Until <= now {
		e.sum -= e.Peaks[n].hash()
		n++
	}
	if n > 0 {
		e.Peaks = e.Peaks[:copy(e.Peaks, e.Peaks[n:])]
	}
}

// peak is the highest value in the window, 0 when it is empty.
func (e *envelope) peak(now int64) int64 {
	e.expire(now)
	if len(e.Peaks) == 0 {
		return 0
	}
	return e.Peaks[0].Watts
}

// at is peak without forgetting anything.
func (e *envelope) at(now int64) int64 {
	for _, p := range e.Peaks {
		if p.Until > now {
			return p.Watts
		}
	}
	return 0
}

func (e *envelope) rehash() {
	e.sum = 0
	for _, p := range e.Peaks {
		e.sum += p.hash()
	}
}
