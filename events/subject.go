// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"strings"
)

// MaxToken is the longest prefix, site or source, in bytes.
const MaxToken = 64

// CheckToken reports why s cannot be a prefix, site or source: one token of
// [a-z0-9-], 1 to 64 bytes.
func CheckToken(what, s string) error {
	if s == "" {
		return fmt.Errorf("%s is empty: use 1 to %d of a-z, 0-9 and -", what, MaxToken)
	}
	if len(s) > MaxToken {
		return fmt.Errorf("%s %q is %d bytes long: at most %d", what, s[:16]+"…", len(s), MaxToken)
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%s %q holds %q: use a-z, 0-9 and - only", what, s, c)
		}
	}
	return nil
}

// Address is what a subject says.
type Address struct {
	// Prefix, Site and Source tokens.
	Prefix, Site, Source string
	// Type of the payload; a broadcast has TypeCommandCurtail and
	// BroadcastSource.
	Type Type
	// Relayed: the subject is that of a fact copied into JOURNAL.
	Relayed bool
	// Stored: the subject is that of a command repeated after it was stored.
	Stored bool
}

// Subject is where an event of type t by source about site is published.
func Subject(prefix, site string, t Type, source string) string {
	return prefix + "." + site + "." + string(t) + "." + source
}

// JournalSubject is where a relayed fact goes in JOURNAL.
func JournalSubject(prefix, site string, t Type, source string) string {
	return prefix + "." + site + "." + JournalToken + "." + string(t) + "." + source
}

// StoredSubject is where the server repeats a stored command.
func StoredSubject(prefix, site string, t Type, source string) string {
	return prefix + "." + site + "." + StoredToken + "." + string(t) + "." + source
}

// BroadcastSubject is where a reduction for a whole site is published.
func BroadcastSubject(prefix, site string) string {
	return prefix + "." + site + "." + BroadcastType
}

// ParseSubject splits a subject. It fails on tokens that cannot be and on
// types that the contract does not know, and allocates nothing on success.
func ParseSubject(subject string) (Address, error) {
	var a Address
	bad := func(why string) (Address, error) {
		return Address{}, fmt.Errorf("subject %q: %s; want <prefix>.<site>.<type…>.<source>", subject, why)
	}
	rest := subject
	var ok bool
	if a.Prefix, rest, ok = strings.Cut(rest, "."); !ok {
		return bad("no site")
	}
	if a.Site, rest, ok = strings.Cut(rest, "."); !ok {
		return bad("no type")
	}
	if CheckToken("prefix", a.Prefix) != nil || CheckToken("site", a.Site) != nil {
		return bad("prefix or site is no token of a-z, 0-9 and -")
	}
	if rest == BroadcastType {
		a.Type, a.Source = TypeCommandCurtail, BroadcastSource
		return a, nil
	}
	// journal.opened is a type of its own; journal.<type…>.<source> is a copy.
	if r, cut := strings.CutPrefix(rest, JournalToken+"."); cut {
		if t, src, found := splitType(r); found {
			a.Relayed, a.Type, a.Source = true, t, src
			return checkSource(a, subject)
		}
	} else if r, cut := strings.CutPrefix(rest, StoredToken+"."); cut {
		if r == BroadcastType {
			a.Stored, a.Type, a.Source = true, TypeCommandCurtail, BroadcastSource
			return a, nil
		}
		rest, a.Stored = r, true
	}
	t, src, found := splitType(rest)
	if !found {
		return bad("no known event type")
	}
	a.Type, a.Source = t, src
	return checkSource(a, subject)
}

func checkSource(a Address, subject string) (Address, error) {
	if err := CheckToken("source", a.Source); err != nil {
		return Address{}, fmt.Errorf("subject %q: %w", subject, err)
	}
	return a, nil
}

// splitType cuts "<type…>.<source>".
func splitType(s string) (Type, string, bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return "", "", false
	}
	j, ok := typeIndex[Type(s[:i])]
	if !ok {
		return "", "", false
	}
	return typeTable[j].Type, s[i+1:], true
}
