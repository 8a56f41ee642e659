// SPDX-License-Identifier: Apache-2.0

package collector

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Shared registers c and returns the collector that the registry keeps: an
// equal one that an earlier instance registered, else c itself. A nil registry
// keeps none, and one that refuses c for any other reason does not show it.
func Shared[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if err := reg.Register(c); errors.As(err, &already) {
		if have, ok := already.ExistingCollector.(C); ok {
			return have
		}
	}
	return c
}
