// SPDX-License-Identifier: Apache-2.0

// Package bustest helps tests that use a real bus on a machine that may be busy.
//
//	bustest.Publish(ctx, t, b, events.New("demo", "meter", reading))
//	addr := bustest.FreeAddress(t)
//
// All functions may be called from several goroutines at a time, but from that of
// the test only as far as they end it (testing.T.FailNow).
package bustest
