// SPDX-License-Identifier: Apache-2.0

package books

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/collector"
)

// metrics of the ledger.
type metrics struct {
	lag, lagSeconds, sequence       *prometheus.GaugeVec
	rows, double, unusable, missing *prometheus.CounterVec
	failures                        *prometheus.CounterVec
	commits                         *prometheus.HistogramVec

	mu sync.Mutex
	by map[string]position
}

func newMetrics(reg prometheus.Registerer) *metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return collector.Shared(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "ballast", Subsystem: "ledger", Name: name, Help: help}, []string{"stream"}))
	}
	count := func(name, help, label string) *prometheus.CounterVec {
		return collector.Shared(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ballast", Subsystem: "ledger", Name: name, Help: help}, []string{label}))
	}
	return &metrics{
		lag:        gauge("lag_messages", "Messages of the stream that the ledger does not hold yet."),
		lagSeconds: gauge("lag_seconds", "Age of the newest message written while there are newer ones, else 0."),
		sequence:   gauge("position", "Sequence up to which the stream is written."),
		rows:       count("rows_total", "Rows written, by table.", "table"),
		double:     count("double_total", "Events whose id the ledger had already.", "stream"),
		unusable:   count("unusable_total", "Messages passed over: no events of this contract.", "stream"),
		missing:    count("missing_total", "Messages that the stream no longer holds.", "stream"),
		failures:   count("failures_total", "Times that writing began anew after a failure of the database or the bus.", "stream"),
		commits: collector.Shared(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "ballast", Subsystem: "ledger", Name: "commit_seconds", Help: "Time of one transaction.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
		}, []string{"stream"})),
		by: map[string]position{},
	}
}

// at notes how far a stream is written.
func (m *metrics) at(stream string, p position) {
	m.mu.Lock()
	m.by[stream] = p
	m.mu.Unlock()
	m.sequence.WithLabelValues(stream).Set(float64(p.sequence))
}

// measure sets the lag of a stream; it keeps its old value when the bus does
// not answer.
func (m *metrics) measure(ctx context.Context, b *bus.Bus, stream string) {
	m.mu.Lock()
	p, known := m.by[stream]
	m.mu.Unlock()
	if !known {
		return // the database has not said yet
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	s, err := b.JetStream().Stream(ctx, stream)
	if err != nil {
		return
	}
	state := s.CachedInfo().State
	lag, age := uint64(0), 0.0
	if state.LastSeq > p.sequence {
		lag = state.LastSeq - p.sequence
		if p.arrived > 0 {
			age = time.Since(time.Unix(0, p.arrived)).Seconds()
		}
	}
	m.lag.WithLabelValues(stream).Set(float64(lag))
	m.lagSeconds.WithLabelValues(stream).Set(age)
}
