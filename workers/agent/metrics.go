// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/workers/permit"
)

// Metrics counts what agents do. One value serves any number of agents.
type Metrics struct {
	messages   *prometheus.CounterVec
	units      *prometheus.CounterVec
	failsafes  prometheus.Counter
	statuses   prometheus.Counter
	unreadable prometheus.Counter
}

// NewMetrics registers the counters with r; with nil they are kept but not
// shown.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ballast_worker_messages_total", Help: "Messages folded, by kind.",
		}, []string{"kind"}),
		units: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ballast_worker_orders_total", Help: "Orders to single units, by what became of them.",
		}, []string{"result"}),
		failsafes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ballast_worker_failsafe_total", Help: "Units whose lease ran out.",
		}),
		statuses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ballast_worker_status_total", Help: "worker.status messages sent.",
		}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ballast_worker_unreadable_total", Help: "Messages that were no event of the contract; they were ignored.",
		}),
	}
	if r != nil {
		r.MustRegister(m.messages, m.units, m.failsafes, m.statuses, m.unreadable)
	}
	return m
}

// count books the outcome of one message.
func (m *Metrics) count(kind string, out permit.Outcome) {
	m.messages.WithLabelValues(kind).Inc()
	for i, n := range out.Refused {
		if n > 0 {
			m.units.WithLabelValues(permit.Refusal(i).String()).Add(float64(n))
		}
	}
}
