// SPDX-License-Identifier: Apache-2.0

// Package simulate runs the real deciders (dispatch and settlement, behind the
// real runner) and the real permit machines together under a virtual clock and a
// virtual network. A run of ten minutes takes a tenth of a second, and every run
// follows from its story alone: the same seed gives the same run, to the byte.
//
// # Usage
//
//	r, err := simulate.Run(simulate.NewStory(seed), os.Stdout) // with a trace
//	if r.Violation != nil {
//		small := simulate.Shrink(ctx, simulate.NewStory(seed))
//		err = small.Write(file, r.Violation.Error())
//	}
//	sum, err := (&simulate.Campaign{Seeds: 10_000}).Run(ctx)
//
// # What is real and what is modelled
//
// Real: every byte on the wire (events.Encode and Decode), decider.Runner with
// its epochs, chain, snapshots and batches, dispatch, settlement and its ledger,
// permit.Panel, and the rules of a host in package replica, which handlers/host
// follows, too: when it must look before it speaks, what of a fold is not said
// yet, what waits unconfirmed and goes back, when there are checkpoints and
// snapshots, what is done at one and when one may be stored, whether a snapshot
// and what was said belong to the journal, which bookings are taken back, how a
// fact is copied into the journal and what is done about an id that is known.
//
// Modelled, because the originals are made of I/O: the server (streams with
// sequences, message ids, a duplicate window, a journal that can lose its end, the
// wire ahead of the stream), the course of a host between those rules (sessions,
// following, waiting for answers, the place of its relay, its tick), the agent
// around the permit machines, and the floor: machines, AI load and meters.
//
// The modelled host publishes every batch by itself, where a host gathers those
// of several causes; it lets nobody go first and does not follow the output
// streams. A state that differs from a checkpoint ends the run: no modelled host
// is ever muted. The server opens an epoch for every start of its own, so that no
// host must find out that the journal lost its end; the rules for that are
// exercised, but what they find is that all belongs together.
//
// Faults are listed in story.go, the rules that must hold in oracle.go. The floor
// is watched by an oracle that knows what was delivered and what was true. The
// record is held against the rules by a judge that knows what the journal says,
// and then replayed: every command must come out again.
//
// A meter tells a believable untruth only where others at its node know better,
// and while it does no other meter fails; two such at once cannot be told from a
// real load. Everything else goes together as it comes.
//
// Every fifth story has an act behind all its other faults in which a unit
// acknowledges its orders and hashes on, and nothing else is wrong. It has to be
// asked again, others have to make room, and its outlet has to be cut or people be
// called, each within the times that dispatch declares. A meter falls a moment
// before the unit says so that has fallen; where its fall thus counts for the one
// that draws on, what is drawn has to be found out as draw that nobody admits, if
// need be against another unit beneath those meters; of that only units are accused
// that may draw nothing. In all stories each step has to follow the one before, and
// to be done where it is told.
//
// Half of these acts have outlets before the units, some with controllers that lose
// commands, fail, or say that they switched and did not. A unit without power
// draws nothing, gets no permit, and comes back when an operator asks for it.
//
// In every third story without jumping clocks AI jobs announce some steps of the
// load. Where one does so in time, and all is quiet, mining must have made way when
// the step comes: there is no response time.
//
// Three of four sites have a power tree: one to five levels, agents, loads and
// meters at any node, some nodes without meters. The floor and the record are
// held against the limits of every node. Draw that no command reaches counts
// where a mining meter shows it.
//
// # Scenario files
//
// "#" begins a comment; commas are for the eye. Times count from the start.
//
//	seed 42                          run until 90s
//	host host-a [version V]          the first host's version speaks first
//	config KEY VALUE …               as in handlers/scenario; config jobs: heed AI jobs
//	config node N [in N] [2n] [n+1 of K paths] limit P [factor S] [cooling P] [KEY VALUE …] [agent W …]
//	config meter M measures WHAT [at N], every D, stale D, range P to P [stuck D] [group G]
//	worker W has N units of P [at E J/TH] [min P] [falls D] [levels P …] [meter M] [node N]
//	config outlet O by CONTROLLER feeds W [unit W-N]
//	at 0s house load P [at N]        at T ai load P [at N]
//	at T limit|cooling of N becomes P
//	at T signal KIND [to P] [for D] from ISSUER id ID [at N] [in D] [ramp D] [cancels ID]
//	at T job ID STATE [at N] [peak P] [seen by M]… [starting in D]
//	at T operator switches outlet O on|off
//	from T to T WHO FAULT
//
// FAULT is one of these, of a host, a worker, a unit (W-1, W-2 …), a meter, a
// controller of outlets, the bus or everything:
//
//	loses N% of its messages         repeats N% of its messages
//	has messages delayed by D        has messages overtake each other within D
//	is cut off                       is cut off and its messages come afterwards
//	is down                          is down while its machines hash on
//	is down and loses D of its journal
//	crashes after its next|every publish|acknowledgement|snapshot
//	crashes between fold|every fold and publish
//	ignores its orders               restarts
//	switches nothing and says it does
//	cannot switch                    (a controller)
//	is silent                        is frozen
//	reads no number                  reads the wrong sign
//	reads a thousandth               reads a thousand times too much
//	is dated D ahead|behind          has its clock D ahead|behind
//	decides
//
// # Concurrency
//
// Runs share nothing. A Campaign plays several at once.
package simulate
