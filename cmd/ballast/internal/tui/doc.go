// SPDX-License-Identifier: Apache-2.0

// Package tui draws the live terminal view of `ballast up`: one screen per
// site with power, shares, money and what happened last.
//
// # Usage
//
//	err := tui.Run(ctx, tui.Options{Sites: views, Describe: describe, Out: os.Stdout})
//
// Run returns when the context ends or a person presses q or Ctrl-C. Status is
// the same in one line, for logs.
//
// # Concurrency
//
// One Run per terminal. It only calls View.Picture, which is safe.
package tui
