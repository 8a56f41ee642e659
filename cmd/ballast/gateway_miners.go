// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/ballast-energy/ballast/cmd/ballast/internal/config"
	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/stratum/server"
)

// minerServer is the server that miners connect to, nil when nobody is to
// connect.
func minerServer(m *config.Miners) (*server.Config, error) {
	if len(m.Listen) == 0 {
		return nil, nil
	}
	c := m.Server()
	if m.Any {
		c.Authoriser = server.AuthoriserFunc(server.AnyName)
		return &c, nil
	}
	known, err := readMiners(m.File)
	if err != nil {
		return nil, err
	}
	c.Authoriser = known
	return &c, nil
}

// minerList is who may connect: passwords by unit.
type minerList map[string]string

// anyPassword in the file lets a name in with whatever it says.
const anyPassword = "-"

// readMiners reads lines of a name and a password; # begins a comment.
func readMiners(name string) (minerList, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("miners: %w", err)
	}
	l := minerList{}
	for n, line := range strings.Split(string(b), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("miners: %s:%d: want a name and a password (%s for any)", name, n+1, anyPassword)
		}
		if err := events.CheckToken("name", fields[0]); err != nil {
			return nil, fmt.Errorf("miners: %s:%d: %w", name, n+1, err)
		}
		if strings.Contains(fields[1], ",") {
			return nil, fmt.Errorf("miners: %s:%d: the password of %s holds a comma, behind which miners give options; choose another", name, n+1, fields[0])
		}
		if _, twice := l[fields[0]]; twice {
			return nil, fmt.Errorf("miners: %s:%d: %s is there twice", name, n+1, fields[0])
		}
		l[fields[0]] = fields[1]
	}
	if len(l) == 0 {
		return nil, fmt.Errorf("miners: %s names nobody", name)
	}
	return l, nil
}

var errMiner = errors.New("no such miner, or another password")

// Authorise implements server.Authoriser. Options in the password (d=…) stand
// behind a comma and do not count.
func (l minerList) Authorise(_ context.Context, login server.Login) (string, error) {
	unit, err := server.UnitToken(login.User)
	if err != nil {
		return "", err
	}
	want, known := l[unit]
	got, _, _ := strings.Cut(login.Password, ",")
	if !known || want != anyPassword && subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 0 {
		return "", errMiner
	}
	return unit, nil
}
