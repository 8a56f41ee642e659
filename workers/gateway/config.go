// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/upstream"
	"github.com/ballast-energy/ballast/workers/upstream/confirm"
)

// Defaults of Config.
const (
	DefaultJobLifetime       = 10 * time.Minute
	DefaultRefreshPeriod     = time.Minute
	DefaultSharesPerSecond   = 0.2
	DefaultAllShares         = 200
	DefaultDrainTime         = 5 * time.Second
	DefaultConfirmPeriod     = 30 * time.Second
	DefaultRejectAlarmPPM    = 50_000
	DefaultConnectedSessions = 16
	DefaultLeaseTime         = 10 * time.Second
)

// Bus is what a gateway needs of the bus; *bus.Bus is one.
type Bus interface {
	Conn() *nats.Conn
	Prefix() string
	JetStream() jetstream.JetStream
	SliceStore(ctx context.Context) (jetstream.KeyValue, error)
	Publish(ctx context.Context, evs ...*events.Event) error
	PublishCore(evs ...*events.Event) error
	PublishMsgs(ctx context.Context, msgs ...*nats.Msg) ([]bus.Stored, error)
	PublishBatch(ctx context.Context, stream string, evs ...*events.Event) (bus.BatchResult, error)
	RawEvents(ctx context.Context, r events.ReadRequest) iter.Seq2[*bus.Raw, error]
	events.Log
}

// Config of a Gateway.
type Config struct {
	// Site that it serves, and Gateway, its id: [a-z0-9-]{1,64}. One gateway
	// of an id serves at a time.
	Site, Gateway string
	// Standby waits as long as another gateway of the id runs, and takes over
	// when that ends; else Run ends with ErrRunning then.
	Standby bool
	// LeaseTime is how long the id stays taken when its gateway falls silent
	// without having ended; default DefaultLeaseTime. That of the one that
	// holds it counts.
	LeaseTime time.Duration
	// OnServe is called once when the id is this gateway's and it begins to
	// serve; nil: nobody asks.
	OnServe func()
	// Upstream that it works for.
	Upstream upstream.Upstream
	// Another makes one more connection to the same pool account, when the
	// search space of the sessions that are open is used up; n counts from 2.
	// Nil: agents and miners for whom there is no space get no work, and an
	// alert says so.
	Another func(n int) (upstream.Upstream, error)
	// MaxConnections to the upstream that Another may bring it to; default
	// DefaultConnectedSessions.
	MaxConnections int
	// JobLifetime after which a share of a job is stale; default 10 minutes,
	// which is how long JOBS keeps it.
	JobLifetime time.Duration
	// RefreshPeriod after which an agent's work is handed out again with the
	// time moved on when the upstream has sent no other; default a minute.
	RefreshPeriod time.Duration
	// SharesPerSecond wanted of one agent, and AllShares of all together. A
	// share is never harder than the upstream asks.
	SharesPerSecond, AllShares float64
	// DrainTime bounds how long Run goes on after its context has ended, for
	// the shares that were found and the answers that are due.
	DrainTime time.Duration
	// ConfirmPeriod between two looks at what became of blocks.
	ConfirmPeriod time.Duration
	// OrphanDepth at which another block at a block's height makes it an
	// orphan, blocks; default confirm.DefaultOrphan, 6. Depth 1 is the tip.
	OrphanDepth int64
	// RejectAlarmPPM of submitted shares rejected over ten minutes raises an
	// alert.
	RejectAlarmPPM int64
	// Connections of miners to the gateway's own server, for its status; nil
	// when there is none.
	Connections func() int64
	// OnJob hears every job that downstream miners may work on, with the first
	// slice of the session's extranonce2 that is for all of them together;
	// OnSlice of each further slice of that session, as long as the first, once
	// Gateway.DownstreamRoom has asked for more; and OnClosed the end of a
	// session. They are called one at a time and must not block. Who holds the
	// job can bring shares of it, blocks above all, however long ago it was
	// voided. Without OnSlice there is the first slice only.
	OnJob    func(j *upstream.Job, slice []byte)
	OnSlice  func(j *upstream.Job, slice []byte)
	OnClosed func(session string)
	// Logger; nil discards.
	Logger *slog.Logger
	// Now is the time of day; default time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.JobLifetime, DefaultJobLifetime)
	def(&c.RefreshPeriod, DefaultRefreshPeriod)
	def(&c.DrainTime, DefaultDrainTime)
	def(&c.ConfirmPeriod, DefaultConfirmPeriod)
	def(&c.LeaseTime, DefaultLeaseTime)
	if c.OrphanDepth == 0 {
		c.OrphanDepth = confirm.DefaultOrphan
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = DefaultConnectedSessions
	}
	if c.SharesPerSecond == 0 {
		c.SharesPerSecond = DefaultSharesPerSecond
	}
	if c.AllShares == 0 {
		c.AllShares = DefaultAllShares
	}
	if c.RejectAlarmPPM == 0 {
		c.RejectAlarmPPM = DefaultRejectAlarmPPM
	}
	if c.OnServe == nil {
		c.OnServe = func() {}
	}
	if c.Connections == nil {
		c.Connections = func() int64 { return 0 }
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
	if c.Upstream == nil {
		errs = append(errs, errors.New("no upstream given"))
	} else {
		errs = append(errs, events.CheckToken("upstream", c.Upstream.ID()))
	}
	for _, d := range []struct {
		name string
		is   time.Duration
	}{
		{"job lifetime", c.JobLifetime}, {"refresh period", c.RefreshPeriod},
		{"drain time", c.DrainTime}, {"confirm period", c.ConfirmPeriod},
	} {
		if d.is < 0 {
			errs = append(errs, fmt.Errorf("%s %s is negative", d.name, d.is))
		}
	}
	if c.LeaseTime < leastLeaseTime || c.LeaseTime > mostLeaseTime {
		errs = append(errs, fmt.Errorf("lease time %s: %s to %s", c.LeaseTime, leastLeaseTime, mostLeaseTime))
	}
	if !(c.SharesPerSecond > 0) || !(c.AllShares > 0) {
		errs = append(errs, errors.New("shares per second must be above 0"))
	}
	if c.MaxConnections < 1 || c.MaxConnections > 64 {
		errs = append(errs, fmt.Errorf("%d connections: 1 to 64", c.MaxConnections))
	}
	if c.OrphanDepth < 1 || c.OrphanDepth > confirm.DefaultMature {
		errs = append(errs, fmt.Errorf("orphan depth of %d blocks: 1 to %d", c.OrphanDepth, confirm.DefaultMature))
	}
	if c.RejectAlarmPPM < 1 || c.RejectAlarmPPM > 1_000_000 {
		errs = append(errs, fmt.Errorf("reject alarm at %d ppm: 1 to 1000000", c.RejectAlarmPPM))
	}
	return errors.Join(errs...)
}
