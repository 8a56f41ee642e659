// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// scrapeWait bounds what one scrape asks of the bus.
const scrapeWait = 2 * time.Second

// Collector shows a bus to Prometheus: the connection, the streams, and the
// embedded server where there is one. Every scrape asks the bus anew, once per
// stream; nothing runs between scrapes. Safe for concurrent use.
type Collector struct {
	b *Bus

	up, rtt, reconnects          *prometheus.Desc
	messages, bytes, first, last *prometheus.Desc
	consumers, lost              *prometheus.Desc
	connections, subscriptions   *prometheus.Desc
	inMessages, outMessages      *prometheus.Desc
	inBytes, outBytes            *prometheus.Desc
	slow, stalled, apiErrors     *prometheus.Desc
	disk                         *prometheus.Desc
}

// NewCollector returns a collector of b; register it with a registry.
func NewCollector(b *Bus) *Collector {
	d := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("ballast_bus_"+name, help, labels, nil)
	}
	return &Collector{
		b:             b,
		up:            d("up", "1 while the connection to the bus is there."),
		rtt:           d("round_trip_seconds", "Round trip to the server at this scrape."),
		reconnects:    d("reconnects_total", "Times the connection was lost and came back."),
		messages:      d("stream_messages", "Messages kept by the stream.", "stream"),
		bytes:         d("stream_bytes", "Bytes kept by the stream.", "stream"),
		first:         d("stream_first_sequence", "Oldest sequence kept by the stream.", "stream"),
		last:          d("stream_last_sequence", "Newest sequence of the stream.", "stream"),
		consumers:     d("stream_consumers", "Consumers of the stream.", "stream"),
		lost:          d("stream_lost_messages", "Messages that the stream's index names but its files do not hold.", "stream"),
		connections:   d("server_connections", "Connections to the embedded server."),
		subscriptions: d("server_subscriptions", "Subscriptions on the embedded server."),
		inMessages:    d("server_in_messages_total", "Messages received by the embedded server."),
		outMessages:   d("server_out_messages_total", "Messages sent by the embedded server."),
		inBytes:       d("server_in_bytes_total", "Bytes received by the embedded server."),
		outBytes:      d("server_out_bytes_total", "Bytes sent by the embedded server."),
		slow:          d("server_slow_consumers_total", "Connections cut off because they did not keep up."),
		stalled:       d("server_stalled_clients_total", "Times a publisher was held back for a slow subscriber."),
		apiErrors:     d("server_api_errors_total", "Requests to the stream API that failed."),
		disk:          d("disk_free_bytes", "Free bytes on the file system of the data directory."),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.up, c.rtt, c.reconnects, c.messages, c.bytes, c.first, c.last, c.consumers, c.lost,
		c.connections, c.subscriptions, c.inMessages, c.outMessages, c.inBytes, c.outBytes,
		c.slow, c.stalled, c.apiErrors, c.disk,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. What does not answer is left out.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	count(c.reconnects, float64(c.b.nc.Stats().Reconnects))
	c.server(gauge, count)
	if !c.b.nc.IsConnected() {
		gauge(c.up, 0)
		return
	}
	gauge(c.up, 1)
	if rtt, err := c.b.nc.RTT(); err == nil {
		gauge(c.rtt, rtt.Seconds())
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeWait)
	defer cancel()
	for _, name := range streamNames(c.b.cfg) {
		s, err := c.b.stream(ctx, name)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			continue
		}
		st := s.CachedInfo().State
		gauge(c.messages, float64(st.Msgs), name)
		gauge(c.bytes, float64(st.Bytes), name)
		gauge(c.first, float64(st.FirstSeq), name)
		gauge(c.last, float64(st.LastSeq), name)
		gauge(c.consumers, float64(st.Consumers), name)
		n := 0
		if st.Lost != nil {
			n = len(st.Lost.Msgs)
		}
		gauge(c.lost, float64(n), name)
	}
}

type observe func(d *prometheus.Desc, v float64, labels ...string)

// server asks the embedded server, without the network.
func (c *Collector) server(gauge, count observe) {
	if c.b.server == nil {
		return
	}
	if free, _, err := diskSpace(c.b.cfg.DataDir); err == nil {
		gauge(c.disk, float64(free))
	}
	v, err := c.b.server.Varz(nil)
	if err != nil {
		return
	}
	gauge(c.connections, float64(v.Connections))
	gauge(c.subscriptions, float64(v.Subscriptions))
	count(c.inMessages, float64(v.InMsgs))
	count(c.outMessages, float64(v.OutMsgs))
	count(c.inBytes, float64(v.InBytes))
	count(c.outBytes, float64(v.OutBytes))
	count(c.slow, float64(v.SlowConsumers))
	count(c.stalled, float64(v.StalledClients))
	if js := v.JetStream.Stats; js != nil {
		count(c.apiErrors, float64(js.API.Errors))
	}
}
