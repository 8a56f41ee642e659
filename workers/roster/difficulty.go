// SPDX-License-Identifier: Apache-2.0

package roster

import (
	"math"
	"strconv"
	"strings"
)

// HashesPerDifficulty1 is the expected number of hashes per share of
// difficulty 1.
const HashesPerDifficulty1 = 4295032833

// Rates says how many shares per second are wanted.
type Rates struct {
	// PerAgent of a real agent; AllReal and AllModelled together at most.
	PerAgent, AllReal, AllModelled float64
}

// Scale measures out difficulties for the roster as it is now.
type Scale struct {
	want      Rates
	real      int
	modelled  float64 // capacity, hashes per second
	announced bool    // all modelled agents have
}

// Scale counts the agents once, for any number of difficulties.
func (r *Roster) Scale(want Rates) Scale {
	s := Scale{want: want, announced: true}
	for _, o := range r.agents {
		if o.Modelled {
			s.modelled += o.Capacity
			s.announced = s.announced && o.Announced
		} else {
			s.real++
		}
	}
	return s
}

// Difficulty of an agent's next job. Modelled agents share one difficulty, so
// that together they find AllModelled shares per second at full power, however
// many they are.
func (s Scale) Difficulty(m *Miner) string {
	if m.Modelled {
		d := s.modelled / s.want.AllModelled / HashesPerDifficulty1
		if !s.announced {
			// A pool that starts after a fleet has announced itself hears it
			// again within half a minute. Until then too hard costs nothing,
			// too easy costs a flood of shares.
			d = max(d, unannouncedDifficulty)
		}
		return DifficultyText(d)
	}
	perSecond := min(s.want.PerAgent, s.want.AllReal/float64(max(s.real, 1)))
	return DifficultyText(m.Capacity / perSecond / HashesPerDifficulty1)
}

// Bounds of share difficulties.
const (
	minDifficulty = 1e-6
	maxDifficulty = 1e15
	// defaultDifficulty while nothing is known of an agent: a fast core finds a
	// share a second, a server with a hundred of them no flood.
	defaultDifficulty = 0.01

	// unannouncedDifficulty of modelled work while some fleet's size is not
	// known: a petahash per second finds a share in four seconds.
	unannouncedDifficulty = 1e6
)

// DifficultyText is d in three significant digits, as exact decimal text
// between 0.000001 and 10^15; what is no difficulty gives a moderate one.
func DifficultyText(d float64) string {
	if !(d > 0) {
		d = defaultDifficulty
	}
	d = min(max(d, minDifficulty), maxDifficulty)
	if d >= 1000 {
		// Whole numbers with three digits that count.
		unit := math.Pow(10, math.Floor(math.Log10(d))-2)
		return strconv.FormatFloat(math.Round(d/unit)*unit, 'f', 0, 64)
	}
	digits := 2 - int(math.Floor(math.Log10(d)))
	text := strconv.FormatFloat(d, 'f', max(digits, 0), 64)
	if strings.Contains(text, ".") {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	return text
}
