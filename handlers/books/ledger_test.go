// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/events/bus/bustest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	startedPostgres.stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func openBus(t testing.TB) *bus.Bus {
	t.Helper()
	b, err := bus.Open(testContext(t), bus.Config{DataDir: t.TempDir(), Name: "test", Durability: bus.ProcessCrash})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = b.Close(ctx)
	})
	return b
}

func openStore(t testing.TB, address string) *Store {
	t.Helper()
	s, err := Open(testContext(t), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// facts makes up what a site stores.
type facts struct {
	r     *rand.Rand
	n     int
	at    time.Time
	ids   []string // of settlements that stand
	idle  []string // of curtailments
	share []string
}

func newFacts(seed uint64) *facts {
	return &facts{r: rand.New(rand.NewPCG(seed, 1)), at: time.Date(2026, 3, 1, 0, 0, 0, 123456789, time.UTC)}
}

func (f *facts) id(kind string) string {
	f.n++
	return fmt.Sprintf("tx1/%s/1/%d/0", kind, f.n)
}

func (f *facts) hash() string {
	return fmt.Sprintf("%064x", f.r.Uint64())
}

func (f *facts) payout() events.Payout {
	p := events.Payout{Pool: []string{"pool-a", "pool-b"}[f.r.IntN(2)], NBits: "17034219", RewardSats: 317_500_000, FeePPM: 20_000, Scheme: events.SchemeFPPS, Basis: events.BasisLive}
	switch f.r.IntN(6) {
	case 0:
		p.Scheme = events.SchemePPLNS
	case 1:
		p.Basis = events.BasisPractice
	}
	return p
}

var difficulties = []string{"1", "0.001", "1048576", "524288.5", "0.000000000000000000000000000001", "123456789012345678901234567890.5"}

func (f *facts) event(source string, p events.Payload) *events.Event {
	return events.New("tx1", source, p).WithID(f.id(source)).At(f.at)
}

// next is one event, now and then one that comes again or that means nothing.
func (f *facts) next() *events.Event {
	f.at = f.at.Add(time.Duration(f.r.IntN(100_000)) * time.Millisecond)
	key := events.OrderKey{Epoch: 1, Sequence: uint64(f.n + 1)}
	start := f.at.Truncate(5 * time.Minute)
	switch f.r.IntN(12) {
	case 0:
		ai, mining := f.r.Int64N(1e12), f.r.Int64N(1e9)
		e := f.event("site", &events.EnergySettled{IntervalStart: start, IntervalEnd: start.Add(5 * time.Minute), ContractedMilliwattHours: ai + mining + 5,
			AIMilliwattHours: ai, MiningMilliwattHours: mining, UnusedMilliwattHours: 5, Key: key})
		if len(f.ids) > 0 && f.r.IntN(3) == 0 {
			e.Data.(*events.EnergySettled).Reverses = f.ids[f.r.IntN(len(f.ids))]
		}
		f.ids = append(f.ids, e.ID)
		return e
	case 1:
		sats, usd := f.r.Int64N(1e9), f.r.Int64N(1e9)
		return f.event("site", &events.RevenueSettled{IntervalStart: start, IntervalEnd: start.Add(5 * time.Minute),
			Totals:             []events.BasisTotal{{Basis: events.BasisLive, SharesAccepted: 3, RevenueMillisats: sats, RevenueMicrousd: usd}, {Basis: events.BasisModelled}},
			EnergyCostMicrousd: 7, ResaleMicrousd: 2, MarginMicrousd: usd - 5, EnergyEventID: "tx1/e", Key: key})
	case 2:
		e := &events.RevenueAccrued{From: start, Until: start.Add(time.Minute), Payout: f.payout(), SharesAccepted: 4, DifficultySum: "4194304.25", ValueMillisats: f.r.Int64N(1e9),
			CarryNumerator: strings.Repeat("9", 150), CarryDenominator: "1" + strings.Repeat("0", 150), BTCPriceMicrousd: 90_000_000_000, ValueMicrousd: f.r.Int64N(1e9), Key: key}
		if f.r.IntN(4) == 0 {
			e.Reverses, e.SharesAccepted, e.DifficultySum, e.ValueMillisats, e.ValueMicrousd, e.CarryNumerator = "tx1/x", -4, "-4194304.25", -e.ValueMillisats, -e.ValueMicrousd, "-"+e.CarryNumerator
		}
		if f.r.IntN(5) == 0 {
			e.StatementID, e.Variance = "s1", events.VarianceTerms
		}
		return f.event("site", e)
	case 3:
		return f.event("site", &events.RevenueReconciled{StatementID: "s" + fmt.Sprint(f.n), Pool: "pool-a", From: start, Until: start.Add(time.Hour), SharesAccepted: 10, SharesStated: 12,
			SharesDifference: 2, DifficultySum: "10.5", DifficultyStated: "10", DifficultyDifference: "-0.5", ValueMillisats: 5, StatedMillisats: 4, DifferenceMillisats: -1,
			MoneyStated: true, UnknownAccepted: 2, Basis: events.BasisLive, Key: key})
	case 4:
		s := &events.PoolStatement{StatementID: "s" + fmt.Sprint(f.n), Pool: "pool-a", From: start, Until: start.Add(time.Hour), SharesAccepted: 12, DifficultySum: "10", Basis: events.BasisLive, StatedAt: f.at}
		if len(f.share) > 0 {
			s.Credited = f.share[len(f.share)-1:]
			s.Refused = f.share[:1]
			v := int64(77)
			s.ValueMillisats = &v
		}
		return f.event("pool-a", s)
	case 5:
		b := events.Block{BlockHash: f.hash(), Height: 840_000, Pool: "pool-a", JobID: "j1", Agent: "a1", Unit: "u1", RewardSats: 312_500_000, Scheme: events.SchemeSolo, Basis: events.BasisLive, SeenAt: f.at}
		switch f.r.IntN(3) {
		case 0:
			b.Confirmations = 100
			return f.event("gw-1", (*events.BlockMatured)(&b))
		case 1:
			b.Detail = "overtaken: «stale»"
			return f.event("gw-1", (*events.BlockOrphaned)(&b))
		}
		return f.event("gw-1", (*events.BlockFound)(&b))
	case 6:
		id := f.hash()
		f.share = append(f.share, id)
		return f.event("gw-1", &events.ShareUnknown{ShareID: id, JobID: "j1", Agent: "a1", Unit: f.unit(), Difficulty: f.difficulty(), Detail: "the connection broke", Basis: events.BasisLive, JudgedAt: f.at})
	case 7:
		return f.event("gw-1", &events.ShareRejected{ShareID: f.hash(), JobID: "j1", Agent: "a1", Unit: f.unit(), Difficulty: f.difficulty(), Reason: events.RejectStale, Detail: "21: job not found", Basis: events.BasisLive, JudgedAt: f.at})
	case 8:
		e := &events.CurtailmentSettled{IntervalStart: start, IntervalEnd: start.Add(5 * time.Minute), NameplateMilliwattHours: 1e12, EnergyEventID: "tx1/e", Key: key,
			Rates: []events.CurtailmentRate{{Payout: f.payout(), ShareDifficulty: []string{"", "0.001"}[f.r.IntN(2)], BTCPriceMicrousd: 86_000_000_000}}}
		if len(f.idle) > 0 && f.r.IntN(5) == 0 { // taken back, nothing in its place
			e.Reverses, e.Rates, e.NameplateMilliwattHours = f.idle[f.r.IntN(len(f.idle))], nil, 0
			f.n++
			return events.New("tx1", "site", e).WithID(fmt.Sprintf("tx1/site/lost/1/%d/0", f.n)).At(f.at)
		}
		for i, reason := range []events.Reason{events.ReasonGridCurtail, events.ReasonGridCurtail, events.ReasonHeadroom} {
			mwh, usd := f.r.Int64N(1e11), f.r.Int64N(1e9)
			e.Lines = append(e.Lines, events.CurtailmentLine{Basis: events.BasisLive, Reason: reason, SignalID: []string{"sig-1", "«sig» 2", ""}[i], MilliwattHours: mwh,
				ModelledMilliwattHours: mwh / 3, Hashes: strings.Repeat("9", 40), ForgoneMillisats: f.r.Int64N(1e12), ForgoneMicrousd: usd, AvoidedCostMicrousd: 70, NetMicrousd: usd - 70})
		}
		ev := f.event("site", e)
		f.idle = append(f.idle, ev.ID)
		return ev
	default:
		id := f.hash()
		if len(f.share) > 0 && f.r.IntN(5) == 0 {
			id = f.share[f.r.IntN(len(f.share))] // a second verdict
		}
		return f.event("gw-1", &events.ShareAccepted{ShareID: id, JobID: "j1", Agent: "a1", Unit: f.unit(), Difficulty: f.difficulty(), Payout: f.payout(), Local: f.r.IntN(9) == 0, JudgedAt: f.at})
	}
}

func (f *facts) unit() string       { return fmt.Sprintf("u%d", f.r.IntN(5)) }
func (f *facts) difficulty() string { return difficulties[f.r.IntN(len(difficulties))] }

// store puts n facts on the bus, with redeliveries beyond the server's memory,
// garbage, and events that nobody writes down.
func (f *facts) store(t testing.TB, b *bus.Bus, n int) {
	t.Helper()
	var evs []*events.Event
	var again []*nats.Msg
	for i := range n {
		e := f.next()
		evs = append(evs, e)
		if i%7 == 0 {
			data, err := events.AppendPayload(nil, e.Data)
			if err != nil {
				t.Fatal(err)
			}
			again = append(again, &nats.Msg{Subject: events.Subject(b.Prefix(), e.Site, e.Type, e.Source), Data: data, Header: nats.Header{
				events.HeaderCEID: {e.ID}, events.HeaderCESpecVersion: {"1.0"}, events.HeaderCEType: {string(e.Type)}, events.HeaderCESource: {"/ballast/tx1/" + e.Source}}})
		}
		if i%50 == 0 {
			again = append(again, &nats.Msg{Subject: "ballast.tx1.share.accepted.gw-1", Data: []byte("{")}, &nats.Msg{Subject: "ballast.tx1.revenue.accrued.site", Data: []byte(`{"from":1}`)})
		}
	}
	publish(t, b, evs...)
	for _, m := range again {
		if _, err := b.JetStream().PublishMsg(testContext(t), m); err != nil {
			t.Fatal(err)
		}
	}
}

// last sequences of the streams.
func last(t testing.TB, b *bus.Bus) map[string]uint64 {
	t.Helper()
	out := map[string]uint64{}
	for _, stream := range Streams {
		state, err := sameStream(testContext(t), b, stream, position{})
		if err != nil {
			t.Fatal(err)
		}
		out[stream] = state.LastSeq
	}
	return out
}

// until the ledger holds everything.
func until(t testing.TB, b *bus.Bus, s *Store) {
	t.Helper()
	want := last(t, b)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		behind := ""
		for stream, n := range want {
			p, err := s.position(testContext(t), stream)
			if err != nil {
				t.Fatal(err)
			}
			if p.sequence < n {
				behind = fmt.Sprintf("%s is written up to %d of %d", stream, p.sequence, n)
			}
		}
		if behind == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatal(behind)
		}
	}
}

// run starts a projector.
func run(t testing.TB, b *bus.Bus, s *Store, change ...func(*Config)) (stop func() error) {
	t.Helper()
	cfg := Config{Bus: b, Store: s, firstDelay: time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stopped := false
	stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() { _ = stop() })
	return stop
}

func publish(t testing.TB, b *bus.Bus, evs ...*events.Event) {
	t.Helper()
	bustest.Publish(testContext(t), t, b, evs...)
}
