// SPDX-License-Identifier: Apache-2.0

// Package shelf keeps the transactions of block templates in a folder, so that a
// block can be made of a job that was handed out before a restart.
//
// # Usage
//
//	s := shelf.New(shelf.Config{Dir: dir, Keep: 64})
//	err := s.Put(shelf.Template{Key: key, Previous: hash, IDs: hashes, Data: data})
//	data, err := s.Find(key)        // after a restart, too
//	err = s.Close()
//
// # What is kept
//
// Templates behind one block have most transactions in common. So they share a
// file: each record adds only what the file does not have yet and refers to the
// rest, compressed. Another previous block begins another file, as does every
// start of the process. What is behind the newest Config.Keep templates or
// beyond Config.MaxBytes is removed, file by file, the oldest first. Four
// megabytes of transactions every 30 s take about as much for the first
// template behind a block, and what has come in for each that follows.
//
// A record is on the disk when Put returns. One that was cut short by the end
// of the process, or is damaged, is as if it were not there; those before it
// are read.
//
// # Concurrency
//
// All methods may be called from anywhere; they wait for each other. A folder
// belongs to one process: another one would remove what the first still wants.
package shelf
