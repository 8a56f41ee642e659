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
// accrual through every change of target, reward, fee and scheme. A share is
// paid by the payout of its job, which its verdict carries: one accepted after
// a retarget, a halving or a change of fee for a job from before is paid as
// that job was.
//
//	fpps    the payout's reward: subsidy and the pool's share of fees
//	pps     the payout's reward, into which gateways write the subsidy alone
//	pplns   counted at 0; the pool's statement gives the shares their value
//	solo    counted at 0; the whole coinbase is booked when the block matures
//
// A local share, below the upstream's difficulty, is counted as accepted and
// proves energy; it is worth nothing and no pool hears of it.
//
// Micro-dollars use the newest market.quote of the same world: a practice quote
// for practice shares, any other quote for live and modelled ones, never one of the
// network alone; without one they are 0. A price signal counts from the moment it is known, never
// backwards.
//
// # Forgone
//
// curtailment.settled says of every interval what units could have hashed and
// did not: nameplate power less drawn power over time, both by the units' own
// word, on one line per basis, reason and grid signal. The reason is the one
// that the unit gives in worker.status, so no watt-hour is on two lines:
//
//	grid-curtail, emergency, …  the command that set its setpoint, by name of
//	                            the signal, until another command sets it
//	headroom, economics, …      likewise, without a signal
//	available                   on its way up: the ramp budget
//	lease                       its permit ran out, or its agent is silent: for
//	                            an hour, after which it is not waited for
//	local, worker, boot         a person on site; ill, and whatever it is told
//	                            until it is well; no permit yet
//	machine                     permitted full power, it draws less: starting,
//	                            without work, better than its nameplate
//	unsaid                      its agent does not say
//
// A command counts until another one sets the unit: what a machine does not hash
// that waits for room when a signal has ended is that signal's still.
//
// Hashes are that energy at the efficiency announced; of each unit the fraction
// of a hash is carried. They are worth reward / W(T) less the fee, by the payout
// of the newest accepted share of the basis when the interval ends, under any
// scheme, rounded down (on chains for tests, where a share is harder than a
// block, reward / work of a share: it is worth a reward at most); the energy would have cost the price in force, rounded
// up. Neither is in any revenue.settled. A real unit is of the basis of its
// shares; before the first one was accepted, of that of the site's newest.
//
// The event comes when its interval closes and is never corrected: nothing that
// arrives later says what a unit drew then. When the journal has lost what it
// rests on it is reversed and booked anew, as everything is. At most 256 lines:
// of more signals those that came last are booked under the reason alone, with
// an alert. Units of more than 10 GW together are not looked at.
//
// # Blocks
//
// Under solo block.matured books the coinbase with one revenue.accrued that
// names the block: no shares, From the instant at which the block was first
// said to be mature, Until a nanosecond later. It happens once per block hash,
// however many gateways say it. block.orphaned reverses the booking, if there
// is one, by an event with the sign turned, in the interval in which it comes.
// block.matured after that books again. block.found books nothing. The newest
// 4096 blocks are remembered; an older one that is orphaned must be reversed by
// hand.
//
// # Statements
//
// pool.statement is answered by revenue.reconciled, which sets it beside what
// was booked for shares of the same pool and basis accepted in its span. It is
// answered once the span and the grace are over; another with the same id and
// pool folds to nothing. The books then follow it:
//
//   - Shares without a verdict that it names become accepted, at the instant of
//     the span nearest to when they were lost and by the payout that their
//     gateway had last had a share accepted under, or rejected; each once, as a
//     correction of the interval that counted it. Where that is final the
//     present interval takes them over, and its count of unknown shares may
//     fall below 0. The newest 16384 unknown shares are remembered; one that is
//     reported lost only after the answer stays unknown.
//   - What it states beyond our own sum is booked in the present interval, as a
//     revenue.accrued without shares that names the statement and says why
//     (Variance); what takes something off names the newest accrual of the span
//     as the one it reverses. Shares under pplns get their value so, which is no
//     difference.
//   - Shares credited later for the span, and blocks taken back in it, lead to
//     another answer with the new figures, at most once per accrual period, and
//     to a variance that keeps the sum at what was stated.
//
// Statements of one pool and basis must not overlap. For them the sums of the
// newest 16384 accrual windows with shares in them are kept, of all pools
// together: eleven days of one pool at an accrual a minute. A span that reaches
// back further, or before the beginning of a journal that was trimmed, that
// overlaps another or divides a window with shares on both sides is refused
// with an alert and moves nothing. 4096 statements are remembered; a pool's
// spans must begin after those forgotten.
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
