// SPDX-License-Identifier: Apache-2.0

// Package hashengine searches Bitcoin block headers for hashes that meet a
// target, on every instruction set that Go runs on. It knows nothing of pools,
// buses or watts: it is handed a header template and hands back headers.
//
// # Usage
//
//	miner, err := hashengine.NewMiner(hashengine.MinerConfig{
//		OnHit: func(h hashengine.Hit) { submit(h.Tag, h.Header) },
//		Next:  func(ctx context.Context, spent hashengine.Work) (hashengine.Work, error) { … },
//	})
//	…
//	defer miner.Close()
//	target, err := hashengine.TargetFromDifficultyText("16384")
//	work := hashengine.NewWork(template, hashengine.VersionRollingMask, target)
//	work.Tag = jobID
//	err = miner.SetWork(work)
//	miner.Resume()       // a new miner is stopped
//	miner.SetDuty(250)   // a quarter of the time
//	miner.Stop()         // returns after the last hash; Halt does not wait
//
// Three layers can be used by themselves:
//
//   - [Header], [Hash], [Target] and the difficulty functions are the
//     arithmetic of proof of work, exact to the last bit.
//   - An [Engine] scans one piece of [Work] in calls of at most [MaxCall]. A
//     [Kernel] makes engines; [Fastest] measures which is best here, [Search]
//     drives one to the end.
//   - A [Miner] drives many engines on threads of its own.
//
// # The search space
//
// [Work] spans the nonces (32 bits) and the versions that a mask allows (BIP
// 320 frees 16 bits, [VersionRollingMask]; pools grant a mask by BIP 310). A
// miner divides it among its threads without overlap. Time, merkle root and so
// the extranonce are the template's; when the space is used up the miner asks
// for the next template ([MinerConfig.Next]). A space with version rolling is
// 2^48 hashes, months for one core; without, 2^32 hashes are minutes.
//
// # Correctness
//
// Every hit is computed again with [DoubleSHA256] before it is handed out; a
// candidate that fails is counted as a fault. As that cannot notice hits that
// a kernel misses, [Check] runs each engine over known blocks and over spaces
// with many hits before a miner trusts it. Counts of hashes are exact.
//
// # Concurrency properties
//
// Hashing threads are operating system threads of their own, at lowered
// priority, beyond the number that GOMAXPROCS was before; so goroutines of the
// process are scheduled as if there were no hashing, and other processes come
// first. There is one per physical core ([DefaultThreads]), free to move unless
// [MinerConfig.Pin] or [MinerConfig.CPUs] binds them. Threads look at one
// atomic counter between two calls of a quarter of a millisecond at most, and
// at nothing else: a stop, a resume, a change of work or of the duty cycle
// takes effect within one call. They take a lock only when that counter has
// changed, when a piece of work ends and when there is a hit. Scanning does not
// allocate, and the loops of the wide kernels run as system calls do, so that
// the garbage collector does not wait for them.
//
// A thread in the middle of a call to which the system gives no processor ends
// that call later, so on a machine that is overloaded by others the bounds
// count the thread's own running time. [Miner.Stop] returns only when the last
// call has ended, whatever that takes; [MinerConfig.Nice] has figures.
//
// A miner needs real threads; where Go has a single one (js, wasip1), use an
// engine and let others run between its calls.
//
// Methods of [Miner] may be called from anywhere. An [Engine] belongs to one
// goroutine at a time. [Work], [Hit], [Header], [Hash] and [Target] are values.
//
// # Adding a kernel
//
// A kernel that computes many hashes at a time implements Kernel of
// internal/sha256d, and a line in kernels_<architecture>.go names it; its
// constructor returns an error where the processor lacks the instructions. Its
// assembly is printed by asmgen, which explains the ones there are. Callers
// need no change; the tests, the self-test, the choice and the benchmark take
// in every kernel of the list. The space may be visited in any order: the wide
// kernels go through the versions of a block for each batch of nonces, so that
// what versions share is computed once.
package hashengine
