// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Grant is what a join token should be good for.
type Grant struct {
	// Role of the bearer.
	Role Role
	// ID is the source token under which it speaks: the agent of a worker,
	// the name of a gateway, of a person.
	ID string
	// Site it may speak about. A worker needs one; issuers and sources may
	// have one (empty means every site); others see every site.
	Site string
	// Sources are the source tokens of an issuer or a source that speaks for
	// several (a meter gateway); empty means ID only.
	Sources []string
	// TTL after which the server stops accepting it; 0 means never.
	TTL time.Duration
	// Servers to put into the token, and the authority to trust them by.
	Servers []string
	CA      []byte
}

// Authority signs the users of one bus. It lives in the data directory of the
// embedded server, so whoever can read that directory can mint any role; the
// running server accepts what it signs at once, and notices revocations within
// about a second. Safe for concurrent use; several processes may hold the same.
//
// The permissions of a role are not in the tokens but in the account that the
// server reads at its start: a new version of Ballast changes what a role may
// do without new tokens.
type Authority struct {
	file   string
	prefix string

	mu   sync.Mutex
	keys keyring
}

// keyring is what is kept. Seeds are secrets.
type keyring struct {
	Operator string          `json:"operator_seed"`
	System   string          `json:"system_seed"`
	Account  string          `json:"account_seed"`
	Readers  string          `json:"readers_seed"`
	Signers  map[Role]string `json:"role_seeds"`
	// Revoked maps a user's public key to the Unix second up to which what
	// was issued to it is refused.
	Revoked map[string]int64 `json:"revoked,omitempty"`
}

// accountName is how the server calls the one account in which all live.
const accountName = "ballast"

func authorityFile(dataDir string) string { return filepath.Join(dataDir, "auth", "keys.json") }

// OpenAuthority opens the authority of an embedded server's data directory and
// makes one on first use. prefix is the subject prefix of the bus.
func OpenAuthority(dataDir, prefix string) (*Authority, error) {
	a := &Authority{file: authorityFile(dataDir), prefix: prefix}
	if a.prefix == "" {
		a.prefix = Config{}.withDefaults().Prefix
	}
	if err := os.MkdirAll(filepath.Dir(a.file), 0o700); err != nil {
		return nil, fmt.Errorf("bus: authority: %w", err)
	}
	err := a.load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.keys = keyring{}
	case err != nil:
		return nil, err
	}
	// A version that knows more roles adds their keys.
	changed, err := a.keys.complete()
	if err != nil {
		return nil, err
	}
	if changed {
		if err := a.save(); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (a *Authority) load() error {
	raw, err := os.ReadFile(a.file)
	if err != nil {
		return fmt.Errorf("bus: authority: %w", err)
	}
	var k keyring
	if err := json.Unmarshal(raw, &k); err != nil {
		return fmt.Errorf("bus: authority %s is damaged (restore it from a backup, or remove it and hand out new tokens): %w", a.file, err)
	}
	a.keys = k
	return nil
}

// save replaces the file as a whole, readable by its owner only.
func (a *Authority) save() error {
	raw, err := json.MarshalIndent(a.keys, "", "  ")
	if err != nil {
		return fmt.Errorf("bus: authority: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(a.file), ".keys-*") // 0600
	if err != nil {
		return fmt.Errorf("bus: authority: %w", err)
	}
	_, err = f.Write(append(raw, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), a.file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("bus: authority %s was not changed: %w", a.file, err)
	}
	return nil
}

// complete makes the keys that are missing.
func (k *keyring) complete() (changed bool, err error) {
	fill := func(seed *string, prefix nkeys.PrefixByte) {
		if *seed != "" || err != nil {
			return
		}
		var kp nkeys.KeyPair
		if kp, err = nkeys.CreatePair(prefix); err != nil {
			return
		}
		var raw []byte
		if raw, err = kp.Seed(); err == nil {
			*seed, changed = string(raw), true
		}
	}
	fill(&k.Operator, nkeys.PrefixByteOperator)
	fill(&k.System, nkeys.PrefixByteAccount)
	fill(&k.Account, nkeys.PrefixByteAccount)
	fill(&k.Readers, nkeys.PrefixByteAccount)
	if k.Signers == nil {
		k.Signers = make(map[Role]string)
	}
	for _, r := range slices.Sorted(maps.Keys(roleTable)) {
		s := k.Signers[r]
		fill(&s, nkeys.PrefixByteAccount)
		k.Signers[r] = s
	}
	if err != nil {
		return false, fmt.Errorf("bus: authority: make keys: %w", err)
	}
	return changed, nil
}

// pair opens a seed.
func pair(seed string) (nkeys.KeyPair, string, error) {
	kp, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return nil, "", fmt.Errorf("bus: authority: damaged key: %w", err)
	}
	pub, err := kp.PublicKey()
	if err != nil {
		return nil, "", fmt.Errorf("bus: authority: damaged key: %w", err)
	}
	return kp, pub, nil
}

// Mint makes a new user for g. Nothing is recorded: the token is valid because
// it is signed.
func (a *Authority) Mint(g Grant) (Token, error) {
	if err := g.check(); err != nil {
		return Token{}, err
	}
	if g.TTL < 0 {
		return Token{}, fmt.Errorf("bus: join token: lifetime %s is negative", g.TTL)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		return Token{}, fmt.Errorf("bus: join token: %w", err)
	}
	defer user.Wipe()
	claims, err := a.claims(g, user)
	if err != nil {
		return Token{}, err
	}
	text, err := a.sign(g.Role, claims)
	if err != nil {
		return Token{}, err
	}
	seed, err := user.Seed()
	if err != nil {
		return Token{}, fmt.Errorf("bus: join token: %w", err)
	}
	return assemble(tokenWire{Servers: g.Servers, JWT: text, Seed: string(seed), CA: string(g.CA)})
}

func (a *Authority) claims(g Grant, user nkeys.KeyPair) (*jwt.UserClaims, error) {
	pub, err := user.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("bus: join token: %w", err)
	}
	c := jwt.NewUserClaims(pub)
	c.SetScoped(true)
	c.Name = g.ID
	site := g.Site
	if site == "" {
		site = "*"
	}
	c.Tags.Add(tagRole+string(g.Role), tagSite+site)
	for _, s := range g.sources() {
		c.Tags.Add(tagSource + s)
	}
	if g.TTL > 0 {
		// Whole seconds on the wire: never less than asked for.
		c.Expires = time.Now().Add(g.TTL + time.Second - 1).Unix()
	}
	return c, nil
}

func (a *Authority) sign(r Role, c *jwt.UserClaims) (string, error) {
	a.mu.Lock()
	accountSeed, signerSeed := a.keys.Account, a.keys.Signers[r]
	if roleTable[r].aside {
		accountSeed = a.keys.Readers
	}
	a.mu.Unlock()
	_, account, err := pair(accountSeed)
	if err != nil {
		return "", err
	}
	signer, _, err := pair(signerSeed)
	if err != nil {
		return "", err
	}
	c.IssuerAccount = account
	text, err := c.Encode(signer)
	if err != nil {
		return "", fmt.Errorf("bus: sign a %s: %w", r, err)
	}
	return text, nil
}

// Revoke makes the server refuse the user of a token (Identity.User), and cut
// it off if it is connected. A new token for the same id is another user.
func (a *Authority) Revoke(user string) error {
	if !nkeys.IsValidPublicUserKey(user) {
		return fmt.Errorf("bus: revoke %q: not the public key of a user (U…)", user)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// Another process may have revoked somebody meanwhile.
	if err := a.load(); err != nil {
		return err
	}
	if a.keys.Revoked == nil {
		a.keys.Revoked = make(map[string]int64)
	}
	a.keys.Revoked[user] = time.Now().Unix()
	return a.save()
}

// Revoked lists the users that are refused, sorted.
func (a *Authority) Revoked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.keys.Revoked))
}

