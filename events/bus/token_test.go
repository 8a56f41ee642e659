// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func testAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := OpenAuthority(t.TempDir(), "ballast")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTokenSurvivesTheTrip(t *testing.T) {
	a := testAuthority(t)
	before := time.Now()
	tok, err := a.Mint(Grant{Role: RoleWorker, ID: "rig-17", Site: "demo", TTL: time.Hour, Servers: []string{"nats://10.0.0.1:4222", "nats://10.0.0.2:4222"}})
	if err != nil {
		t.Fatal(err)
	}
	text := tok.String()
	if strings.ContainsAny(text, " \n\t'\"$") {
		t.Errorf("a shell would take %q apart", text)
	}
	got, err := ParseToken("\n " + text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != text || got.Identity != tok.Identity || got.serverList() != "nats://10.0.0.1:4222,nats://10.0.0.2:4222" {
		t.Errorf("%+v, want %+v", got, tok)
	}
	// It is dated in whole seconds.
	if got.Expires.Before(before.Add(time.Hour-time.Second)) || got.Expires.After(time.Now().Add(time.Hour+time.Second)) {
		t.Errorf("minted after %s, it expires %s", before, got.Expires)
	}
	creds, err := tok.Creds()
	if err != nil || !strings.Contains(string(creds), tok.UserJWT) {
		t.Errorf("credentials file: %v", err)
	}
}

func TestTokenErrorsSayWhy(t *testing.T) {
	a := testAuthority(t)
	one, err := a.Mint(Grant{Role: RoleViewer, ID: "wall"})
	if err != nil {
		t.Fatal(err)
	}
	other, err := a.Mint(Grant{Role: RoleViewer, ID: "wall"})
	if err != nil {
		t.Fatal(err)
	}
	mixed := one
	mixed.Seed = other.Seed
	badCA := one
	badCA.CA = []byte("no certificate")
	text := one.String()
	for name, tc := range map[string]struct{ in, want string }{
		"empty":      {"  ", "empty"},
		"other text": {"nats://127.0.0.1", "does not begin with"},
		"later":      {"ballast-join-9." + text[len(tokenMark):], "same version"},
		"cut":        {text[:len(text)-4], "cut short"},
		"half":       {text[:len(text)/2], "cut short"},
		"changed":    {text[:40] + "A" + text[41:], "checksum"},
		"mixed":      {mixed.String(), "another user"},
		"ca":         {badCA.String(), "certificate"},
		"long":       {tokenMark + strings.Repeat("a", maxToken), "bytes long"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseToken(tc.in)
			if !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v; want %q in it", err, tc.want)
			}
		})
	}
}

func TestMintRefuses(t *testing.T) {
	a := testAuthority(t)
	for name, g := range map[string]Grant{
		"no role":           {ID: "x"},
		"unknown role":      {Role: "king", ID: "x"},
		"no id":             {Role: RoleViewer},
		"wildcard id":       {Role: RoleWorker, ID: "*", Site: "demo"},
		"dots":              {Role: RoleWorker, ID: "a.b", Site: "demo"},
		"template":          {Role: RoleWorker, ID: "{{subject()}}", Site: "demo"},
		"worker, no site":   {Role: RoleWorker, ID: "x"},
		"wildcard site":     {Role: RoleWorker, ID: "x", Site: "*"},
		"viewer of a site":  {Role: RoleViewer, ID: "x", Site: "demo"},
		"worker as another": {Role: RoleWorker, ID: "x", Site: "demo", Sources: []string{"y"}},
		"wildcard source":   {Role: RoleSource, ID: "x", Sources: []string{">"}},
		"false operator":    {Role: RoleIssuer, ID: "operator"},
		"operator source":   {Role: RoleIssuer, ID: "x", Sources: []string{"operator"}},
		"source operator":   {Role: RoleSource, ID: "operator"},
		"negative lifetime": {Role: RoleViewer, ID: "x", TTL: -1},
	} {
		if tok, err := a.Mint(g); err == nil {
			t.Errorf("%s: minted %+v", name, tok.Identity)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	a := testAuthority(f)
	tok, err := a.Mint(Grant{Role: RoleWorker, ID: "rig-17", Site: "demo", Servers: []string{"nats://127.0.0.1:4222"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tok.String())
	f.Add(tokenMark)
	f.Add(tokenMark + "e30." + digest("e30"))
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			if !errors.Is(err, ErrToken) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		again, err := ParseToken(tok.String())
		if err != nil || again.User != tok.User {
			t.Errorf("not stable: %v", err)
		}
	})
}
