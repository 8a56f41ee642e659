// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestConfigurationsRefused(t *testing.T) {
	good := func() Config {
		return Config{Pool: "p", URLs: []string{"stratum+tcp://account.rig:hunter2@pool.example:3333"}}
	}
	if c, err := New(good()); err != nil || c.ID() != "p" || c.Address() != "stratum+tcp://pool.example:3333" {
		t.Fatalf("%v", err)
	}
	for name, bend := range map[string]func(*Config){
		"no pool": func(c *Config) { c.Pool = "" }, "pool": func(c *Config) { c.Pool = "A pool" }, "no URL": func(c *Config) { c.URLs = nil },
		"scheme": func(c *Config) { c.Scheme = "free" }, "fee": func(c *Config) { c.FeePPM = 1_000_001 }, "negative fee": func(c *Config) { c.FeePPM = -1 },
		"basis": func(c *Config) { c.Basis = "modelled" }, "suggested": func(c *Config) { c.SuggestedDifficulty = "0" }, "minimum": func(c *Config) { c.MinimumDifficulty = "1e300" },
		"timing": func(c *Config) { c.Timing.Reply = -1 }, "pauses": func(c *Config) { c.Timing.FirstPause = time.Hour }, "no file": func(c *Config) { c.CAFile = "testdata/none.pem" },
		"no certificate": func(c *Config) { c.CAFile = "testdata/usual.txt" },
		"http":           func(c *Config) { c.URLs = []string{"http://a:hunter2@pool.example:80"} }, "no port": func(c *Config) { c.URLs = []string{"stratum+tcp://a:hunter2@pool.example"} },
		"port": func(c *Config) { c.URLs = []string{"stratum+tcp://a:hunter2@pool.example:99999"} }, "port 0": func(c *Config) { c.URLs = []string{"stratum+tcp://a:hunter2@pool.example:0"} },
		"no host": func(c *Config) { c.URLs = []string{"stratum+tcp://a:hunter2@:1"} }, "no user": func(c *Config) { c.URLs = []string{"stratum+tcp://pool.example:1"} },
		"no name": func(c *Config) { c.URLs = []string{"stratum+tcp://:hunter2@pool.example:1"} }, "path": func(c *Config) { c.URLs = []string{"stratum+tcp://a:hunter2@pool.example:1/x"} },
		"not a URL": func(c *Config) { c.URLs = []string{"stratum+tcp://a:hunter2@pool.example:port%"} }, "second": func(c *Config) { c.URLs = append(c.URLs, "::hunter2") },
	} {
		c := good()
		bend(&c)
		_, err := New(c)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error gives the password away: %v", name, err)
		}
	}
	e, err := parseEndpoint("stratum+tls://acc%40nt.rig@[::1]:3333/")
	if err != nil || !e.secure || e.user != "acc@nt.rig" || e.pass != "x" || e.address() != "stratum+ssl://[::1]:3333" {
		t.Errorf("%+v, %v", e, err)
	}
}

// certified makes a certificate for pool.example and a file that trusts it.
func certified(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pool"}, DNSNames: []string{"pool.example"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, of, of, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// secured lets the next connections of p speak TLS.
func secured(t *testing.T, p *pool, cert tls.Certificate) (url string) {
	plain := p.l
	p.l = &tlsListener{TCPListener: plain.(*net.TCPListener), cert: cert}
	return strings.Replace(p.url(), "stratum+tcp", "stratum+ssl", 1)
}

type tlsListener struct {
	*net.TCPListener
	cert tls.Certificate
}

func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	if err != nil {
		return nil, err
	}
	return tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{l.cert}}), nil
}

func TestTLS(t *testing.T) {
	cert, file := certified(t)
	_, other := certified(t)
	for _, c := range []struct {
		name  string
		bend  func(*Config)
		works bool
		warns bool
	}{
		{"trusted file and name", func(c *Config) { c.CAFile, c.ServerName = file, "pool.example" }, true, false},
		{"system roots", func(c *Config) { c.ServerName = "pool.example" }, false, false},
		{"another file", func(c *Config) { c.CAFile, c.ServerName = other, "pool.example" }, false, false},
		{"another name", func(c *Config) { c.CAFile = file }, false, false},
		{"insecure, and said so", func(c *Config) { c.InsecureTLS = true }, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPool(t)
			var log lockedBuffer
			cfg := Config{Pool: "test", URLs: []string{secured(t, p, cert)}, Timing: quick, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			c.bend(&cfg)
			_, sink := running(t, cfg)
			if !c.works {
				p.accept()
				_ = p.conn.(*tls.Conn).Handshake()
				sink.expect(t, "trouble pool stratum+ssl://"+p.l.Addr().String()+": TLS: ", "")
				return
			}
			p.greet()
			sink.expect(t, "opened", "")
			p.say(notify("1"))
			sink.expect(t, "job 1", "")
			if strings.Contains(log.String(), "certificate is not checked") != c.warns {
				t.Errorf("log: %s", log.String())
			}
			if strings.Contains(log.String(), "secret") {
				t.Error("the log gives the password away")
			}
		})
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
