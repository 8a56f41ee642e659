// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"log/slog"

	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/outlet"
)

// OutletOptions of a controller of outlets.
type OutletOptions struct {
	// Site and Controller id.
	Site, Controller string
	// Drivers by outlet.
	Drivers map[string]outlet.Driver
	// Ready, when not nil, is called once commands are heard.
	Ready func()
}

// Outlet is the role that switches outlets.
func Outlet(o OutletOptions) fx.Option {
	return fx.Module("outlet", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger) error {
		a, err := outlet.New(outlet.Config{Site: o.Site, Controller: o.Controller, Drivers: o.Drivers, Logger: log}, b)
		if err != nil {
			return err
		}
		bg.run("outlet "+o.Controller, a.Run)
		if o.Ready != nil {
			go func() {
				<-a.Ready()
				o.Ready()
			}()
		}
		return nil
	}))
}
