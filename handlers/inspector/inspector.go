// SPDX-License-Identifier: Apache-2.0

package inspector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/collector"
	"github.com/ballast-energy/ballast/handlers/deadletter"
)

const unknownSite = deadletter.UnknownSite

// DefaultPerMinute letters per sender and minute.
const DefaultPerMinute = 20

const (
	// quietEvery it is looked whether a flood has ended.
	quietEvery = 15 * time.Second
	// sitesEvery the list of sites is read at most.
	sitesEvery = 2 * time.Second
	// saveEvery the positions are stored.
	saveEvery = 20 * time.Second
)

// Streams that are inspected.
var Streams = []string{
	events.StreamInputs, events.StreamJournal, events.StreamCommands,
	events.StreamJobs, events.StreamShares, events.StreamRevenue,
}

// Config of an inspector. Bus and Name are needed.
type Config struct {
	// Bus to read and write.
	Bus *bus.Bus
	// Name is the consumer in letters and the key of the positions: replicas
	// share it. [a-z0-9-]{1,64}.
	Name string
	// Sites that exist besides those INPUTS knows.
	Sites []string
	// PerMinute bounds the letters per sender and minute; 0 means
	// DefaultPerMinute.
	PerMinute int
	// Logger; nil discards. Registerer for metrics; nil keeps none.
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	quietEvery time.Duration // tests hurry
}

// Inspector writes the dead letters. See the package documentation.
type Inspector struct {
	cfg Config
	w   *deadletter.Writer
	ran atomic.Bool
	bad *prometheus.CounterVec

	mu      sync.Mutex
	sites   map[string]bool
	sitesAt time.Time

	alerts sync.WaitGroup
}

// New checks the configuration.
func New(cfg Config) (*Inspector, error) {
	if cfg.Bus == nil {
		return nil, errors.New("inspector: no bus")
	}
	w, err := deadletter.NewWriter(cfg.Bus, cfg.Name)
	if err != nil {
		return nil, fmt.Errorf("inspector: %w", err)
	}
	for _, s := range cfg.Sites {
		if err := events.CheckToken("site", s); err != nil {
			return nil, fmt.Errorf("inspector: %w", err)
		}
	}
	if cfg.PerMinute == 0 {
		cfg.PerMinute = DefaultPerMinute
	}
	if cfg.quietEvery == 0 {
		cfg.quietEvery = quietEvery
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	bad := collector.Shared(cfg.Registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "ballast", Subsystem: "inspector", Name: "bad_messages_total",
		Help: "Stored messages that nobody can use, by stream and reason; letter is no beyond the bound of a flood.",
	}, []string{"stream", "reason", "letter"}))
	return &Inspector{cfg: cfg, w: w, bad: bad}, nil
}

// Run inspects until ctx ends, outliving every outage of the bus. It returns
// nil then, and an error only when it was called before.
func (i *Inspector) Run(ctx context.Context) error {
	if i.ran.Swap(true) {
		return errors.New("inspector: Run was called before")
	}
	var wg sync.WaitGroup
	for _, stream := range Streams {
		wg.Go(func() { i.keepReading(ctx, stream) })
	}
	wg.Wait()
	i.alerts.Wait()
	return nil
}

func (i *Inspector) keepReading(ctx context.Context, stream string) {
	bo := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		began := time.Now()
		err := i.read(ctx, stream)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > time.Minute {
			bo.Reset()
		}
		wait := bo.NextBackOff()
		i.cfg.Logger.Warn("inspection starts again", "stream", stream, "reason", err, "in", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// known reports whether a site exists, reading the list again when it is not
// in the one at hand.
func (i *Inspector) known(ctx context.Context, site string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.sites[site] {
		return true
	}
	if time.Since(i.sitesAt) < sitesEvery {
		return false
	}
	list, err := i.cfg.Bus.Sites(ctx)
	if err != nil {
		// Better to let it pass than to call every site unknown.
		i.cfg.Logger.Warn("the list of sites could not be read", "error", err)
		return true
	}
	i.sitesAt = time.Now()
	i.sites = make(map[string]bool, len(list)+len(i.cfg.Sites))
	for _, s := range append(list, i.cfg.Sites...) {
		i.sites[s] = true
	}
	return i.sites[site]
}

func alertName(s string) string {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.', r == '/', r == ':':
			return r
		}
		return '-'
	}, "bad-messages/"+s)
	return clean[:min(len(clean), 200)]
}

func (i *Inspector) raise(stream string) func(string, string, int64) {
	return func(sender, site string, minute int64) {
		i.alert(site, fmt.Sprintf("%s/%s/%d/raised", stream, sender, minute), &events.AlertRaised{
			Alert: alertName(sender), Severity: events.SeverityWarning,
			Message: events.ClipText(fmt.Sprintf("%s sends more than %d unusable messages a minute into %s; the rest is counted without a dead letter", sender, i.cfg.PerMinute, stream)),
			Remedy:  "Read the dead letters for the reason, and correct or shut off the sender.",
		})
	}
}

func (i *Inspector) lower(stream string) func(string, string, int64, uint64) {
	return func(sender, site string, minute int64, counted uint64) {
		i.alert(site, fmt.Sprintf("%s/%s/%d/cleared", stream, sender, minute), &events.AlertCleared{
			Alert:   alertName(sender),
			Message: events.ClipText(fmt.Sprintf("%s is quiet again; about %d unusable messages in %s got no dead letter", sender, counted, stream)),
		})
	}
}

// alert is stored beside the reading, which waits for nothing.
func (i *Inspector) alert(site, id string, p events.Payload) {
	i.cfg.Logger.Warn("unusable messages", "alert", id)
	i.alerts.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		e := events.New(site, i.cfg.Name, p).WithID(site + "/alert/" + i.cfg.Name + "/" + id)
		if err := i.cfg.Bus.Publish(ctx, e); err != nil {
			i.cfg.Logger.Error("an alert could not be stored", "id", e.ID, "error", err)
		}
	})
}
