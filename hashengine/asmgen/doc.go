// SPDX-License-Identifier: Apache-2.0

// Asmgen prints the assembly of the kernels in hashengine/internal/sha256d.
//
//	go generate ./hashengine/...                     # print all files again
//	go run ./hashengine/asmgen search -kernel vr5    # look for a better order
//
// go generate reproduces the committed files byte for byte, which a test
// checks. The kernels of the SHA-NI family also print a Go file, so offsets and
// constants exist in one place only, the layouts here. Below is how this family
// works; arm64.go says how its own does, and the files simd*.go say it for AVX2
// and AVX-512.
//
// # What is left of a double SHA-256
//
// A header has 80 bytes: a block of 64, whose result is the midstate, and a
// second block with 12 bytes of the header (here the tail), the nonce and 48
// bytes of padding. The hash of that, 32 bytes, is hashed again in a block of
// its own. A miner that changes nothing but the nonce needs two compressions
// of 64 rounds. Less is enough to see that a hash is no hit:
//
//   - Rounds 0 to 2 of the second block read the tail only. They are done when
//     a version slot is set.
//   - Round 3 reads the nonce, which goes into a and e by addition. So round 3
//     is done when the slot is set, with nonce 0, and costs one addition.
//   - Words 4 to 15 are padding: they are added to the round constants here,
//     in the generator.
//   - W16 and W17 are constant, W18 and W19 are a constant plus σ0 of the nonce
//     and plus the nonce, W20 to W31 have zeroes and constants among their
//     terms: the first four vectors of the schedule take 19 micro-operations
//     in place of 32.
//   - Round 0 of the second hash begins with the initial state: everything but
//     the message word is constant, and that is added to a and e.
//   - The top word of the hash is h after round 63, which is e after round 60.
//     Rounds 61 to 63 are never done, nor are W61 to W63 ever made.
//
// What remains is rounds 4 to 63 and rounds 1 to 60: 120 of 128 rounds, 60
// instructions SHA256RNDS2. For the second hash to be in pairs too, its
// schedule is cut one word later than usual, V(t) = W(4t+1) to W(4t+4). The
// recurrence of the schedule looks at distances only, so SHA256MSG1 and
// SHA256MSG2 work on shifted vectors as well. Of V0 to V3 most is the first
// hash or padding; W16 alone must be made, by one SHA256MSG1 of the vector
// whose top word is W0.
//
// The check is one comparison for equality: e & mask == target. Targets are
// compared by whole bytes, as the bytes of the hash stand in reverse: of the
// top word of the target its leading zero bytes count, and those are the lowest
// bytes of e plus a constant, so no carry comes in from elsewhere. Package
// hashengine computes each candidate again in full.
//
// # Two kernels
//
// vr5 (versions.go) is for work whose version may be rolled. The version is in
// the first block, so the second block, and with it the schedule of the first
// hash, is the same under all versions. A fill (fill.go) writes a record of 208
// bytes per nonce, words plus round constants, and the loop runs five versions
// over the same records: its first hash has no schedule at all. With 320
// versions per nonce the fill is well below one cycle per hash.
//
// n4 (nonces.go) needs one version only: four nonces side by side, each with
// the schedule of its own. The nonces of a header count in little-endian, and
// SHA-256 reads them in big-endian, so a counting loop would have to carry from
// byte to byte backwards. Instead a record per four nonces holds the word of
// the first, and the lanes add theirs, 0 to 3, to its top byte, which is the
// lowest byte of a nonce divisible by four: it cannot carry.
//
// Both are loops in which every lane does one hash per iteration. The lanes
// are staggered: lane l begins its hash in slot offsets[l] of the 30 that an
// iteration has, so that while one is in the middle of its rounds another is
// at the crowded turn from first to second hash. Hence a hash begins in one
// iteration and ends in the next, at the loop's end it is in the registers, and
// the results of the first iteration are nobody's: a call does one iteration
// more than it has records. A lane that stands before its own beginning reads
// the record behind the pointer.
//
// If any lane ends with a candidate, the loop goes out of its way, outside of
// the hot code, to note the iteration and a bit per lane, and on. What a call
// finds is exact, however easy the target is.
//
// # Bounds
//
// Per hash and in a processor's own terms (Zen 3; SHA256RNDS2 has latency 4,
// one may begin per cycle; SHA256MSG1 is two micro-operations, SHA256MSG2
// four; vector micro-operations have four pipes, loads and stores their own):
//
//	              SHA256RNDS2   vector micro-operations   bound
//	vr5           60            187                       60 cycles: the SHA unit
//	n4            60            294                       73.5 cycles: the pipes
//
// On that core the loops measure 70.0 (vr5) and 93.4 cycles (n4) on a quiet
// machine. On an Intel core of the generation of 2023 one SHA256RNDS2 may
// begin every three cycles, as measured: there the bound is 180 cycles, and
// both kernels are at it (179.6 and 181), in whatever order the instructions
// are.
//
// # What was tried
//
// Found useful, all on Zen 3:
//
//   - Staggering the lanes. In step they all want the same pipe at once.
//   - Keeping the newest schedule vector of a lane in a register. It is read
//     two times by the next step, and a store needs nine cycles to reach a load.
//   - Rounds first, then the step of the schedule that the next rounds need:
//     the chain of rounds is the longest, so it goes first.
//   - Words of constants by two loads (16 bytes, then the upper 8) in place of
//     a load and a shuffle: loads have spare room, shuffles have two pipes.
//   - Searching the order of the instructions, below.
//
// Found harmful: words plus constants through a store and two loads, to spare
// the shuffle where the words are not constant (17 % slower). SHA256MSG2 with a
// memory operand (three cycles in place of two). Vectors of 256 bits anywhere in
// a loop with SHA instructions: those exist in the encodings of SSE only, and a
// switch between the two costs hundreds of cycles on some processors while the
// upper halves are not zero. So there is a VZEROUPPER at the entry of each
// function and nothing but vectors of 128 bits inside.
//
// # From list to text
//
// A builder (builder.go, second.go, versions.go, nonces.go) goes through the 30
// slots of an iteration, lane by lane, and appends instructions to a list,
// assigning registers as it goes: two per lane for the state, X0 for the words
// of the next rounds (SHA256RNDS2 insists on it), the others in turn. What it
// does is settled by an arrangement: the offsets of the lanes, their sequence
// within a slot, and whether the second hash's first rounds follow the turn at
// once.
//
// Each instruction (inst.go) knows the registers, vectors of the context and
// other things that it reads and writes. Two whose effects meet, unless both
// only read, must stay in their order; everything else may move. An order file
// (orders/) holds an arrangement and a permutation of the list that it builds,
// in ranges, as most instructions stay beside their neighbours. The generator
// checks that the permutation keeps every dependency and prints the loop in it.
// So an order can make a kernel slower, and never wrong.
//
// Registers are assigned before the search, on purpose: what may move is then
// a matter of comparing sets, and a thousand instructions need no allocator
// that could fail. As temporaries go round, an order has some slack in each.
//
// # How to search
//
// An out-of-order core chooses by itself which instruction goes next, and
// chooses the oldest one that is ready, not the one that others wait for. With
// a thousand instructions in a loop and a window of some hundred, which ones
// are in the window is what the order decides. There is no model of it worth
// trusting: the public one for Zen 3 in llvm-mca (14 and 19) has SHA256RNDS2 at half
// its measured speed and says 166 cycles for every order of vr5 that it was
// given. So orders are measured:
//
//	go run ./hashengine/asmgen search -kernel vr5 -seconds 3600 -core 3
//
// It encodes the list to machine code (encode_amd64.go; a test compares the bytes
// with the Go assembler's), runs it from executable memory on one processor,
// and climbs: a few instructions are moved at random, as far as dependencies
// allow; what is not slower is kept, so that it drifts across plains too. With
// -stagger 0.3 the first third of the time goes to random arrangements, and
// the best one is the start if it is better than the frozen order.
//
// Measuring is the difficult part, as other load comes and goes. A chunk is a
// few microseconds, of 24 chunks the third quickest counts, and a sample counts
// only if a reference loop ran at its clean speed before and after. Cycles come
// from a chain of dependent additions beside each sample, since the clock
// changes; the additions are of registers, as some cores add constants for
// nothing while they rename. At the end the frozen and the found order are
// measured in turns, and only if the new one is better by more than noise is
// the order file written. Then:
//
//	go generate ./hashengine/... && go test ./hashengine/...
//
// Orders belong to a core. The committed ones were found on Zen 3. Where the
// SHA unit is the bound by far, as on the Intel core above, searches of a minute
// found nothing that is better by half a percent.
//
// # Adding a kernel
//
// A kernel is a file with a function that returns a text, and a line in the
// list of main.go. One that wants its order searched builds a [kernel] from an
// [arrangement], is named in the list of order.go, and gets an order file with
// the identity, 0 to the last place, to begin with.
package main
