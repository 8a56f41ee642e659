// SPDX-License-Identifier: Apache-2.0

package practice

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/job"
	"github.com/ballast-energy/ballast/workers/judge"
	"github.com/ballast-energy/ballast/workers/quotes"
	"github.com/ballast-energy/ballast/workers/roster"
)

// Defaults of Config.
const (
	DefaultJobPeriod = 30 * time.Second
	DefaultDrainTime = 3 * time.Second
	// DefaultNBits is difficulty 0.25: about a block every 25 seconds for a core
	// of 45 MH/s, every six minutes for one of 3 MH/s.
	DefaultNBits                   = "1d03fffc"
	DefaultSharesPerSecond         = 1
	DefaultRealSharesPerSecond     = 20
	DefaultModelledSharesPerSecond = 20
)

// Bus is what the pool needs of the bus; *bus.Bus is one.
type Bus interface {
	Conn() *nats.Conn
	Prefix() string
	JetStream() jetstream.JetStream
	Publish(ctx context.Context, evs ...*events.Event) error
	PublishBatch(ctx context.Context, stream string, evs ...*events.Event) (bus.BatchResult, error)
	events.Log
}

// Config of a Pool.
type Config struct {
	// Site that it serves, and Gateway, its id: [a-z0-9-]{1,64}.
	Site, Gateway string
	// JobPeriod between two jobs of an agent; default DefaultJobPeriod.
	JobPeriod time.Duration
	// JobLifetime after which a share of a job is stale; default 10 minutes,
	// which is how long JOBS keeps it.
	JobLifetime time.Duration
	// DrainTime bounds the judging of the shares that have been found when Run's
	// context ends; default DefaultDrainTime.
	DrainTime time.Duration
	// NBits of the practice chain, 8 hex digits; default DefaultNBits.
	NBits string
	// SharesPerSecond wanted of one real agent, and of all of them together;
	// ModelledSharesPerSecond of all modelled ones together at full power.
	SharesPerSecond         float64
	RealSharesPerSecond     float64
	ModelledSharesPerSecond float64
	// FeePPM and Scheme of every payout; default no fee, FPPS.
	FeePPM int64
	Scheme events.Scheme
	// Modelled is what modelled shares are worth while no market quote is
	// known; its Pool and Basis are set by the pool. Default: the main chain
	// at height 840,000 (difficulty 8.6e13, subsidy 3.125 BTC).
	Modelled events.Payout
	// Logger; nil discards.
	Logger *slog.Logger
	// Now is the time of day; default time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.JobPeriod == 0 {
		c.JobPeriod = DefaultJobPeriod
	}
	if c.JobLifetime == 0 {
		c.JobLifetime = 10 * time.Minute
	}
	if c.DrainTime == 0 {
		c.DrainTime = DefaultDrainTime
	}
	if c.NBits == "" {
		c.NBits = DefaultNBits
	}
	if c.SharesPerSecond == 0 {
		c.SharesPerSecond = DefaultSharesPerSecond
	}
	if c.RealSharesPerSecond == 0 {
		c.RealSharesPerSecond = DefaultRealSharesPerSecond
	}
	if c.ModelledSharesPerSecond == 0 {
		c.ModelledSharesPerSecond = DefaultModelledSharesPerSecond
	}
	if c.Scheme == "" {
		c.Scheme = events.SchemeFPPS
	}
	if c.Modelled.NBits == "" {
		c.Modelled.NBits = "17034219"
	}
	if c.Modelled.RewardSats == 0 {
		c.Modelled.RewardSats = 312_500_000
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func (c Config) validate() error {
	errs := []error{events.CheckToken("site", c.Site), events.CheckToken("gateway", c.Gateway)}
	if c.JobPeriod < time.Second || c.JobLifetime < c.JobPeriod {
		errs = append(errs, fmt.Errorf("job period %s must be 1s at least and not above the job lifetime %s", c.JobPeriod, c.JobLifetime))
	}
	if c.DrainTime < 0 {
		errs = append(errs, fmt.Errorf("drain time %s is negative", c.DrainTime))
	}
	if c.SharesPerSecond < 0 || c.RealSharesPerSecond < 0 || c.ModelledSharesPerSecond < 0 {
		errs = append(errs, errors.New("shares per second must not be negative"))
	}
	if c.FeePPM < 0 || c.FeePPM > 1_000_000 {
		errs = append(errs, fmt.Errorf("fee of %d ppm is outside 0 to 1000000", c.FeePPM))
	}
	for _, text := range []string{c.NBits, c.Modelled.NBits} {
		b, err := job.Word(text)
		if err == nil {
			_, err = hashengine.TargetFromBits(b)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("nbits %q: %w", text, err))
		}
	}
	return errors.Join(errs...)
}

