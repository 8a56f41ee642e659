// SPDX-License-Identifier: Apache-2.0

// Package settlement is the decider that books energy and money of one site:
// energy.settled and revenue.settled per interval, revenue.accrued per payout
// epoch, all in integers, all from the journal.
//
//	d, err := settlement.New(settlement.Config{})
//	out.Begin(ev)
//	d.Fold(ev, &out) // outputs appear on ticks
//
// # Time
//
// Energy is integrated along the arrival times of the journal. A share belongs
// to the instant at which its verdict was first stored (the arrival in its own
// stream, which the relayed copy carries), so a relay that catches up books
// into the interval in which the pool said yes. Both times are in the journal,
// so a replay gives the same bytes. Time that runs backwards stands still
// until it has caught up; device clocks decide nothing but whether a reading
// is current.
//
// # Energy
//
// A meter's power is held until its next reading, at most until it is stale. A
// value that does not move is booked as it reads: for money a frozen meter
// cannot be told from a steady load, whatever dispatch does for safety. A
// counter that moves again sets the energy of open intervals right.
// Where it has a counter, what the counter advanced by replaces what was held
// since it last moved, back into intervals that are not closed yet. Beyond
// staleness energy is estimated and marked so: the AI load at what the total
// meter leaves for it, else at nameplate; mining by the status of its units;
// house load at its last value. Units that no configured meter sees are always
// estimated, by their status while the agent lives and at their failsafe power
// after its lease; where they say that their power is modelled, it counts as
// modelled mining energy, too, however real their hashing is. When a counter
// comes back over a gap, the energy it proves replaces the estimate, and an
// interval already closed is corrected by a new event. House load that no meter
// sees (house_watts) is an agreed constant, not an estimate.
//
// Of the meters of a group the highest believed one counts: by energy over a
// period if one of them covered all of it, by power from moment to moment
// otherwise. A total meter above the sum of the parts adds the difference to
// the AI load where nothing else sees it, else to house load; below, the parts
// are believed.
//
// A counter is not believed when it jumps further than the meter's range
// allows, and not while over a minute or more it shows less than half of the
// energy that the meter's own power readings add up to. While it stands still
// the power readings count; when it moves again, they give way to it.
//
// Overdrawn energy is the power above the contract over time; energy drawn
// beyond what is contracted in a period always counts as overdrawn, so no term
// of the balance is ever negative and it always closes.
//
// # Money
//
// Nothing is rounded per share. Credits are whole millisatoshi per (pool,
// basis); the remainder over one common denominator is carried from accrual to
// accrual through every change of target, reward, fee and scheme. Shares under
// pplns and solo are counted at value 0: what they bring is known only to the
// pool's statement or the chain. Micro-dollars use the newest market.quote
// of the same world: a practice quote for practice shares, any other quote for
// live and modelled ones; without one they are 0. A price signal counts from the moment it is known, never
// backwards.
//
// # Corrections
//
// An interval closes at the first tick past its end and the grace. The newest
// 48 closed ones (fewer if prices changed more than a few thousand times) stay
// correctable: later shares and proven energy lead to a new energy.settled and
// revenue.settled that name those they reverse and carry the new figures, at
// most once per accrual period. A share for an older interval is booked in the
// current one; energy for an older interval is reported; both raise an alert.
// A gap of the journal longer than 48 intervals is not booked but reported.
//
// Time set back by more than an hour starts over at the new time, with an
// alert; what lies between is then settled twice.
//
// No event carries more than every reader of JSON holds exactly: shares worth
// more than 9·10^15 msat in one interval (only a test chain's own target makes
// them so) are credited in later ones, with an alert. The dollars of one
// interval stop at about 1.1 thousand million each for what energy costs and
// what resale brings, and at 2.25 thousand million for the shares of one basis;
// what is above is not booked. Energy of one use stops at 2 TWh per interval;
// what is above is carried on into the next ones.
//
// # Concurrency
//
// One goroutine per Decider. Deciders share nothing.
package settlement
