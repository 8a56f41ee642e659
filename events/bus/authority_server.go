// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"fmt"
	"os"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// configure makes the server trust this authority and nobody else. Anonymous
// connections are let in as RoleInternal from this machine, unless secure.
func (a *Authority) configure(opts *server.Options, secure bool) error {
	_, operator, err := pair(a.keys.Operator)
	if err != nil {
		return err
	}
	_, system, err := pair(a.keys.System)
	if err != nil {
		return err
	}
	accounts, err := a.accountClaims()
	if err != nil {
		return err
	}
	oc := jwt.NewOperatorClaims(operator)
	oc.Name = accountName
	oc.SystemAccount = system
	text, err := a.signed(oc)
	if err != nil {
		return err
	}
	if oc, err = jwt.DecodeOperatorClaims(text); err != nil {
		return fmt.Errorf("bus: authority: %w", err)
	}
	sys := jwt.NewAccountClaims(system)
	sys.Name = "system"
	resolver := &server.MemAccResolver{}
	for _, c := range append(accounts, sys) {
		text, err := a.signed(c)
		if err != nil {
			return err
		}
		if err := resolver.Store(c.Subject, text); err != nil {
			return fmt.Errorf("bus: authority: %w", err)
		}
	}
	opts.TrustedOperators = []*jwt.OperatorClaims{oc}
	opts.SystemAccount = system
	opts.AccountResolver = resolver
	if secure {
		return nil
	}
	opts.DefaultSentinel, err = a.anonymous()
	return err
}

// anonymous is the user that connections without credentials become: every
// right, from this machine only.
func (a *Authority) anonymous() (string, error) {
	user, err := nkeys.CreateUser()
	if err != nil {
		return "", fmt.Errorf("bus: authority: %w", err)
	}
	defer user.Wipe()
	g := Grant{Role: RoleInternal, ID: "anonymous"}
	c, err := a.claims(g, user)
	if err != nil {
		return "", err
	}
	// A scoped user cannot carry limits of its own, so this one is signed by
	// the account itself.
	c.SetScoped(false)
	c.BearerToken = true
	c.Src = jwt.CIDRList{"127.0.0.0/8", "::1/128"}
	a.mu.Lock()
	seed := a.keys.Account
	a.mu.Unlock()
	account, _, err := pair(seed)
	if err != nil {
		return "", err
	}
	text, err := c.Encode(account)
	if err != nil {
		return "", fmt.Errorf("bus: authority: sign: %w", err)
	}
	return text, nil
}

// followAuthority carries changes of the authority's file into the running
// server, until quit.
func (e *embedded) followAuthority() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	seen := fileStamp(e.auth.file)
	for {
		select {
		case <-e.quit:
			return
		case <-tick.C:
		}
		now := fileStamp(e.auth.file)
		if now == seen {
			continue
		}
		if err := e.applyAuthority(); err != nil {
			e.log.Error("revocations were not applied; trying again", "error", err)
			continue
		}
		seen = now
	}
}

type stamp struct {
	at   time.Time
	size int64
}

func fileStamp(file string) stamp {
	fi, err := os.Stat(file)
	if err != nil {
		return stamp{}
	}
	return stamp{fi.ModTime(), fi.Size()}
}

// applyAuthority makes the running server know what the file says.
func (e *embedded) applyAuthority() error {
	e.auth.mu.Lock()
	err := e.auth.load()
	e.auth.mu.Unlock()
	if err != nil {
		return err
	}
	accounts, err := e.auth.accountClaims()
	if err != nil {
		return err
	}
	for _, claims := range accounts {
		text, err := e.auth.signed(claims)
		if err != nil {
			return err
		}
		// Decode, so that issuer and time are filled in.
		if claims, err = jwt.DecodeAccountClaims(text); err != nil {
			return err
		}
		if err := e.srv.AccountResolver().Store(claims.Subject, text); err != nil {
			return err
		}
		acc, err := e.srv.LookupAccount(claims.Subject)
		if err != nil {
			return err
		}
		e.srv.UpdateAccountClaims(acc, claims)
	}
	return nil
}
