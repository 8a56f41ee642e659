// SPDX-License-Identifier: Apache-2.0

package pull

import "strings"

// Place is what the reply subject of a delivery says.
type Place struct {
	// Tries is how often the consumer delivered the message, from 1.
	Tries uint64
	// Sequence in the stream, Delivery in the consumer, Pending messages
	// behind it.
	Sequence, Delivery, Pending uint64
	// Arrived in the stream, Unix nanoseconds.
	Arrived int64
}

// ParsePlace reads $JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<delivery>.
// <nanoseconds>.<pending>, or the longer form with domain and account before
// the stream and perhaps a token behind. It allocates nothing.
func ParsePlace(reply string) (Place, bool) {
	const lead = "$JS.ACK."
	if !strings.HasPrefix(reply, lead) {
		return Place{}, false
	}
	skip := 2 // stream, consumer
	if dots := strings.Count(reply, "."); dots >= 10 {
		skip += 2
	} else if dots != 8 {
		return Place{}, false
	}
	rest := reply[len(lead):]
	for range skip {
		rest = rest[strings.IndexByte(rest, '.')+1:]
	}
	var n [5]uint64
	for k := range n {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			n[k] = n[k]*10 + uint64(rest[i]-'0')
			i++
		}
		if i == 0 || i > 19 || i < len(rest) && rest[i] != '.' || i == len(rest) && k < 4 {
			return Place{}, false
		}
		rest = rest[min(i+1, len(rest)):]
	}
	return Place{Tries: n[0], Sequence: n[1], Delivery: n[2], Arrived: int64(n[3]), Pending: n[4]}, true
}
