// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math/bits"
	"slices"
)

// sketch counts values in buckets that are at most a thirty-second wide of what
// they hold, so that it stays small whatever comes: values up to 1 TW need fewer
// than 1,300. Integers only: every machine finds the same quantile.
type sketch struct {
	// Buckets that were ever hit, rising.
	Buckets []bucketCount `json:"buckets,omitempty"`
	// Total of their counts.
	Total uint64 `json:"total,omitempty"`

	sum uint64
}

// bucketCount is how often a bucket was hit, in parts of oneHit.
type bucketCount struct {
	Bucket int    `json:"bucket"`
	Count  uint64 `json:"count"`
}

// oneHit is what one value counts when it comes, so that it can be halved a few
// times before it is nothing.
const oneHit = 256

// bucketOf is the bucket of a value, 0 and up: one by one to 63, then thirty-two
// to every doubling.
func bucketOf(v int64) int {
	if v < 64 {
		return int(max(v, 0))
	}
	e := bits.Len64(uint64(v)) - 6
	return 32*e + int(v>>e)
}

// highestIn is the highest value of a bucket.
func highestIn(b int) int64 {
	if b < 64 {
		return int64(b)
	}
	e := b/32 - 1
	return int64(b-32*e+1)<<e - 1
}

func (b bucketCount) hash() uint64 { return mix2(uint64(b.Bucket)+1, b.Count) }

// add counts a value.
func (s *sketch) add(v int64) {
	b := bucketOf(v)
	i, ok := slices.BinarySearchFunc(s.Buckets, b, func(c bucketCount, b int) int { return c.Bucket - b })
	if !ok {
		s.Buckets = slices.Insert(s.Buckets, i, bucketCount{Bucket: b})
	} else {
		s.sum -= s.Buckets[i].hash()
	}
	s.Buckets[i].Count += oneHit
	s.Total += oneHit
	s.sum += s.Buckets[i].hash()
}

// halve lets everything seen so far count half.
func (s *sketch) halve() {
	s.Total = 0
	for i := range s.Buckets {
		s.Buckets[i].Count /= 2
		s.Total += s.Buckets[i].Count
	}
	s.Buckets = slices.DeleteFunc(s.Buckets, func(b bucketCount) bool { return b.Count == 0 })
	s.rehash()
}

// quantile is a value that at most 1 − ppm ÷ 1,000,000 of what was counted is
// above, 0 when nothing was.
func (s *sketch) quantile(ppm int64) int64 {
	hi, lo := bits.Mul64(s.Total, uint64(1_000_000-ppm))
	may, _ := bits.Div64(hi, lo, 1_000_000)
	above := uint64(0)
	for i := len(s.Buckets) - 1; i >= 0; i-- {
		if above += s.Buckets[i].Count; above > may {
			return highestIn(s.Buckets[i].Bucket)
		}
	}
	return 0
}

func (s *sketch) rehash() {
	s.sum = 0
	for _, b := range s.Buckets {
		s.sum += b.hash()
	}
}
