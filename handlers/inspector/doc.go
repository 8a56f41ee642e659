// SPDX-License-Identifier: Apache-2.0

// Package inspector reads what was stored and writes a dead letter about
// everything that nobody can use: unreadable or invalid payloads, unknown
// sites, impossible dates. Deciders and reactors skip such messages; the
// inspector is who says so.
//
// # Usage
//
//	i, err := inspector.New(inspector.Config{Bus: b, Name: "inspector", Sites: []string{"tx1"}})
//	err = i.Run(ctx)
//
// # Floods
//
// Of one source, subject type and minute at most Config.PerMinute messages get
// a letter each; the others are counted, one alert is raised, and cleared when
// the source is quiet again. Nothing stalls: a flood is read as fast as it
// came.
//
// # Replicas and restarts
//
// Each inspector reads every stream in order and keeps its position beside the
// decider snapshots. Several of one name write each letter once: the ids are
// equal, and after a start or a pause the inspector reads which letters exist.
// Payloads beyond the server's limit never get here: the server refuses them
// and the sender sees why.
//
// # Concurrency
//
// Inspector is safe for concurrent use; Run may be called once.
package inspector
