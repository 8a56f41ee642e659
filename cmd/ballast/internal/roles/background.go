// SPDX-License-Identifier: Apache-2.0

package roles

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"go.uber.org/fx"
)

// stopTime bounds how long one role may take to end.
const stopTime = 12 * time.Second

// Failure carries the first error with which a role ended by itself.
type Failure struct {
	mu  sync.Mutex
	err error
}

// Err is that error, or nil.
func (f *Failure) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *Failure) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

// background runs loops from the start of the app to its stop. A loop that
// fails takes the process down: a role that is silently gone would look like a
// quiet site.
type background struct {
	lc       fx.Lifecycle
	shutdown fx.Shutdowner
	failure  *Failure
	log      *slog.Logger
}

// newBackground is provided by Bus.
func newBackground(lc fx.Lifecycle, s fx.Shutdowner, f *Failure, log *slog.Logger) *background {
	return &background{lc, s, f, log}
}

// run adds the loops of one role; they start together and end together.
func (b *background) run(name string, loops ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	b.lc.Append(fx.Hook{
		OnStart: func(context.Context) error {
			var wg sync.WaitGroup
			for _, loop := range loops {
				wg.Go(func() {
					err := loop(ctx)
					if err == nil || ctx.Err() != nil || errors.Is(err, context.Canceled) {
						return
					}
					if !strings.HasPrefix(err.Error(), name+": ") { // some name themselves
						err = fmt.Errorf("%s: %w", name, err)
					}
					b.log.Error("role ended, the process follows", "role", name, "err", err)
					b.failure.set(err)
					_ = b.shutdown.Shutdown(fx.ExitCode(1)) // fails only when already shutting down
				})
			}
			go func() { wg.Wait(); close(done) }()
			return nil
		},
		OnStop: func(stop context.Context) error {
			cancel()
			stop, end := context.WithTimeout(stop, stopTime)
			defer end()
			select {
			case <-done:
				return nil
			case <-stop.Done():
				return fmt.Errorf("%s did not end within %v and is left behind", name, stopTime)
			}
		},
	})
}
