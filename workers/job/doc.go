// SPDX-License-Identifier: Apache-2.0

// Package job turns a work.assigned event into block headers: the coinbase
// transaction under an extranonce, the merkle root over it, and the header
// that is hashed. Who hashes and who checks shares use the same code.
//
// # Usage
//
//	t, err := job.Parse(work)
//	header, err := t.Header(extranonce)
//	search := hashengine.NewWork(header, t.VersionMask, t.ShareTarget)
//
// # Concurrency
//
// A Template is not changed by its methods and may be used by many goroutines.
package job
