// SPDX-License-Identifier: Apache-2.0

package settlement

import (
	"math/big"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/settlement/energy"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// state is everything that influences later outputs, in a form that encodes
// to the same bytes wherever the same journal was folded: no maps.
type state struct {
	Site        string
	Correctable int
	// Now is the instant up to which time has been folded, Unix ns.
	Now   int64
	Chain uint64

	Config *terms

	// Layouts that some period still refers to, the newest last.
	Layouts []*layout
	// Flows, Meters of the newest layout.
	Flows  []flow
	Meters []meter
	// UnitWatts is, per account, what its units say they draw.
	UnitWatts []int64
	Agents    []agent
	Units     []unit

	// Kinds is the power now by what it is for, W, indexed by kind.
	Kinds [kinds]int64
	// StaleGroups, and of them AI and total ones.
	StaleGroups, StaleAI, StaleTotal int
	Use                              use

	Periods     []*period
	FirstPeriod uint64 // id of Periods[0]
	Intervals   []*interval
	NextAccrual int64
	// Early collects shares from before the first configuration.
	Early       *interval
	Carry       carries
	WitnessLeft big.Int // numerator over the witness denominator

	Prices     []price
	PriceNow   int64
	PriceOrder uint64

	Accounts                 []purse
	QuoteLive, QuotePractice int64
	Seen                     seen
	Alerts                   []alert

	forgone

	// Since is from when on the journal was folded: 0 is its beginning.
	Begun      bool
	Since      int64
	Gateways   []gateway
	Unknown    []unknown // oldest first
	Cells      []cell    // by end and purse
	Statements []statement
	Blocks     []block
}

// terms are the parts of site.config that settlement uses, bounded.
type terms struct {
	Limit, Contracted, Nameplate, House int64
	Interval, Grace, Accrual            int64 // ns
	AgentHold                           int64 // ns of silence after which units are at failsafe
	Price                               int64
	Indexed, Resale                     bool
	FeePPM                              int64
	Scheme                              events.Scheme
	// Covered meters, by id: what they see, a meter further up the power tree
	// sees, too, and that one counts.
	Covered []cover `json:",omitempty"`
}

// cover names a covered meter and the one that counts for it.
type cover struct{ Meter, By string }

// kind is what a meter sees.
type kind uint8

const (
	kindMining kind = iota
	kindAI
	kindHouse
	kindTotal
	kinds
)

// Accounts 0 and 1 of every layout are the units that no meter sees, real and
// modelled.
const (
	accountUnits = iota
	accountUnitsModelled
	firstGroup
)

// layout says what the accounts of a period are: groups of meters first, then
// the single members of groups of several meters.
type layout struct {
	ID    uint64
	Slots []slot
	// Groups is how many accounts are not members.
	Groups   int
	HasAI    bool
	HasTotal bool
}

// slot is one account of a layout.
type slot struct {
	Kind kind
	// Members are the accounts of a group of several meters.
	Members []int32 `json:",omitempty"`
}

// account is the energy of one slot in one period.
type account struct {
	Energy energy.Amount `json:"e"`
	// Estimated and Modelled parts of it.
	Estimated energy.Amount `json:"x"`
	Modelled  energy.Amount `json:"m"`
	// EstimatedNanos of the period rest on no reading.
	EstimatedNanos int64 `json:"n"`
}

// flow is what one account draws now.
type flow struct {
	Watts               int64
	Estimated, Modelled bool
	// Stale: no meter of this group is believed.
	Stale bool
	// Since is up to when it has been booked, Unix ns.
	Since int64
}

// use is the state of the whole site now.
type use struct {
	Over, ByMining bool
	OverdrawWatts  int64
	Since          int64
}

// period is a stretch of one interval with one price and one layout.
type period struct {
	Interval   uint64
	Layout     uint64
	Start, End int64
	Price      int64
	// PriceTime is ∫ price dt (as power would be); it matters where Mixed:
	// the price changed too often to cut every time.
	PriceTime             energy.Amount
	PriceSince            int64
	Mixed                 bool
	Resale                bool
	Contracted, House     int64
	Overdraw              energy.Amount
	Accounts              []account
	OverNanos, ByMiningNs int64
}

// interval is one settlement interval.
type interval struct {
	ID         uint64
	Start, End int64
	// First and Last period ids.
	First, Last   uint64
	Closed, Dirty bool
	Totals        [bases]totals
	Pending       []pending
	Witness       work.Witness
	Booked        figures
	Exact         exacts
	WitnessBooked big.Int // numerator counted into Booked
	EnergyID      string
	RevenueID     string
	// Forgone is what its units did not use, from its end until it closes.
	Forgone *events.CurtailmentSettled `json:",omitempty"`
}

// totals of one basis.
type totals struct {
	Accepted, Rejected, Unknown int64
	Millisats, Microusd         int64
}

const (
	basisLive = iota
	basisPractice
	basisModelled
	bases
)

var basisNames = [bases]events.Basis{events.BasisLive, events.BasisPractice, events.BasisModelled}

func basisIndex(b events.Basis) (int, bool) {
	for i, n := range basisNames {
		if n == b {
			return i, true
		}
	}
	return 0, false
}

// pending are the shares of one payout epoch in one accrual window that have
// not been credited.
type pending struct {
	Payout      events.Payout
	From, Until int64
	// First and Last acceptance.
	First, Last int64
	Sum         work.Sum
	// Worth is false under schemes that pay nothing for a share as such, and
	// for terms that cannot be valued.
	Worth bool
	epoch *work.Epoch
}

// purse is the remainder owed by one pool under one basis.
type purse struct {
	Pool  string
	Basis int
	Carry big.Int
	// Terms of the shares credited last.
	Terms events.Payout
	// Forgotten is up to when sums of its shares may have been dropped, Stated
	// up to when answered statements have been, Unix ns.
	Forgotten, Stated int64
}

// exacts are the terms of a balance before rounding.
type exacts struct {
	Contracted, Overdrawn, AI, House, Mining, Unsold, Estimated, Modelled energy.Amount
}

// carries are the roundings not booked yet, per term.
type carries = exacts

// figures are the terms of a balance as booked, mWh, and the money of the
// interval, µ$.
type figures struct {
	Contracted, Overdrawn, AI, House, Mining, Resold, Unused int64
	Estimated, Modelled, Witness                             int64
	OverMillis, ByMiningMillis                               int64
	Cost, Resale, MeanPrice                                  int64
	Totals                                                   [bases]totals
}

// index is what can be rebuilt from the state.
type index struct {
	meterOf   map[string]int32
	meterAt   []int32   // of an account: the meter booked there, or -1
	members   [][]int32 // of a group: its meters
	unitOf    map[string]int32
	agentOf   map[string]int32
	purseOf   map[purseKey]int32
	gatewayOf map[string]int32
	idleOf    map[idleKey]int32 // of the lines of the present interval
	// lastBound is the latest end of a span that was stated.
	lastBound int64
	cur       *period
	curLayout *layout
	// Instants at which the passage of time alone changes something.
	nextBreak, nextStale, nextSilent, nextPrice int64
	difficulty                                  lastDifficulty
	seenAt                                      map[shareKey]struct{}
	spare                                       [][]account
}

type purseKey struct {
	pool  string
	basis int
}

const never = int64(1<<63 - 1)

func (d *Decider) configured() bool { return d.Config != nil }

const chainSeed = 0x243f6a8885a308d3

// mix folds a value of the new state into the digest.
func (d *Decider) mix(v uint64) { d.Chain = decider.Mix(d.Chain, v) }

func (d *Decider) mixAmount(a energy.Amount) {
	d.mix(uint64(a.MilliwattHours))
	d.mix(uint64(a.Rest))
}

func (d *Decider) mixText(s string) { d.mix(decider.TextHash(s)) }

// StateHash is a digest over every value that folding has written so far.
func (d *Decider) StateHash() uint64 {
	h := (d.Chain ^ uint64(d.Now)) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}
