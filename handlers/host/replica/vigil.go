// SPDX-License-Identifier: Apache-2.0

package replica

import "time"

// SendHorizon is the age of a cause beyond which those of its outputs that are
// sent without being stored (renewals) are not sent: no lease lives that long.
const SendHorizon = 15 * time.Second

// Vigil decides when a replica must look into the output streams before it says
// anything. The server keeps one copy of what equal replicas say for as long as
// it remembers the ids: what is said within half of that time needs no look. The
// other half is for the way there.
type Vigil struct {
	// Half of the time for which the server remembers an id.
	Half   time.Duration
	paused bool
}

// Turned is called with every message of the journal and says how long ago the
// one before was. A replica that stood still may have been on its way for longer
// than the server remembers.
func (v *Vigil) Turned(since time.Duration) {
	if since > v.Half {
		v.paused = true
	}
}

// MustLook reports whether the outputs of a cause of that age may only be said
// after a look, the last of which began so long ago. What was stored less than
// half a window ago the server still knows; what was stored before the last look
// the replica knows.
func (v *Vigil) MustLook(age, sinceLook time.Duration) bool {
	return v.paused || age > v.Half && sinceLook > v.Half
}

// Looked is called after a look that came to its end.
func (v *Vigil) Looked() { v.paused = false }

// Elapsed between two moments is the longer of what a clock that only counts up
// and the wall clock say: one stands still while the machine sleeps, the other
// can be set.
func Elapsed(steady, wall time.Duration) time.Duration { return max(steady, wall) }

// MaySend reports whether the unstored outputs of a cause of that age are of use
// to anybody.
func MaySend(age time.Duration) bool { return age <= SendHorizon }

// MaySpeak reports whether a replica says what its folds decide: its version is
// the activated one, and it is not muted because its state differs from the
// first checkpoint stored.
func MaySpeak(activated, muted bool) bool { return activated && !muted }
