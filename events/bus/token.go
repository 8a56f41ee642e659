// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/ballast-energy/ballast/events"
)

// tokenMark opens every join token; the digit is the version of the format.
const tokenMark = "ballast-join-1."

// maxToken bounds what ParseToken looks at, bytes.
const maxToken = 64 << 10

// tokenSum is how many hex digits of the digest close a token: enough to tell
// a slip of copy and paste from a refusal by the server.
const tokenSum = 8

// ErrToken is wrapped by every error of ParseToken.
var ErrToken = errors.New("bus: not a join token")

// Identity says as whom a token speaks.
type Identity struct {
	// Role decides what may be published and subscribed.
	Role Role
	// ID is the source token of what it publishes: the agent of a worker.
	ID string
	// Site it may speak about; empty means every site.
	Site string
	// User is the public nkey, the name by which a token is revoked.
	User string
	// Expires is when the server stops accepting it; zero means never.
	Expires time.Time
}

// Token is all that a process needs to join a bus: where it is, who it may be
// there, and the secret. Treat its text as a password.
type Token struct {
	Identity
	// Servers are URLs of the bus; empty when it was minted for use inside
	// the process.
	Servers []string
	// UserJWT is signed by the bus's authority; Seed is the secret nkey.
	UserJWT string
	Seed    []byte
	// CA in PEM to verify the servers with, when they use TLS under an
	// authority of their own.
	CA []byte
}

type tokenWire struct {
	Servers []string `json:"s"`
	JWT     string   `json:"j"`
	Seed    string   `json:"k"`
	CA      string   `json:"c,omitempty"`
}

// String is the whole token in one word without spaces. It holds the secret.
func (t Token) String() string {
	raw, err := json.Marshal(tokenWire{t.Servers, t.UserJWT, string(t.Seed), string(t.CA)})
	if err != nil {
		return "" // strings always marshal
	}
	body := base64.RawURLEncoding.EncodeToString(raw)
	return tokenMark + body + "." + digest(body)
}

// Creds is the token in the file format of the nats tools (`nats --creds`).
func (t Token) Creds() ([]byte, error) {
	out, err := jwt.FormatUserConfig(t.UserJWT, t.Seed)
	if err != nil {
		return nil, fmt.Errorf("bus: credentials file: %w", err)
	}
	return out, nil
}

func (t Token) serverList() string { return strings.Join(t.Servers, ",") }

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])[:tokenSum]
}

// ParseToken reads what Token.String wrote. It trusts nothing: the server
// decides whether the token is good, this only whether it is whole.
func ParseToken(s string) (Token, error) {
	bad := func(format string, args ...any) (Token, error) {
		return Token{}, fmt.Errorf("%w: "+format, append([]any{ErrToken}, args...)...)
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return bad("it is empty; `ballast join-token` prints one")
	}
	if len(s) > maxToken {
		return bad("it is %d bytes long, at most %d", len(s), maxToken)
	}
	rest, ok := strings.CutPrefix(s, tokenMark)
	if !ok {
		if strings.HasPrefix(s, "ballast-join-") {
			return bad("it is of a format that this version does not read (want %s…): use the same version of ballast on both sides", tokenMark)
		}
		return bad("it does not begin with %s", tokenMark)
	}
	body, sum, ok := strings.Cut(rest, ".")
	if !ok || len(sum) != tokenSum {
		return bad("it is cut short: copy it whole")
	}
	if digest(body) != sum {
		return bad("its checksum does not match: copy it again, whole and without line breaks")
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return bad("body: %v", err)
	}
	var w tokenWire
	if err := json.Unmarshal(raw, &w); err != nil {
		return bad("body: %v", err)
	}
	return assemble(w)
}

// assemble checks that the parts fit together.
func assemble(w tokenWire) (Token, error) {
	bad := func(format string, args ...any) (Token, error) {
		return Token{}, fmt.Errorf("%w: "+format, append([]any{ErrToken}, args...)...)
	}
	claims, err := jwt.DecodeUserClaims(w.JWT)
	if err != nil {
		return bad("user: %v", err)
	}
	id, err := identityOf(claims)
	if err != nil {
		return bad("%v", err)
	}
	kp, err := nkeys.FromSeed([]byte(w.Seed))
	if err != nil {
		return bad("secret: %v", err)
	}
	defer kp.Wipe()
	if pub, err := kp.PublicKey(); err != nil || pub != id.User {
		return bad("its secret belongs to another user")
	}
	if len(w.CA) > 0 {
		if _, err := parseCA([]byte(w.CA), "the token"); err != nil {
			return bad("%v", err)
		}
	}
	return Token{Identity: id, Servers: w.Servers, UserJWT: w.JWT, Seed: []byte(w.Seed), CA: []byte(w.CA)}, nil
}

// Names of the tags by which a user carries its identity.
const (
	tagRole   = "role:"
	tagSite   = "site:"
	tagSource = "source:"
)

func identityOf(c *jwt.UserClaims) (Identity, error) {
	id := Identity{ID: c.Name, User: c.Subject}
	if c.Expires != 0 {
		id.Expires = time.Unix(c.Expires, 0).UTC()
	}
	for _, tag := range c.Tags {
		if v, ok := strings.CutPrefix(tag, tagRole); ok {
			id.Role = Role(v)
		}
		if v, ok := strings.CutPrefix(tag, tagSite); ok && v != "*" {
			id.Site = v
		}
	}
	if _, ok := roleTable[id.Role]; !ok {
		return Identity{}, fmt.Errorf("unknown role %q", id.Role)
	}
	if err := events.CheckToken("id", id.ID); err != nil {
		return Identity{}, err
	}
	if id.Site != "" {
		if err := events.CheckToken("site", id.Site); err != nil {
			return Identity{}, err
		}
	}
	return id, nil
}
