// SPDX-License-Identifier: Apache-2.0

// Package load generates the electrical load of an AI data centre for demos
// and tests where no recording is at hand.
//
// It follows what was measured on real clusters (MLPerf Training v4.0 logs,
// AC side): a training job sits at about 0.955 of its peak, dips to two
// thirds within seconds and comes back as fast, is interrupted now and then to
// a quarter of its peak for minutes, and ends to an idle floor; inference
// swings by the hour with noise on top. Steps of a third of the peak within
// two seconds are ordinary.
//
// # Usage
//
//	g, err := load.New(load.Config{PeakWatts: 4_000_000, Seed: 1})
//	watts := g.Next(time.Second) // once per step
//
// or Run to publish meter readings. A seed gives the same load every time.
//
// # Concurrency
//
// A Generator belongs to one goroutine; Watts may be called from any.
package load