// accountClaims are the account of the streams and that of the readers, with
// the permission matrix, as of now.
func (a *Authority) accountClaims() ([]*jwt.AccountClaims, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	main, err := a.account(a.keys.Account, accountName, false)
	if err != nil {
		return nil, err
	}
	main.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	readers, err := a.account(a.keys.Readers, accountName+"-readers", true)
	if err != nil {
		return nil, err
	}
	for _, s := range under(a.prefix, everything()) {
		main.Exports.Add(&jwt.Export{Name: s, Subject: jwt.Subject(s), Type: jwt.Stream})
		readers.Imports.Add(&jwt.Import{Name: s, Subject: jwt.Subject(s), Account: main.Subject, Type: jwt.Stream})
	}
	for i, s := range api(readerAPI...) {
		// One request may have many answers: the messages of a consumer.
		main.Exports.Add(&jwt.Export{Name: s, Subject: jwt.Subject(s), Type: jwt.Service, ResponseType: jwt.ResponseTypeStream})
		readers.Imports.Add(&jwt.Import{
			Name: s, Subject: jwt.Subject(s), Account: main.Subject, Type: jwt.Service,
			LocalSubject: jwt.RenamingSubject(strings.ReplaceAll(readerServices()[i], "*", "$1")),
		})
	}
	return []*jwt.AccountClaims{main, readers}, nil
}

// account has the roles that live aside, or the others.
func (a *Authority) account(seed, name string, aside bool) (*jwt.AccountClaims, error) {
	_, pub, err := pair(seed)
	if err != nil {
		return nil, err
	}
	c := jwt.NewAccountClaims(pub)
	c.Name = name
	for role, seed := range a.keys.Signers {
		info, ok := roleTable[role]
		if !ok || info.aside != aside {
			continue // of the other account; or of a newer version, without rights here
		}
		_, key, err := pair(seed)
		if err != nil {
			return nil, err
		}
		scope := jwt.NewUserScope()
		scope.Key, scope.Role = key, string(role)
		if !info.all {
			scope.Template.Pub.Allow, scope.Template.Sub.Allow = info.templates(a.prefix)
		}
		c.SigningKeys.AddScopedSigner(scope)
	}
	for user, at := range a.keys.Revoked {
		c.RevokeAt(user, time.Unix(at, 0))
	}
	return c, nil
}

// signed is a claim under the operator's key.
func (a *Authority) signed(c jwt.Claims) (string, error) {
	kp, _, err := pair(a.keys.Operator)
	if err != nil {
		return "", err
	}
	text, err := c.Encode(kp)
	if err != nil {
		return "", fmt.Errorf("bus: authority: sign: %w", err)
	}
	return text, nil
}

// Authority of the embedded server, to mint and revoke; nil on a bus that is
// somebody else's.
func (b *Bus) Authority() *Authority { return b.auth }
