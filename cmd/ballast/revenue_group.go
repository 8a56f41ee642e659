// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/settlement/work"
)

// Groups of revenue.
const (
	byHour   = "hour"
	byWorker = "worker"
	bySite   = "site"
)

// rememberShares is how many of the newest share ids are kept at least, so that
// a second verdict does not count.
const rememberShares = 1 << 18

// revenueLine is one group. Money is booked money except by worker.
type revenueLine struct {
	Site           string       `json:"site"`
	Hour           *time.Time   `json:"hour,omitempty"`
	Unit           string       `json:"unit,omitempty"`
	Basis          events.Basis `json:"basis"`
	SharesAccepted int64        `json:"shares_accepted"`
	SharesLocal    int64        `json:"shares_local"` // proof of work only: below the pool's difficulty
	SharesRejected int64        `json:"shares_rejected"`
	SharesUnknown  int64        `json:"shares_unknown"`
	DifficultySum  string       `json:"difficulty_sum"` // of the accepted ones, exact
	ValueMillisats int64        `json:"value_millisats"`
	ValueMicrousd  int64        `json:"value_microusd"`
	HashrateMHs    int64        `json:"hashrate_mhs"`
	BlocksFound    int64        `json:"blocks_found"`
	BlocksExpected string       `json:"blocks_expected"`
	LuckMillionths *int64       `json:"luck_millionths,omitempty"`
}

// groupKey of a line.
type groupKey struct {
	site, unit string
	hour       int64 // Unix seconds
	basis      events.Basis
}

// terms under which shares are valued alike.
type terms struct {
	payout events.Payout
	price  int64 // µ$ per bitcoin
}

// group adds up one line.
type revenueGroup struct {
	line       revenueLine
	difficulty big.Int             // accepted, ×10^30
	proven     big.Int             // and local
	byTerms    map[terms]*work.Sum // by worker
	byTarget   map[string]*big.Int // work per network target, ×10^30
}

// priced is the span of an accrual and the rate in it.
type priced struct {
	from, until time.Time
	price       int64
}

// revenueGroups folds what a read yields.
type revenueGroups struct {
	by           string
	since, until time.Time
	groups       map[groupKey]*revenueGroup
	prices       map[groupKey][]priced // by site, pool (in unit) and basis
	epochs       map[events.Payout]*work.Epoch
	seen, old    map[string]struct{}
	blocks       map[string]struct{}
	first        map[string]time.Time // verdict of a site
	now          time.Time
}

func newRevenueGroups(by string, since, until, now time.Time) *revenueGroups {
	return &revenueGroups{by: by, since: since, until: until, now: now, groups: map[groupKey]*revenueGroup{}, prices: map[groupKey][]priced{},
		epochs: map[events.Payout]*work.Epoch{}, seen: map[string]struct{}{}, blocks: map[string]struct{}{}, first: map[string]time.Time{}}
}

// readRevenue reads both streams: money first, since shares are valued at the
// rates in it.
func readRevenue(ctx context.Context, log events.Log, f *revenueFlags, now time.Time) ([]revenueLine, error) {
	g := newRevenueGroups(f.by, f.sinceAt, f.till, now)
	for _, r := range []events.ReadRequest{
		// An accrual is stored after the span that it is about, however late.
		{Stream: events.StreamRevenue, Types: []events.Type{events.TypeRevenueAccrued}, Site: f.site, Since: f.sinceAt},
		{Stream: events.StreamShares, Site: f.site, Since: f.sinceAt, Until: f.till, Types: []events.Type{
			events.TypeShareAccepted, events.TypeShareRejected, events.TypeShareUnknown, events.TypeBlockFound}},
	} {
		for ev, err := range log.Events(ctx, r) {
			var d *events.DecodeError
			if asDecode(err, &d) {
				continue // the inspector keeps it as a dead letter
			}
			if err != nil {
				return nil, fmt.Errorf("revenue: %w", err)
			}
			if err := g.add(ev); err != nil {
				return nil, fmt.Errorf("revenue: %s/%d: %w", ev.Stream, ev.Sequence, err)
			}
		}
	}
	return g.lines()
}

// at is the group of something.
func (g *revenueGroups) at(site, unit string, t time.Time, basis events.Basis) *revenueGroup {
	k := groupKey{site: site, basis: basis}
	switch g.by {
	case byHour:
		k.hour = t.UTC().Truncate(time.Hour).Unix()
	case byWorker:
		k.unit = unit
	}
	x := g.groups[k]
	if x == nil {
		x = &revenueGroup{line: revenueLine{Site: site, Unit: k.unit, Basis: basis}, byTerms: map[terms]*work.Sum{}, byTarget: map[string]*big.Int{}}
		if g.by == byHour {
			h := time.Unix(k.hour, 0).UTC()
			x.line.Hour = &h
		}
		g.groups[k] = x
	}
	return x
}

