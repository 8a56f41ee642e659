// SPDX-License-Identifier: Apache-2.0

// Package events is the Go face of the Ballast contract: every fact that
// crosses the bus is an Event, an envelope (who, where, when, caused by what)
// around one typed payload whose JSON Schema lives in schemas/.
//
// # Usage
//
// Publish through a bus (package events/bus):
//
//	err := b.Publish(ctx, events.New("tx1", "feeder-a", &events.MeterReading{
//		PowerWatts: 41_200_000, SampledAt: now, Quality: events.QualityGood,
//	}))
//
// Read what is stored, decoded and in order:
//
//	for ev, err := range events.Read[events.RevenueAccrued](ctx, b, events.Since(t)) {
//		if err != nil { return err }
//		fmt.Println(ev.Site, ev.Data.ValueMillisats)
//	}
//
// Add events.Follow() to go on with what arrives later.
//
// # The subject says what it is
//
// The subject alone names site, type and source (see names.go), so whoever
// types `nats pub ballast.tx1.grid.signal.ercot '{"kind":"curtail",…}'` needs
// no header. Headers carry CloudEvents 1.0 attributes in binary mode when the
// publisher has more to say: an id of its own, a time, a cause.
//
// # Exactness
//
// Power is integer watts, energy integer milliwatt-hours, bitcoin integer
// millisatoshi, money integer micro-dollars. Integers stay within ±(2^53−1) so
// that every JSON reader sees the same number; what may exceed that
// (difficulty sums, remainders, hashes) is a string. Times are RFC 3339 UTC.
//
// # Concurrency
//
// Event and the payload types are plain values without locks: share them only
// after the last write. Encode and Decode are safe for concurrent use; a
// Decoder is not, and with Reuse the Event it returns is valid until its next
// call.
package events
