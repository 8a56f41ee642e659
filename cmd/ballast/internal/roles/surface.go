// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"go.uber.org/fx"
)

// Surface is the role of an HTTP surface: it listens at the start, so that a
// taken port is an error then, and ends its requests at the stop.
func Surface(name, addr string, h http.Handler) fx.Option {
	return fx.Module(name, fx.Invoke(func(bg *background) error {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
		bg.run(name, func(ctx context.Context) error {
			stop := context.AfterFunc(ctx, func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
				defer cancel()
				_ = srv.Shutdown(ctx) // what is left is cut off by the close below
				_ = srv.Close()
			})
			defer stop()
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		return nil
	}))
}