// Pool hands out work of the practice chain and judges shares.
type Pool struct {
	cfg Config
	bus Bus
	log *slog.Logger
	// instance tells this start of the pool from others, in jobs and
	// coinbases.
	instance string

	chain   chain
	current template
	roster  *roster.Roster
	jobs    *judge.Table
	seen    *judge.Seen
	quotes  quotes.Book
	// draining: the pool ends and hands out no more work.
	draining bool

	accepted, rejected, unknown, blocks, height atomic.Int64
	agents                                      atomic.Int64
}

// Stats of a Pool since it was made: Found = Accepted + Rejected + Unknown.
type Stats struct {
	Found, Accepted, Rejected, Unknown int64
	// Blocks found, and Height of the tip of the practice chain.
	Blocks, Height int64
	// Agents that have work.
	Agents int64
}

// New checks the configuration. Nothing is sent before Run.
func New(cfg Config, b Bus) (*Pool, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("practice pool: %w", err)
	}
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	bits, err := job.Word(cfg.NBits)
	if err != nil {
		return nil, fmt.Errorf("practice pool: %w", err)
	}
	return &Pool{
		cfg: cfg, bus: b, log: cfg.Logger.With("gateway", cfg.Gateway),
		instance: hex.EncodeToString(id[:]),
		chain:    newChain(cfg.Site, bits),
		roster:   roster.New(),
		jobs:     judge.NewTable(),
		seen:     judge.NewSeen(),
	}, nil
}

// Stats of the pool.
func (p *Pool) Stats() Stats {
	s := Stats{
		Accepted: p.accepted.Load(), Rejected: p.rejected.Load(), Unknown: p.unknown.Load(),
		Blocks: p.blocks.Load(), Height: p.height.Load(), Agents: p.agents.Load(),
	}
	s.Found = s.Accepted + s.Rejected + s.Unknown
	return s
}

// renew makes a new template on the tip of the chain.
func (p *Pool) renew() {
	p.current = p.chain.next(p.current.generation+1, p.cfg.Now(), p.instance)
	p.height.Store(p.chain.height)
}

// assign hands work of the present template to these agents.
func (p *Pool) assign(ctx context.Context, miners []*roster.Miner, clean bool) error {
	if len(miners) == 0 {
		return nil
	}
	scale := p.roster.Scale(roster.Rates{
		PerAgent: p.cfg.SharesPerSecond, AllReal: p.cfg.RealSharesPerSecond, AllModelled: p.cfg.ModelledSharesPerSecond,
	})
	base := p.current.work()
	base.Gateway, base.Clean = p.cfg.Gateway, clean
	now := p.cfg.Now()
	evs := make([]*events.Event, 0, len(miners))
	for _, m := range miners {
		w := base
		m.Difficulty = scale.Difficulty(m)
		w.ShareDifficulty = m.Difficulty
		w.ExtranoncePrefix = job.WordText(m.Number)
		w.Payout = p.payout(m.Modelled)
		w.JobID = p.jobs.NewID(p.instance, p.current.generation, m.Number)
		evs = append(evs, events.New(p.cfg.Site, m.Agent, &w).At(now.UTC()))
		evs[len(evs)-1].ID = w.JobID
		p.jobs.Add(m.Agent, &w, now)
	}
	if err := p.bus.Publish(ctx, evs...); err != nil {
		return fmt.Errorf("assign work: %w", err)
	}
	p.agents.Store(int64(p.roster.Len()))
	return nil
}

// payout of a job.
func (p *Pool) payout(modelled bool) events.Payout {
	o := events.Payout{
		Pool: p.cfg.Gateway, NBits: job.WordText(p.chain.bits), RewardSats: p.chain.reward(),
		FeePPM: p.cfg.FeePPM, Scheme: p.cfg.Scheme, Basis: events.BasisPractice,
	}
	if modelled {
		o.Basis, o.NBits, o.RewardSats = events.BasisModelled, p.cfg.Modelled.NBits, p.cfg.Modelled.RewardSats
		if q := p.quotes.Network(false); q != nil {
			o.NBits, o.RewardSats = q.NBits, q.SubsidySats+q.FeesSats
		}
	}
	return o
}
