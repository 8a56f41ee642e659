// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/handlers/compliance"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
	"github.com/ballast-energy/ballast/handlers/host"
	"github.com/ballast-energy/ballast/handlers/inspector"
	"github.com/ballast-energy/ballast/handlers/settlement"
)

// DispatcherOptions of one site's decider host.
type DispatcherOptions struct {
	// Site folded and Name of this host.
	Site, Name string
	// NoReductions switches the headroom reductions of dispatch off, for
	// demos that count what they prevent.
	NoReductions bool
	// ActivateIfNone activates our version where none ever was.
	ActivateIfNone bool
	// Activate activates our version at the start, whatever spoke before: for
	// a process that owns the site.
	Activate bool
}

// Deciders are the factories of a site's deciders, for hosts and audits alike.
func Deciders(noReductions bool) []host.Factory {
	return []host.Factory{
		func() (decider.Decider, error) { return dispatch.New(dispatch.Config{NoReductions: noReductions}), nil },
		func() (decider.Decider, error) { return settlement.New(settlement.Config{}) },
		func() (decider.Decider, error) { return compliance.New(compliance.Config{}) },
	}
}

// Dispatcher is the role that decides for one site.
func Dispatcher(o DispatcherOptions) fx.Option {
	return fx.Module("dispatcher", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger, reg *prometheus.Registry) error {
		if o.Activate {
			if err := activate(b, o); err != nil {
				return err
			}
		}
		h, err := host.New(host.Config{
			Bus: b, Site: o.Site, Name: o.Name, Deciders: Deciders(o.NoReductions), ActivateIfNone: o.ActivateIfNone,
			Logger: log, Registerer: reg,
		})
		if err != nil {
			return err
		}
		bg.run("dispatcher "+o.Site, h.Run)
		return nil
	}))
}

// Inspector is the role that keeps what nobody could read: one per process
// that decides, whatever the number of sites. Replicas share the work.
func Inspector() fx.Option {
	return fx.Module("inspector", fx.Invoke(func(bg *background, b *bus.Bus, log *slog.Logger, reg *prometheus.Registry) error {
		i, err := inspector.New(inspector.Config{Bus: b, Name: "inspector", Logger: log, Registerer: reg})
		if err != nil {
			return err
		}
		bg.run("inspector", i.Run)
		return nil
	}))
}

// activate makes our deciders the ones that speak, where they are not.
func activate(b *bus.Bus, o DispatcherOptions) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, f := range Deciders(o.NoReductions) {
		d, err := f()
		if err != nil {
			return err
		}
		if err := host.Activate(ctx, b, o.Site, d.Identity(), "", o.Name); err != nil {
			return err
		}
	}
	return nil
}