// add folds one event; accruals come before all shares.
func (g *revenueGroups) add(e *events.Event) error {
	switch p := e.Data.(type) {
	case *events.RevenueAccrued:
		return g.accrued(e, p)
	case *events.ShareAccepted:
		return g.accepted(e, p)
	case *events.ShareRejected:
		if g.verdict(e, p.ShareID) {
			g.at(e.Site, p.Unit, e.Arrived, p.Basis).line.SharesRejected++
		}
	case *events.ShareUnknown:
		if g.verdict(e, p.ShareID) {
			g.at(e.Site, p.Unit, e.Arrived, p.Basis).line.SharesUnknown++
		}
	case *events.BlockFound:
		k := e.Site + "/" + p.BlockHash // every gateway reports it
		if _, ok := g.blocks[k]; !ok {
			g.blocks[k] = struct{}{}
			g.at(e.Site, p.Unit, e.Arrived, p.Basis).line.BlocksFound++
		}
	}
	return nil
}

func (g *revenueGroups) accrued(e *events.Event, p *events.RevenueAccrued) error {
	if !g.since.IsZero() && p.From.Before(g.since) || !g.until.IsZero() && !p.From.Before(g.until) {
		return nil
	}
	if g.by == byWorker {
		if p.Reverses == "" && p.StatementID == "" && p.BlockHash == "" {
			g.quoted(groupKey{site: e.Site, unit: p.Payout.Pool, basis: p.Payout.Basis}, priced{p.From, p.Until, p.BTCPriceMicrousd})
		}
		return nil
	}
	l := &g.at(e.Site, "", p.From, p.Payout.Basis).line
	var ok1, ok2 bool
	l.ValueMillisats, ok1 = plus(l.ValueMillisats, p.ValueMillisats)
	l.ValueMicrousd, ok2 = plus(l.ValueMicrousd, p.ValueMicrousd)
	if !ok1 || !ok2 {
		return errTooLarge
	}
	return nil
}

// errTooLarge: sums beyond 64 bits, which only a test chain brings about.
var errTooLarge = fmt.Errorf("the sum is above %d: ask for a shorter time", int64(math.MaxInt64))

func plus(a, b int64) (int64, bool) {
	s := a + b
	return s, (s > a) == (b > 0)
}

// verdict reports whether this is the first on its share, among the newest.
func (g *revenueGroups) verdict(e *events.Event, share string) bool {
	if _, ok := g.first[e.Site]; !ok {
		g.first[e.Site] = e.Arrived
	}
	k := e.Site + "/" + share
	if _, ok := g.seen[k]; ok {
		return false
	}
	if _, ok := g.old[k]; ok {
		return false
	}
	if len(g.seen) >= rememberShares {
		g.old, g.seen = g.seen, make(map[string]struct{}, rememberShares)
	}
	g.seen[k] = struct{}{}
	return true
}

func (g *revenueGroups) accepted(e *events.Event, p *events.ShareAccepted) error {
	if !g.verdict(e, p.ShareID) {
		return nil
	}
	d, err := work.ParseDifficulty(p.Difficulty)
	if err != nil {
		return err
	}
	x := g.at(e.Site, p.Unit, e.Arrived, p.Payout.Basis)
	x.proven.Add(&x.proven, d)
	if n := x.byTarget[p.Payout.NBits]; n != nil {
		n.Add(n, d)
	} else {
		x.byTarget[p.Payout.NBits] = new(big.Int).Set(d)
	}
	if p.Local {
		x.line.SharesLocal++
		return nil
	}
	x.line.SharesAccepted++
	x.difficulty.Add(&x.difficulty, d)
	if g.by != byWorker || p.Payout.Scheme != events.SchemeFPPS && p.Payout.Scheme != events.SchemePPS {
		return nil
	}
	epoch, ok := g.epochs[p.Payout]
	if !ok {
		// Terms that cannot be valued earn nothing; settlement raised an alert.
		epoch, _ = work.NewEpoch(p.Payout.NBits, p.Payout.RewardSats, p.Payout.FeePPM)
		g.epochs[p.Payout] = epoch
	}
	if epoch == nil {
		return nil
	}
	t := terms{p.Payout, g.price(e.Site, &p.Payout, e.Arrived)}
	sum := x.byTerms[t]
	if sum == nil {
		sum = new(work.Sum)
		x.byTerms[t] = sum
	}
	epoch.Add(sum, d)
	return nil
}

// quoted keeps the rate of an accrual, in the order of their beginnings: only
// late ones come out of order.
func (g *revenueGroups) quoted(k groupKey, q priced) {
	spans := append(g.prices[k], q)
	for i := len(spans) - 1; i > 0 && spans[i].from.Before(spans[i-1].from); i-- {
		spans[i], spans[i-1] = spans[i-1], spans[i]
	}
	g.prices[k] = spans
}

