// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/handlers/decider"
	"github.com/ballast-energy/ballast/handlers/dispatch"
)

// Errors of this package.
var (
	// ErrRef: what was asked for is no reference to a command.
	ErrRef = errors.New("not a command")
	// ErrUnknown: the record does not hold what was asked for (any more).
	ErrUnknown = errors.New("not in the record")
	// ErrReplay: the state cannot be made again from what is kept.
	ErrReplay = errors.New("cannot be folded again")
)

// Ref names a command or a decision.
type Ref struct {
	// Site; may be empty with Sequence, and where the bus has one site only.
	Site string
	// Key of an output of dispatch, when HasKey.
	Key    events.OrderKey
	HasKey bool
	// Sequence in stream COMMANDS, when not 0.
	Sequence uint64
	// Unit whose newest command is meant, when not empty. With nothing else set
	// it is the newest decision of the site.
	Unit string
}

// maxRef is the longest reference that is looked at.
const maxRef = 512

// ParseRef reads a reference as people have it before them: the id of an event
// (<site>/dispatch/<epoch>/<sequence>/<ordinal>), its order key
// (<epoch>/<sequence>/<ordinal>), or its place in the stream (COMMANDS/<sequence>
// or the number alone). Any other text is an ErrRef.
func ParseRef(s string) (Ref, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxRef {
		return Ref{}, refused(s[:32]+"…", "it is too long")
	}
	if site, name, key, ok := decider.ParseMessageID(s); ok {
		switch {
		case events.CheckToken("site", site) != nil:
			return Ref{}, refused(s, "it names no site")
		case name != dispatch.Name:
			return Ref{}, fmt.Errorf("%w: %s is an output of decider %s, and only what %s decides moves power: ballast journal replay --decider %s shows what that one says",
				ErrRef, strconv.Quote(s), name, dispatch.Name, name)
		}
		return Ref{Site: site, Key: key, HasKey: true}, nil
	}
	number := s
	if rest, ok := strings.CutPrefix(s, events.StreamCommands+"/"); ok {
		number = rest
	}
	if n, err := strconv.ParseUint(number, 10, 64); err == nil && n > 0 {
		return Ref{Sequence: n}, nil
	}
	if _, _, key, ok := decider.ParseMessageID("x/" + dispatch.Name + "/" + s); ok {
		return Ref{Key: key, HasKey: true}, nil
	}
	return Ref{}, refused(s, "")
}

func refused(s, why string) error {
	if why != "" {
		why = " (" + why + ")"
	}
	return fmt.Errorf("%w: %s%s; give the id of an event as ballast watch command --json prints it (tx1/dispatch/3/81250/0), its key (3/81250/0), its place (COMMANDS/5521), or --unit or --last",
		ErrRef, strconv.Quote(s), why)
}
