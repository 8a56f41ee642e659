// SPDX-License-Identifier: Apache-2.0

// Package plantbench runs a whole site of 50 MW for days of virtual time: the
// real dispatch decider, real permit machines, AI load played from recordings,
// meters and commands that are late, and machines that need seconds to fall. It
// counts for how long the site is above its limit because of mining, and how
// much of the power that was free was mined with.
//
// # Usage
//
//	t, err := plantbench.Load("../shared/data/ai-load")
//	r, err := plantbench.Run(ctx, t, plantbench.Config{Hours: 168, Seed: 1, Control: plantbench.Controls()[0]})
//	fmt.Println(r.OverSeconds, r.Use())
//	for o, err := range plantbench.Outages(ctx, t, 400, 1) { … }
//
// # The site
//
// Two training jobs of 15 MW play the recorded power of 64 nodes over and over,
// each from a point of its own. Each is interrupted every three hours on
// average, for two minutes and ten more on average, at a quarter of its peak,
// and is back at nine tenths within five seconds. Beside them inference of 5 to
// 9 MW, made of ninety-six
// groups of servers that play the recorded power of four
// benchmarks, times a daily wave. 30 MW of machines, each of 100 kW, which
// draw their full power for five seconds after the order to stop; readings and
// commands take a second each; raising is bounded to 2.5 MW per minute.
//
// Mined is what machines draw; free is the lesser of all machines and of limit
// less AI load, with perfect knowledge of every second. Use is mined over free,
// from the first second on: what it takes to learn is paid for.
//
// # Concurrency
//
// Traces may be shared. Runs share nothing else.
package plantbench
