// SPDX-License-Identifier: Apache-2.0

// Package crowdtest is a crowd of miners for benchmarks of what they connect to.
// It is no part of the product.
//
// # Usage
//
//	func TestMain(m *testing.M) {
//		if crowdtest.Main() { // the crowd's process ends here
//			return
//		}
//		…
//	}
//
//	crowd, err := crowdtest.Start(crowdtest.Plan{Address: …, Miners: 10_000, Every: 10 * time.Second})
//	// it mines
//	err = crowd.Turn() // what comes now is reported apart
//	report, err := crowd.End()
//
// The crowd is a process of its own, made of the test's own binary, so that its
// memory, files and processor time are not those of the server under test. It
// costs as little as it can, for it runs beside that: one thread polls all
// sockets. When something arrived it has from the kernel, which stamps it as the
// server's write ends; that the crowd's own thread comes to read it later is no
// fault of the server's. It runs on Linux only.
//
// Give it the lowest difficulty there is: it searches for its shares.
//
// # Concurrency
//
// A Crowd belongs to one goroutine.
package crowdtest
