// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/fx"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/roles"
	"github.com/ballast-energy/ballast/events/bus"
)

// runRole runs one role on an open bus until ctx or the role ends, with
// metrics on the address unless that is empty. It closes the bus. name stands
// before the error of a role that cannot be made.
func (a *app) runRole(ctx context.Context, b *bus.Bus, name, metrics string, role fx.Option) error {
	failure, reg := &roles.Failure{}, newRegistry()
	options := []fx.Option{fx.NopLogger, fx.StartTimeout(startTimeout), fx.StopTimeout(stopTimeout), roles.Bus(b, failure, a.logger(), reg), role}
	if metrics != "" {
		options = append(options, metricsServer(metrics, reg))
	}
	app := fx.New(options...)
	if err := app.Err(); err != nil {
		closeBus(b)
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := startApp(ctx, app); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case <-app.Wait():
	}
	return errors.Join(failure.Err(), stopApp(app))
}
