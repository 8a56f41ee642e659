// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ballast-energy/ballast/events"
)

// Login is what a miner says who it is.
type Login struct {
	// User and Password as they were sent.
	User, Password string
	// Agent is the user agent of mining.subscribe, when that came before.
	Agent string
	// Address that it connects from.
	Address netip.Addr
	// TLS: the connection is encrypted.
	TLS bool
}

// Authoriser decides who may mine.
type Authoriser interface {
	// Authorise returns the unit token, [a-z0-9-]{1,64}, under which the
	// shares of a login are counted. An error refuses it; its text is for the
	// log, the miner hears only that it is unauthorised. It is called from
	// many connections at once; ctx ends with the connection and after the
	// time that is left for the opening.
	Authorise(ctx context.Context, l Login) (unit string, err error)
}

// AuthoriserFunc is a function as an Authoriser.
type AuthoriserFunc func(ctx context.Context, l Login) (string, error)

// Authorise calls f.
func (f AuthoriserFunc) Authorise(ctx context.Context, l Login) (string, error) { return f(ctx, l) }

// ErrNoName is returned for a user name in which nothing can name a unit.
var ErrNoName = errors.New("the user name holds no letter or digit that could name a unit")

// AnyName authorises every login under [UnitToken] of its user name. It is for
// networks where only the owner's machines can connect.
func AnyName(_ context.Context, l Login) (string, error) { return UnitToken(l.User) }

// UnitToken makes the token of a unit from a user name "account.worker": the
// part behind the first dot, or the whole where there is none, in lower case,
// with a dash for everything that is no letter or digit. Names that differ in
// nothing else give the same token.
func UnitToken(user string) (string, error) {
	name := user
	if _, worker, ok := strings.Cut(user, "."); ok && strings.Trim(worker, ". ") != "" {
		name = worker
	}
	token := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
	token = strings.Trim(token, "-")
	if len(token) > 64 {
		token = strings.Trim(token[:64], "-")
	}
	if token == "" {
		return "", fmt.Errorf("user %q: %w", events.ClipText(user), ErrNoName)
	}
	return token, nil
}

// wishedDifficulty is the difficulty that a password asks for with d= or
// diff=, among options divided by commas, semicolons or spaces.
func wishedDifficulty(password string) (string, bool) {
	for _, option := range strings.FieldsFunc(password, func(r rune) bool { return r == ',' || r == ';' || r == ' ' }) {
		name, value, ok := strings.Cut(option, "=")
		if ok && (strings.EqualFold(name, "d") || strings.EqualFold(name, "diff")) {
			return value, true
		}
	}
	return "", false
}
