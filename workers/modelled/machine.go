// SPDX-License-Identifier: Apache-2.0

package modelled

import (
	"math/big"
	"math/bits"
	"time"
)

// Fault is how a machine misbehaves, for tests of what relies on machines.
type Fault int

// Faults.
const (
	// FaultNone: it obeys.
	FaultNone Fault = iota
	// FaultIgnores: it acknowledges every order, reports the power it was
	// told, and goes on as before. Only a meter shows it.
	FaultIgnores
	// FaultBroken: it draws nothing and says that it is not healthy.
	FaultBroken
)

// machine is one modelled machine. Times are nanoseconds of the plant's clock.
type machine struct {
	class   *Class
	standby int64
	// off the nameplate: draw and hash rate in parts per million below it,
	// and times of its own.
	trim             int64
	fall, boot, wake time.Duration

	fault Fault
	order int64 // watts told last
	level Level // the level it is set to; zero when off, one that hashes nothing asleep
	// The draw goes in a straight line from one power to the other.
	fromWatts, toWatts   int64
	fallsAt, fallenAt    int64
	bootedAt             int64
	at                   int64 // accounted until
	hashesHigh, hashesLo uint64
	fresh                uint64 // hashes of the present step
}

// trimmed scales a figure of the nameplate to this machine.
func (m *machine) trimmed(v int64) int64 { return v - v*m.trim/1_000_000 }

// watts drawn at time t; before the last change it is the draw just before.
func (m *machine) watts(t int64) int64 {
	switch {
	case t >= m.fallenAt:
		return m.toWatts
	case t <= m.fallsAt:
		return m.fromWatts
	}
	return m.fromWatts + (m.toWatts-m.fromWatts)*(t-m.fallsAt)/(m.fallenAt-m.fallsAt)
}

// megahashes of a gigahash.
const megahashes = 1000

// hashrate at time t in GH/s, which is hashes per nanosecond.
func (m *machine) hashrate(t int64) int64 {
	if t < m.bootedAt {
		return 0
	}
	return m.trimmed(m.level.HashrateGHs)
}

// set orders the machine to draw at most watts from time t on. The account must
// be complete until t.
func (m *machine) set(t, watts int64) {
	m.order = watts
	if m.fault != FaultNone {
		return
	}
	was, now := m.level, m.class.at(watts)
	if now == was && m.toWatts == m.target(now) {
		return
	}
	m.level = now
	switch {
	case was == (Level{}) && now != (Level{}):
		m.bootedAt = t + int64(m.boot)
	case was.sleeps() && !now.sleeps():
		m.bootedAt = max(m.bootedAt, t+int64(m.wake))
	}
	draw, target := m.watts(t), m.target(now)
	m.fromWatts, m.toWatts, m.fallsAt, m.fallenAt = draw, target, t, t
	if target < draw {
		m.fallenAt = t + int64(m.fall)
	}
}

// target is the draw of a level.
func (m *machine) target(l Level) int64 {
	if l == (Level{}) {
		return m.standby
	}
	return m.trimmed(l.Watts)
}

// setFault changes how the machine behaves; healed, it does as it was told last.
func (m *machine) setFault(t int64, f Fault) {
	m.fault = FaultNone
	if f == FaultBroken {
		m.level, m.fromWatts, m.toWatts, m.fallsAt, m.fallenAt = Level{}, 0, 0, t, t
	} else {
		m.set(t, m.order)
	}
	m.fault = f
}

// advance accounts until t and returns the energy since the last call in half
// watt-nanoseconds: the draw is a straight line between bends, so twice the
// energy is a whole number.
func (m *machine) advance(t int64) (energy int64) {
	if t <= m.at {
		return 0
	}
	if m.at < m.fallenAt && m.fallenAt < t {
		energy += (m.watts(m.at) + m.toWatts) * (m.fallenAt - m.at)
		energy += 2 * m.toWatts * (t - m.fallenAt)
	} else {
		energy = (m.watts(m.at) + m.watts(t)) * (t - m.at)
	}
	if begin := max(m.at, m.bootedAt); begin < t {
		n := uint64(m.hashrate(t)) * uint64(t-begin)
		m.fresh += n
		var carry uint64
		m.hashesLo, carry = bits.Add64(m.hashesLo, n, 0)
		m.hashesHigh += carry
	}
	m.at = t
	return energy
}

// hashes since the beginning, decimal.
func (m *machine) hashes() string {
	n := new(big.Int).SetUint64(m.hashesHigh)
	n.Lsh(n, 64)
	return n.Or(n, new(big.Int).SetUint64(m.hashesLo)).String()
}
