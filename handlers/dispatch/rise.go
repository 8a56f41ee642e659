// SPDX-License-Identifier: Apache-2.0

package dispatch

const (
	// riseParts is into how many parts a span is cut: a rise is measured over
	// the span and at most one part more, from the least of one part to the
	// highest of it and those that follow.
	riseParts = 16
	// riseHalfLife is after how long what was learned counts half.
	riseHalfLife = 7 * 86_400 * second
)

// lowHigh are the extremes of one part.
type lowHigh struct {
	Low  int64 `json:"low"`
	High int64 `json:"high"`
}

// rise learns by how much a load rises within a span: of every part of time the
// rise from its lowest value to the highest within the span that follows. A
// value costs a comparison; the end of a part a few dozen.
type rise struct {
	// Span, ns; 0 switches it off. Quantile that is wanted, ppm.
	Span     int64 `json:"span"`
	Quantile int64 `json:"quantile"`
	// Now is the part that runs until End, elapsed ns, −1 before the first
	// value, and Last the newest value in it.
	Now  lowHigh `json:"now"`
	End  int64   `json:"end"`
	Last int64   `json:"last"`
	// Past parts, oldest first: riseParts of them once there are so many.
	Past []lowHigh `json:"past,omitempty"`
	// Seen is how many rises were counted in all, and HalveAt when what was
	// counted counts half, elapsed ns.
	Seen    int64  `json:"seen"`
	HalveAt int64  `json:"halve_at"`
	Rises   sketch `json:"rises"`
	// Watts is the quantile of what was counted.
	Watts int64 `json:"watts"`
	// Least that Watts is until so many rises were counted that the quantile
	// means something: what was learned within another span.
	Least int64 `json:"least,omitempty"`

	// past stands for Past and the counters in the digest.
	past uint64
}

// reset makes r learn rises within another span anew, unless it does already.
// What was learned so far stays the least until it has: spans only grow, and a
// load rises no less within a longer one.
func (r *rise) reset(span, ppm int64) {
	if r.Span == span && r.Quantile == ppm {
		return
	}
	*r = rise{Span: span, Quantile: ppm, End: -1, Watts: r.Watts, Least: r.Watts}
}

// learned reports whether so many spans have been seen that the quantile means
// something: as many as one rise beyond it is expected in.
func (r *rise) learned() bool {
	return r.Span > 0 && r.Seen >= riseParts*((1_000_000+999_999-r.Quantile)/(1_000_000-r.Quantile))
}

// push takes the load as of now.
func (r *rise) push(now, watts int64) {
	if r.Span == 0 {
		return
	}
	if now >= r.End {
		r.roll(now, watts)
	}
	r.Now.Low, r.Now.High, r.Last = min(r.Now.Low, watts), max(r.Now.High, watts), watts
}

// roll ends the parts that are over at now. Parts without a value held the last
// one; after a silence longer than the span it begins anew.
func (r *rise) roll(now, watts int64) {
	part := max(r.Span/riseParts, 1)
	if r.End < 0 || now-r.End >= r.Span {
		r.Past, r.Now = r.Past[:0], lowHigh{watts, watts}
		r.End = (now/part + 1) * part
		if r.HalveAt == 0 {
			r.HalveAt = now + riseHalfLife
		}
		r.rehashPast()
		return
	}
	for now >= r.End {
		if len(r.Past) == riseParts {
			first := r.Past[0]
			top := max(first.High, r.Now.High)
			for _, p := range r.Past[1:] {
				top = max(top, p.High)
			}
			r.Rises.add(top - first.Low)
			r.Seen++
			r.Past = r.Past[:copy(r.Past, r.Past[1:])]
		}
		r.Past = append(r.Past, r.Now)
		r.Now = lowHigh{r.Last, r.Last}
		r.End += part
	}
	if now >= r.HalveAt {
		r.Rises.halve()
		r.HalveAt = now + riseHalfLife
	}
	if r.learned() {
		r.Least = 0
	}
	r.Watts = max(r.Rises.quantile(r.Quantile), r.Least)
	r.rehashPast()
}

func (r *rise) rehashPast() {
	h := mix2(uint64(r.End), uint64(r.HalveAt))
	for _, p := range r.Past {
		h = mix2(h, mix2(uint64(p.Low), uint64(p.High)))
	}
	r.past = mix2(h, mix2(uint64(r.Seen), r.Rises.sum))
}

// hash of all of it.
func (r *rise) hash() uint64 {
	if r.End < 0 {
		return mix2(uint64(r.Span), uint64(r.Quantile)) + uint64(r.Least)
	}
	return mix2(mix2(r.past, uint64(r.Now.Low)), mix2(uint64(r.Now.High), uint64(r.Last))) + uint64(r.Least)
}

// restored works out what follows from the rest.
func (r *rise) restored() {
	r.Rises.rehash()
	r.rehashPast()
}