// longestSpan of an accrual: an interval ends within a day.
const longestSpan = 24 * time.Hour

// price of a bitcoin in the accrual of a pool that covers t; what is not booked
// yet takes the newest before it, and 0 when there is none.
func (g *revenueGroups) price(site string, p *events.Payout, t time.Time) int64 {
	spans := g.prices[groupKey{site: site, unit: p.Pool, basis: p.Basis}]
	n, _ := slices.BinarySearchFunc(spans, t, func(s priced, t time.Time) int {
		if s.from.After(t) {
			return 1
		}
		return -1
	})
	best := n - 1
	for i := n - 1; i >= 0 && t.Sub(spans[i].from) <= longestSpan; i-- {
		if !t.Before(spans[i].until) {
			continue
		}
		// Of several for one span the first counts: the others came late.
		for best = i; best > 0 && spans[best-1].from.Equal(spans[i].from); {
			best--
		}
		break
	}
	if best < 0 {
		return 0
	}
	return spans[best].price
}

// lines are the groups in the order of site, hour, unit and basis.
func (g *revenueGroups) lines() ([]revenueLine, error) {
	out := make([]revenueLine, 0, len(g.groups))
	for _, x := range g.groups {
		l := x.line
		l.DifficultySum = work.FormatDifficulty(&x.difficulty)
		if g.by == byWorker {
			var err error
			if l.ValueMillisats, l.ValueMicrousd, err = g.value(x); err != nil {
				return nil, err
			}
		}
		l.HashrateMHs = hashrate(&x.proven, g.seconds(&l))
		g.luck(x, &l)
		out = append(out, l)
	}
	slices.SortFunc(out, func(a, b revenueLine) int {
		hour := 0
		if a.Hour != nil && b.Hour != nil {
			hour = a.Hour.Compare(*b.Hour)
		}
		return cmp.Or(cmp.Compare(a.Site, b.Site), hour, cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Basis, b.Basis))
	})
	return out, nil
}

// value of a worker's shares, both rounded down once.
func (g *revenueGroups) value(x *revenueGroup) (millisats, microusd int64, err error) {
	var msat, usd big.Int
	for t, sum := range x.byTerms {
		n := g.epochs[t.payout].Numerator(sum)
		msat.Add(&msat, n)
		usd.Add(&usd, n.Mul(n, big.NewInt(t.price)))
	}
	den := work.Denominator()
	msat.Quo(&msat, den)
	usd.Quo(&usd, den.Mul(den, big.NewInt(100_000_000_000))) // msat per bitcoin
	if !msat.IsInt64() || !usd.IsInt64() {
		return 0, 0, errTooLarge
	}
	return msat.Int64(), usd.Int64(), nil
}

// seconds over which the work of a line was done.
func (g *revenueGroups) seconds(l *revenueLine) time.Duration {
	from, until := g.since, g.until
	if first := g.first[l.Site]; from.IsZero() || from.Before(first) {
		from = first
	}
	if until.IsZero() || until.After(g.now) {
		until = g.now
	}
	if l.Hour != nil {
		if l.Hour.After(from) {
			from = *l.Hour
		}
		if end := l.Hour.Add(time.Hour); end.Before(until) {
			until = end
		}
	}
	return until.Sub(from)
}

// hashrate in MH/s, rounded down; 0 over no time at all.
func hashrate(difficulty *big.Int, over time.Duration) int64 {
	if over <= 0 {
		return 0
	}
	// Σ D·10^30 · hashes · 10^9 ns/s / (10^30 · 10^6 · ns)
	n := new(big.Int).Mul(difficulty, big.NewInt(work.HashesPerDifficulty))
	n.Mul(n, big.NewInt(1000))
	n.Quo(n, new(big.Int).Mul(work.One(), big.NewInt(over.Nanoseconds())))
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return n.Int64()
}

// luck says how many blocks the work was expected to find, and how the found
// ones compare.
func (g *revenueGroups) luck(x *revenueGroup, l *revenueLine) {
	expected := new(big.Rat)
	for nbits, d := range x.byTarget {
		bits, err := work.ParseBits(nbits)
		if err != nil {
			continue
		}
		target, err := work.Target(bits)
		if err != nil {
			continue
		}
		expected.Add(expected, new(big.Rat).SetFrac(new(big.Int).Mul(d, target), new(big.Int).Mul(work.D1(), work.One())))
	}
	l.BlocksExpected = expected.FloatString(18)
	if l.BlocksFound == 0 || expected.Sign() == 0 {
		return
	}
	r := new(big.Rat).Quo(new(big.Rat).SetInt64(l.BlocksFound*1_000_000), expected)
	if n := new(big.Int).Quo(r.Num(), r.Denom()); n.IsInt64() {
		v := n.Int64()
		l.LuckMillionths = &v
	}
}
