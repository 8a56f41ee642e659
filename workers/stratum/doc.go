// SPDX-License-Identifier: Apache-2.0

// Package stratum is the wire format of Stratum V1, the protocol in which
// pools and mining machines talk: one JSON object per line over TCP or TLS. It
// is used by both sides, workers/stratum/client towards pools and
// workers/stratum/server towards machines, and opens no connection itself.
//
// # Usage
//
//	r := stratum.NewReader(conn, 0)
//	var m stratum.Message
//	for {
//		err := r.Next(&m)
//		if stratum.Recoverable(err) { … } // a line too long, not JSON: may go on
//		switch m.Kind() {
//		case stratum.Request: switch m.Method { case stratum.MethodSubmit: err = submit.Parse(m.Params) … }
//		case stratum.Reply:   id, ok := m.Number()
//		}
//	}
//
// What goes out is appended to a buffer of the caller's, one whole line with
// its end per call: [AppendSubmit], [AppendTrue], [Notify.Append] and so on.
//
// # Reading
//
// Reading is tolerant where pools and firmware differ without harm (ids of any
// type, the three shapes of an error, empty lines, \r\n, several objects in a
// line, params longer than expected) and strict where a mistake would cost
// shares: hex of exactly the right length, difficulties exact. Everything is
// bounded: the line, the depth, the branches, every text. No input makes it
// panic, and no error quotes more than 80 characters of it.
//
// # Memory
//
// A Message aliases the Reader's buffer until the next call of Next; so do the
// Worker and JobID of a Submit. Texts of type string are copies.
//
// # Concurrency
//
// A Reader, a Message and a Submit belong to one goroutine at a time. The rest
// are functions of their arguments.
package stratum
