// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/permit"
)

// MaxUnitsPerStatus is how many units one worker.status speaks of at most.
const MaxUnitsPerStatus = 500

// Defaults of Config.
const (
	DefaultAnnouncePeriod = 30 * time.Second
	DefaultDrainTimeout   = 5 * time.Second
)

// A broadcast makes everybody answer at once: the answers are spread over a
// moment, or those of the first would hold up the broadcast to the last.
const (
	answerAfter  = 10 * time.Millisecond
	answerWithin = 30 * time.Millisecond
)

// Bus is what an agent needs of the bus; *bus.Bus is one.
type Bus interface {
	// Conn is the connection that the agent subscribes and publishes on.
	Conn() *nats.Conn
	// Prefix is the first token of every subject.
	Prefix() string
}

// Config of an Agent.
type Config struct {
	// Site the units belong to, and Agent, the id they are addressed by:
	// [a-z0-9-]{1,64}.
	Site, Agent string
	// StatusPeriod is how often every unit is reported; default
	// events.StatusPeriod.
	StatusPeriod time.Duration
	// AnnouncePeriod is how often capabilities are repeated; default
	// DefaultAnnouncePeriod.
	AnnouncePeriod time.Duration
	// MaxLease bounds every lease; at most and by default
	// permit.DefaultMaxLease.
	MaxLease time.Duration
	// DrainTimeout bounds the shutdown; default DefaultDrainTimeout.
	DrainTimeout time.Duration
	// Logger; nil discards.
	Logger *slog.Logger
	// Metrics; nil counts for nobody.
	Metrics *Metrics
	// Clock is the monotonic clock of leases, default Monotonic; Wall is the
	// time of day, default time.Now.
	Clock func() permit.Instant
	Wall  func() time.Time
}

func (c Config) withDefaults() Config {
	if c.StatusPeriod == 0 {
		c.StatusPeriod = events.StatusPeriod
	}
	if c.AnnouncePeriod == 0 {
		c.AnnouncePeriod = DefaultAnnouncePeriod
	}
	if c.MaxLease == 0 {
		c.MaxLease = permit.DefaultMaxLease
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = DefaultDrainTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.Clock == nil {
		c.Clock = Monotonic
	}
	if c.Wall == nil {
		c.Wall = time.Now
	}
	return c
}

func (c Config) validate() error {
	var errs []error
	errs = append(errs, events.CheckToken("site", c.Site), events.CheckToken("agent", c.Agent))
	for name, d := range map[string]time.Duration{
		"status period": c.StatusPeriod, "announce period": c.AnnouncePeriod,
		"longest lease": c.MaxLease, "drain timeout": c.DrainTimeout,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s %s is negative", name, d))
		}
	}
	if c.MaxLease > events.MaxLeaseMilliseconds*time.Millisecond {
		errs = append(errs, fmt.Errorf("longest lease %s: at most %s", c.MaxLease, events.MaxLeaseMilliseconds*time.Millisecond))
	}
	return errors.Join(errs...)
}

// Agent speaks on the bus for the units of one driver.
type Agent struct {
	cfg    Config
	bus    Bus
	nc     *nats.Conn
	driver Driver
	worker Worker // nil when the driver takes no work
	units  []Unit
	panel  *permit.Panel
	boot   string
	log    *slog.Logger

	// Subjects heard.
	curtailSubject, broadcastSubject, rampSubject, renewSubject, workSubject, inbox string

	messages chan *nats.Msg
	calls    chan func()
	// Requests, each of capacity 1.
	report, introduce chan struct{}
	ready             chan struct{}
	once              sync.Once
	stopped           chan struct{}

	// Of the agent's goroutine.
	decoder    events.Decoder
	orders     []Order
	telling    []int          // units with news
	isTelling  []bool         // per unit
	newsAt     permit.Instant // when news is told
	spread     time.Duration  // answers to a broadcast wait this long
	everyone   []int
	statusAt   permit.Instant
	announceAt permit.Instant
	retryAt    permit.Instant      // when unacknowledged, announce again
	unacked    map[uint64]struct{} // counters of announcements
	retry      *backoff.ExponentialBackOff
	complained permit.Instant
	draining   bool
}

