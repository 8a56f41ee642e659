// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/agent"
	"github.com/ballast-energy/ballast/workers/software"
)

// WorkerOptions of a CPU worker.
type WorkerOptions struct {
	// Site it belongs to and Agent, its id.
	Site, Agent string
	// Kernel, Threads, CPUs, Pin, Nice and NormalPriority say how it hashes,
	// WattsPerThread is its power model; all as in software.Config.
	Kernel         string
	Threads        int
	CPUs           []int
	Pin            bool
	Nice           int
	NormalPriority bool
	WattsPerThread int64
	// Meter that sees this machine, or empty.
	Meter string
	// Node of the site's power tree on which it hangs, or empty.
	Node string
	// Ready, when not nil, is called once the bus has stored its announcement.
	Ready func(w *software.Worker)
}

// Worker is the role that really hashes on this machine's processors.
func Worker(o WorkerOptions) fx.Option {
	return fx.Module("worker", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger, reg *prometheus.Registry) error {
		w, err := software.New(software.Config{
			Site: o.Site, Agent: o.Agent, Kernel: o.Kernel, Threads: o.Threads, CPUs: o.CPUs, Pin: o.Pin, Nice: o.Nice,
			NormalPriority: o.NormalPriority, WattsPerThread: o.WattsPerThread, Meter: o.Meter, Node: o.Node, Logger: log, Metrics: agent.NewMetrics(reg),
		}, b)
		if err != nil {
			return err
		}
		bg.run("worker "+o.Agent, w.Run)
		if o.Ready != nil {
			go func() {
				<-w.Ready()
				o.Ready(w)
			}()
		}
		return nil
	}))
}
