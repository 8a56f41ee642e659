// SPDX-License-Identifier: Apache-2.0

// Package enginebench measures the hash engine on the machine it runs on, so
// that its figures mean something elsewhere: in cycles of the core's own clock,
// interleaved with the standard library, against the limit of the core's own
// SHA unit.
//
// # Usage
//
//	report, err := enginebench.Run(ctx, enginebench.Config{Duration: 25 * time.Second}, nil)
//	for _, k := range report.Kernels {
//		fmt.Println(k.Kernel, k.CleanCycles, k.MedianCycles)
//	}
//
// # How kernels are timed
//
// On a shared machine the speed of a core changes from one millisecond to the
// next: its clock moves, another tenant uses the other half of the core. So all
// kernels run in turn on one thread that is kept on one processor, some 100 µs
// each ([ChunkTime]), and beside each of these chunks a chain of dependent
// additions, which take one cycle each, tells the clock. A chunk's cycles are
// its time multiplied by the fastest of the calibrations around it, a
// millisecond or two on either side: an interrupted calibration then does not
// make a kernel look quicker than it is, and where the clock changes it can only
// look slower.
//
// Three figures are taken of a kernel's thousands of chunks:
//
//   - clean: the best chunk, what the core does when nothing else disturbs
//     it. It repeats to half a percent and is what to compare with the limit.
//   - sustained: the best run of [SustainedChunks] successive chunks of this
//     kernel. It contains what only some calls do, such as filling a message
//     schedule that the next calls share.
//   - median: what it did on this machine at this time.
//
// The limit: with everything skipped that can be, 60 pairs of rounds are left
// of a double hash, and a core with the SHA instructions of amd64 does a pair
// with one SHA256RNDS2. [KernelResult.ShareOf60] is 60 over the clean cycles.
// As there are cores that start this instruction in every second cycle only,
// its own throughput is measured, and [KernelResult.ShareOfUnit] counts with
// that.
//
// # How the engine is timed
//
// A [hashengine.Miner] with all its work (new jobs, hits that are checked and
// handed out, the stop flag) is compared with the same engines in bare loops on
// the same number of threads at the same priority, alternating in windows of a
// tenth of a second. Stops are timed from the flag until the last thread has
// ended its last call. Garbage collections are forced while hashing and while
// idle, in turn: what the runtime says of its pauses, and how late another
// goroutine wakes meanwhile.
//
// # JSON
//
// The types of [Report] encode as JSON with snake_case names that end in their
// unit: _ghz, _mhs (million hashes per second), _us (microseconds), cycles_per_hash; shares and ratios are numbers without one. A figure that
// this machine cannot give, such as cycles without a known clock, is left out.
// The comments of the fields say what each means.
//
// # Concurrency properties
//
// One Run at a time: it loads the whole machine on purpose. It starts threads
// of its own and changes nothing of the calling one.
package enginebench
