// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/stratum/server"
)

// minerFlags say where miners connect to a gateway, and which may.
type minerFlags struct {
	listen, listenTLS []string
	cert, key         string
	file              string
	any               bool
	lowest, start     string
}

func (f *minerFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringArrayVar(&f.listen, "listen", nil, "miners (ASICs and others, Stratum V1) connect to this `host:port`; may be repeated")
	fl.StringArrayVar(&f.listenTLS, "listen-tls", nil, "likewise with TLS, on this `host:port`")
	fl.StringVar(&f.cert, "tls-cert", "", "PEM `file` of the certificate of --listen-tls")
	fl.StringVar(&f.key, "tls-key", "", "PEM `file` of its key")
	fl.StringVar(&f.file, "miners", "", "`file` of the miners that may connect: a line each, name and password (- for any)")
	fl.BoolVar(&f.any, "any-miner", false, "whoever can connect may mine: for networks of the owner's machines only")
	fl.StringVar(&f.lowest, "miner-min-difficulty", "1", "lowest share `difficulty` of a miner; ASICs need 1 at least")
	fl.StringVar(&f.start, "miner-start-difficulty", "1024", "share `difficulty` of a miner that suggests none")
}

// config of the server, nil when nobody is to connect.
func (f *minerFlags) config() (*server.Config, error) {
	if len(f.listen)+len(f.listenTLS) == 0 {
		if f.file != "" || f.any {
			return nil, errors.New("--miners and --any-miner need --listen or --listen-tls")
		}
		return nil, nil
	}
	c := &server.Config{MinDifficulty: f.lowest, StartDifficulty: f.start}
	for _, addr := range f.listen {
		c.Endpoints = append(c.Endpoints, server.Endpoint{Address: addr})
	}
	for _, addr := range f.listenTLS {
		if f.cert == "" || f.key == "" {
			return nil, errors.New("--listen-tls needs --tls-cert and --tls-key")
		}
		c.Endpoints = append(c.Endpoints, server.Endpoint{Address: addr, CertFile: f.cert, KeyFile: f.key})
	}
	switch {
	case f.any == (f.file != ""):
		return nil, errors.New("say which miners may connect: --miners FILE, or --any-miner on a network of your own machines")
	case f.any:
		c.Authoriser = server.AuthoriserFunc(server.AnyName)
	default:
		known, err := readMiners(f.file)
		if err != nil {
			return nil, err
		}
		c.Authoriser = known
	}
	for _, e := range c.Endpoints {
		if _, _, err := net.SplitHostPort(e.Address); err != nil {
			return nil, fmt.Errorf("--listen %q: want host:port", e.Address)
		}
	}
	return c, nil
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
