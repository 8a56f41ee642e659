// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestMetrics(t *testing.T) {
	b := openTest(t, testConfig(t))
	journal(t, b, 5)
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(NewCollector(b)); err != nil {
		t.Fatal(err)
	}
	value := func(name, stream string) float64 {
		t.Helper()
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == name && (stream == "" || m.GetLabel()[0].GetValue() == stream) {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
		return -1
	}
	for _, tc := range []struct {
		name, stream string
		want         float64
	}{
		{"ballast_bus_up", "", 1},
		{"ballast_bus_stream_messages", "JOURNAL", 5},
		{"ballast_bus_stream_last_sequence", "JOURNAL", 5},
		{"ballast_bus_stream_lost_messages", "REVENUE", 0},
		{"ballast_bus_server_connections", "", 1},
		{"ballast_bus_server_slow_consumers_total", "", 0},
		{"ballast_bus_reconnects_total", "", 0},
	} {
		if got := value(tc.name, tc.stream); got != tc.want {
			t.Errorf("%s{%s} = %v, want %v", tc.name, tc.stream, got, tc.want)
		}
	}
	closeTest(t, b)
	if got := value("ballast_bus_up", ""); got != 0 {
		t.Errorf("up after the end: %v", got)
	}
}
