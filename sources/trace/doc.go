// SPDX-License-Identifier: Apache-2.0

// Package trace plays recorded series, AI load or prices, onto the bus as if
// they happened now.
//
// # Usage
//
//	s, err := trace.Read("gpt3.csv.gz", trace.Options{Quantity: trace.Watts})
//	p := trace.NewPlayer(s, trace.PlayerConfig{Speed: 60, Site: "tx1", Source: "ai-feeder"}, bus, log)
//	err = p.Run(ctx) // returns when the series ends, or with ctx
//
// A file is CSV, plain or gzip, with a header line. The time and the value
// column are found by their usual names or given by name. Times may be RFC
// 3339, Unix seconds or milliseconds, or local time without a zone; only their
// distances matter.
//
// # Speed
//
// A speed of N compresses the trace and nothing else: readings carry the
// present time, leases, ramps and energy run in real time. So at 60× the AI
// load steps sixty times as fast as it was recorded, which is a harder test
// than it was in life, never an easier one.
//
// # Concurrency
//
// A Series is read-only after Read and may be shared by many players, one per
// site. A Player belongs to the goroutine that calls Run; Progress may be
// called from any.
package trace
