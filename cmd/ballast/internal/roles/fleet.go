// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"log/slog"
	"time"

	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/agent"
	"github.com/ballast-energy/ballast/workers/modelled"
)

// FleetOptions describe modelled machines behind one agent.
type FleetOptions struct {
	// Site and Agent id.
	Site, Agent string
	// Class by name, see modelled.Classes; Boot replaces its boot time when
	// not zero.
	Class modelled.Class
	// Count of machines and the Meter that sees them.
	Count int
	Meter string
	// Seed of what is random.
	Seed uint64
}

// Fleet is the role of a modelled fleet with its plant.
func Fleet(o FleetOptions) fx.Option {
	return fx.Module("fleet", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger) error {
		plant, err := modelled.NewPlant(modelled.PlantConfig{Site: o.Site, Period: time.Second, Seed: o.Seed, Logger: log}, b)
		if err != nil {
			return err
		}
		fleet, err := plant.NewFleet(modelled.FleetConfig{Agent: o.Agent, Count: o.Count, Class: o.Class, Meter: o.Meter})
		if err != nil {
			return err
		}
		a, err := agent.New(agent.Config{Site: o.Site, Agent: o.Agent, Logger: log}, b, fleet)
		if err != nil {
			return err
		}
		// The plant ends last: it still measures the fall to 0 W.
		bg.run("plant "+o.Agent, plant.Run)
		bg.run("fleet "+o.Agent, a.Run)
		return nil
	}))
}
