// SPDX-License-Identifier: Apache-2.0

package host

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/handlers/collector"
)

// metrics of one host, labelled with its site.
type metrics struct {
	folded, unusable, decided, batches, duplicates, goBacks, sends, looks, rebuilds *prometheus.CounterVec
	backlog, sequence, speaks, lag                                                  *prometheus.GaugeVec
	confirm                                                                         *prometheus.HistogramVec
	relayed                                                                         *prometheus.CounterVec
	ticks                                                                           *prometheus.CounterVec
}

// seatMetrics are those of one decider, resolved once.
type seatMetrics struct {
	folded, unusable, decided, batches, duplicates, goBacks, sends, looks, rebuilds prometheus.Counter
	backlog, sequence, speaks, lag                                                  prometheus.Gauge
	confirm                                                                         prometheus.Observer
}

func newMetrics(reg prometheus.Registerer) *metrics {
	labels := []string{"site", "decider"}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return collector.Shared(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "ballast", Subsystem: "host", Name: name, Help: help}, labels))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return collector.Shared(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "ballast", Subsystem: "host", Name: name, Help: help}, labels))
	}
	return &metrics{
		folded:     counter("folded_total", "Journal messages fed to the decider.", labels...),
		unusable:   counter("unusable_total", "Journal messages that are no event of the contract.", labels...),
		decided:    counter("decided_total", "Causes whose fold asked for outputs, spoken or not.", labels...),
		batches:    counter("batches_total", "Batches put on the wire, repetitions included.", labels...),
		duplicates: counter("duplicates_total", "Batches that another replica had stored first.", labels...),
		goBacks:    counter("go_backs_total", "Times the host went back to the first unconfirmed cause.", labels...),
		sends:      counter("sends_total", "Outputs sent without storing them (permit renewals).", labels...),
		looks:      counter("looks_total", "Looks into the output streams before speaking.", labels...),
		rebuilds:   counter("rebuilds_total", "Times the state was built anew.", labels...),
		backlog:    gauge("unconfirmed_causes", "Causes whose outputs are not stored yet."),
		sequence:   gauge("journal_sequence", "Journal sequence folded last."),
		speaks:     gauge("speaks", "1 while this host's version is the activated one and not muted."),
		lag:        gauge("lag_messages", "Journal messages waiting behind the one folded last."),
		confirm: collector.Shared(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "ballast", Subsystem: "host", Name: "confirm_seconds", Help: "From the fold of a cause to its outputs being stored.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, labels)),
		relayed: counter("relayed_total", "Facts this host offered to the journal.", "site", "stream"),
		ticks:   counter("ticks_total", "Ticks this host offered.", "site"),
	}
}

func (m *metrics) seat(site, name string) *seatMetrics {
	return &seatMetrics{
		folded: m.folded.WithLabelValues(site, name), unusable: m.unusable.WithLabelValues(site, name),
		decided: m.decided.WithLabelValues(site, name), batches: m.batches.WithLabelValues(site, name),
		duplicates: m.duplicates.WithLabelValues(site, name), goBacks: m.goBacks.WithLabelValues(site, name),
		sends: m.sends.WithLabelValues(site, name), looks: m.looks.WithLabelValues(site, name),
		rebuilds: m.rebuilds.WithLabelValues(site, name), backlog: m.backlog.WithLabelValues(site, name),
		sequence: m.sequence.WithLabelValues(site, name), speaks: m.speaks.WithLabelValues(site, name),
		lag: m.lag.WithLabelValues(site, name), confirm: m.confirm.WithLabelValues(site, name),
	}
}
