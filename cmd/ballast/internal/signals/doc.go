// SPDX-License-Identifier: Apache-2.0

// Package signals keeps for people what issuers ask of sites: every grid signal
// with its window and the state it is in, from announced to over, and for every
// grid programme whether its issuer is heard. Commands and the terminal view
// share it.
//
// It judges by the wall clock. The dispatch decider, which decides, also wants
// elapsed time before it ends a reduction, and merges floods; after a jump of
// the clock the two may differ, and the decider's word is in dispatch.decided.
//
// # Usage
//
//	var book signals.Book
//	book.Fold(event) // of stream INPUTS, in order
//	for _, r := range book.Rows(time.Now()) { … }
//
// # Concurrency
//
// One goroutine at a time.
package signals
