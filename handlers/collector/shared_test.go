// SPDX-License-Identifier: Apache-2.0

package collector_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-energy/ballast/handlers/collector"
)

func counter() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "things_total", Help: "Things."}, []string{"kind"})
}

func TestInstancesShareOneCollector(t *testing.T) {
	reg := prometheus.NewRegistry()
	first := counter()
	if collector.Shared(reg, first) != first {
		t.Error("the first instance does not keep its own")
	}
	if collector.Shared(reg, counter()) != first {
		t.Error("the second instance counts apart")
	}
	lone := counter()
	if collector.Shared(nil, lone) != lone {
		t.Error("without a registry the collector is another")
	}
}
