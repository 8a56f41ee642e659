// SPDX-License-Identifier: Apache-2.0

package pubsub

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of all subscriptions of a process.
type metrics struct {
	answered *prometheus.CounterVec
	held     *prometheus.GaugeVec
	stalled  *prometheus.GaugeVec
	stalls   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	by := []string{"group", "topic"}
	m := &metrics{
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ballast_subscriber_messages_total",
			Help: "Messages answered, by answer: ack, nack (tried again), term (given up), back (returned unhandled).",
		}, append(by, "answer")),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ballast_subscriber_held", Help: "Messages held from the server and not answered yet.",
		}, by),
		stalled: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ballast_subscriber_stalled",
			Help: "1 while messages are pending, none is held and none has come for 2 seconds.",
		}, by),
		stalls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ballast_subscriber_stalls_total", Help: "Times a subscription stalled.",
		}, by),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(register(r, &m.answered), register(r, &m.held), register(r, &m.stalled), register(r, &m.stalls))
}

// register takes over what another Subscriber has registered already.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) error {
	err := r.Register(*c)
	var was prometheus.AlreadyRegisteredError
	if errors.As(err, &was) {
		if old, ok := was.ExistingCollector.(C); ok {
			*c = old
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("pubsub: metrics: %w", err)
	}
	return nil
}

// counts are the metrics of one subscription.
type counts struct {
	ack, nack, term, back prometheus.Counter
	held, stalled         prometheus.Gauge
	stalls                prometheus.Counter
}

func (m *metrics) of(group, topic string) counts {
	return counts{
		ack:     m.answered.WithLabelValues(group, topic, "ack"),
		nack:    m.answered.WithLabelValues(group, topic, "nack"),
		term:    m.answered.WithLabelValues(group, topic, "term"),
		back:    m.answered.WithLabelValues(group, topic, "back"),
		held:    m.held.WithLabelValues(group, topic),
		stalled: m.stalled.WithLabelValues(group, topic),
		stalls:  m.stalls.WithLabelValues(group, topic),
	}
}