// New checks the configuration and the driver's units. Nothing is sent and
// nothing driven before Run.
func New(cfg Config, bus Bus, driver Driver) (*Agent, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("agent %q: %w", cfg.Agent, err)
	}
	a := &Agent{
		cfg: cfg, bus: bus, nc: bus.Conn(), driver: driver, boot: newBoot(),
		log:      cfg.Logger.With("agent", cfg.Agent),
		messages: make(chan *nats.Msg, 512),
		calls:    make(chan func()),
		report:   make(chan struct{}, 1), introduce: make(chan struct{}, 1),
		ready:   make(chan struct{}),
		stopped: make(chan struct{}),
		unacked: make(map[uint64]struct{}),
		retry: backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(time.Second), backoff.WithMaxInterval(10*time.Second), backoff.WithMaxElapsedTime(0)),
	}
	a.worker, _ = driver.(Worker)
	a.units = driver.Units()
	if n := len(a.units); n == 0 || n > events.MaxCommandUnits {
		return nil, fmt.Errorf("agent %q: %d units: 1 to %d", cfg.Agent, n, events.MaxCommandUnits)
	}
	specs := make([]permit.Spec, len(a.units))
	for i, u := range a.units {
		if err := events.CheckToken("unit", u.ID); err != nil {
			return nil, fmt.Errorf("agent %q: %w", cfg.Agent, err)
		}
		specs[i] = permit.Spec{Unit: u.ID, FullWatts: u.Capabilities.NameplateWatts, FailsafeWatts: u.Capabilities.FailsafeWatts,
			Levels: u.Capabilities.Setpoints()}
		a.everyone = append(a.everyone, i)
	}
	var err error
	a.panel, err = permit.NewPanel(permit.Config{Agent: cfg.Agent, Boot: a.boot, MaxLease: cfg.MaxLease}, specs)
	if err != nil {
		return nil, err
	}
	a.isTelling = make([]bool, len(a.units))
	h := fnv.New32a()
	_, _ = h.Write([]byte(cfg.Agent)) // never fails
	a.spread = answerAfter + time.Duration(h.Sum32())%answerWithin
	p := bus.Prefix()
	a.curtailSubject = events.Subject(p, cfg.Site, events.TypeCommandCurtail, cfg.Agent)
	a.broadcastSubject = events.BroadcastSubject(p, cfg.Site)
	a.rampSubject = events.StoredSubject(p, cfg.Site, events.TypeCommandRamp, cfg.Agent)
	a.renewSubject = events.Subject(p, cfg.Site, events.TypePermitRenewed, cfg.Agent)
	a.workSubject = events.Subject(p, cfg.Site, events.TypeWorkAssigned, cfg.Agent)
	return a, nil
}

// newBoot makes the id of a start.
func newBoot() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// BootID of this agent, made by New.
func (a *Agent) BootID() string { return a.boot }

// Ready is closed once the bus has stored the first announcement of all units.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Report publishes the status of every unit soon, as after a change that only
// the driver knows of. It returns at once and does nothing after Run.
func (a *Agent) Report() { poke(a.report) }

// Announce repeats the announcement soon, as after a change of capabilities.
// It returns at once; before Run it waits for that, after it does nothing.
func (a *Agent) Announce() { poke(a.introduce) }

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // asked for already
	}
}

// SetLimit sets the limit of a person on site for one unit, W, or lifts it with
// nil. It returns when the unit has been driven accordingly.
func (a *Agent) SetLimit(unit string, watts *int64) error {
	i, ok := a.panel.Index(unit)
	if !ok {
		return fmt.Errorf("agent %s has no unit %q", a.cfg.Agent, unit)
	}
	done := a.call(func() {
		if watts == nil {
			a.obey("local", a.panel.Unlimit(a.cfg.Clock(), i))
		} else {
			a.obey("local", a.panel.Limit(a.cfg.Clock(), i, *watts))
		}
		a.flush()
	})
	if !done {
		return fmt.Errorf("limit of unit %s: agent %s does not run", unit, a.cfg.Agent)
	}
	return nil
}

// call runs f on the agent's goroutine and reports whether it did.
func (a *Agent) call(f func()) bool {
	done := make(chan struct{})
	select {
	case a.calls <- func() { f(); close(done) }:
		<-done
		return true
	case <-a.stopped:
		return false
	}
}
