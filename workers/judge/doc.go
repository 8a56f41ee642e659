// SPDX-License-Identifier: Apache-2.0

// Package judge checks shares against the jobs that were handed out, with plain
// code that shares nothing with the kernels that found them. The practice pool
// and the gateways use it.
//
// # Usage
//
//	table.Add(agent, work, now)
//	j := table.Get(share.JobID)
//	if no := j.Match(found, share); no != nil { … }
//	solution, no := j.Solve(share)
//
// # Concurrency
//
// Nothing here locks: the types belong to one goroutine at a time. A Job's
// template is made on first use.
package judge
