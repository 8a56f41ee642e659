// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ballast-energy/ballast/events"
)

// Publisher is what a player needs of the bus.
type Publisher interface {
	Publish(ctx context.Context, evs ...*events.Event) error
}

// PlayerConfig says where and how fast to play.
type PlayerConfig struct {
	// Site and Source tokens of the events: the meter's id, or the issuer's.
	Site, Source string
	// Speed compresses the trace, 1 to 3600.
	Speed int
	// Period at which power is published although it did not change: a meter
	// that is silent is a meter that is not believed. Default 1 s. Samples of
	// the trace are published when they come, besides.
	Period time.Duration
	// Scale multiplies values: ScaleNum / ScaleDen, both 1 by default.
	ScaleNum, ScaleDen int64
	// Loop starts again at the end.
	Loop bool
	// Modelled marks readings as not measured here and now.
	Modelled bool
}

// Player plays one series at one site.
type Player struct {
	series *Series
	cfg    PlayerConfig
	pub    Publisher
	log    *slog.Logger

	offset atomic.Int64 // of the trace, ns
	value  atomic.Int64
	loops  atomic.Int64
}

// NewPlayer returns a player; it fails on tokens that cannot be and on
// factors out of range.
func NewPlayer(s *Series, cfg PlayerConfig, pub Publisher, log *slog.Logger) (*Player, error) {
	if cfg.Speed == 0 {
		cfg.Speed = 1
	}
	if cfg.Period == 0 {
		cfg.Period = time.Second
	}
	if cfg.ScaleNum == 0 && cfg.ScaleDen == 0 {
		cfg.ScaleNum, cfg.ScaleDen = 1, 1
	}
	switch {
	case cfg.Speed < 1 || cfg.Speed > 3600:
		return nil, fmt.Errorf("trace %s: speed %d: use 1 to 3600", s.Name, cfg.Speed)
	case cfg.Period < 50*time.Millisecond:
		return nil, fmt.Errorf("trace %s: period %v: at least 50ms", s.Name, cfg.Period)
	case cfg.ScaleNum < 1 || cfg.ScaleDen < 1:
		return nil, fmt.Errorf("trace %s: scale %d/%d: both must be positive", s.Name, cfg.ScaleNum, cfg.ScaleDen)
	}
	if err := events.CheckToken("site", cfg.Site); err != nil {
		return nil, fmt.Errorf("trace %s: %w", s.Name, err)
	}
	if err := events.CheckToken("source", cfg.Source); err != nil {
		return nil, fmt.Errorf("trace %s: %w", s.Name, err)
	}
	return &Player{series: s, cfg: cfg, pub: pub, log: log}, nil
}

// Progress is where the player is: offset in the trace, its length, and the
// value in force after scaling. Safe for concurrent use.
func (p *Player) Progress() (offset, length time.Duration, value int64) {
	return time.Duration(p.offset.Load()), p.series.Length(), p.value.Load()
}

// Run plays until the series ends (nil), or the context does (its error). A
// publish that fails is retried with the value then in force: an old reading
// is worth nothing.
func (p *Player) Run(ctx context.Context) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	retry := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond), backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0))
	lastPrice, priced := int64(0), false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		now := time.Now()
		pos := now.Sub(start) * time.Duration(p.cfg.Speed)
		if pos >= p.series.Length() {
			if !p.cfg.Loop {
				return nil
			}
			start, pos = now, 0
			p.loops.Add(1)
		}
		v := p.scaled(p.series.At(pos))
		p.offset.Store(int64(pos))
		p.value.Store(v)
		if p.series.Quantity == Price && priced && v == lastPrice {
			timer.Reset(p.untilNext(pos))
			continue
		}
		if err := p.publish(ctx, now, v); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			wait := retry.NextBackOff()
			p.log.Warn("trace: publish failed, will retry with the value then in force", "site", p.cfg.Site, "source", p.cfg.Source, "in", wait, "err", err)
			timer.Reset(wait)
			continue
		}
		retry.Reset()
		lastPrice, priced = v, true
		timer.Reset(p.untilNext(pos))
	}
}

func (p *Player) scaled(v int64) int64 {
	// Split so that the product cannot overflow: |v| ≤ 2^53.
	q, r := v/p.cfg.ScaleDen, v%p.cfg.ScaleDen
	return q*p.cfg.ScaleNum + r*p.cfg.ScaleNum/p.cfg.ScaleDen
}

// untilNext is how long to wait after a publish at trace offset pos: to the
// next sample, but no longer than the period.
func (p *Player) untilNext(pos time.Duration) time.Duration {
	next := p.series.Length()
	if i := p.series.after(pos); i < len(p.series.Samples) {
		next = p.series.Samples[i].Offset
	}
	wait := (next-pos)/time.Duration(p.cfg.Speed) + time.Microsecond
	return max(min(wait, p.cfg.Period), 10*time.Millisecond)
}

// after is the index of the first sample behind an offset.
func (s *Series) after(offset time.Duration) int {
	lo, hi := 0, len(s.Samples)
	for lo < hi {
		mid := (lo + hi) / 2
		if s.Samples[mid].Offset > offset {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

func (p *Player) publish(ctx context.Context, now time.Time, v int64) error {
	var data events.Payload
	switch p.series.Quantity {
	case Price:
		data = &events.GridSignal{Kind: events.SignalPrice, PriceMicrousdPerMWh: &v, Programme: "trace", Reason: "recorded price"}
	default:
		data = &events.MeterReading{PowerWatts: v, SampledAt: now.UTC(), Quality: events.QualityGood, Modelled: p.cfg.Modelled}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return p.pub.Publish(ctx, events.New(p.cfg.Site, p.cfg.Source, data).At(now))
}
