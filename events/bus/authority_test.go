// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

func TestAuthorityKeepsItsKeys(t *testing.T) {
	dir := t.TempDir()
	a, err := OpenAuthority(dir, "ballast")
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(authorityFile(dir))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("keys are readable by others: %v, %v", fi.Mode(), err)
	}
	again, err := OpenAuthority(dir, "ballast")
	if err != nil || again.keys.Account != a.keys.Account || again.keys.Signers[RoleWorker] != a.keys.Signers[RoleWorker] {
		t.Errorf("another authority after opening again: %v", err)
	}
	if err := a.Revoke("somebody"); err == nil {
		t.Error("revoked what is no key")
	}
	if err := os.WriteFile(authorityFile(dir), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenAuthority(dir, "ballast"); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("damaged keys: %v", err)
	}
}

// A token minted while the server runs is good at once, and a revoked one is
// cut off and stays out, though another process did it.
func TestRevocationReachesTheRunningServer(t *testing.T) {
	ctx := testContext(t)
	b := secured(t)
	g := Grant{Role: RoleWorker, ID: "rig-17", Site: "demo"}
	tok := mint(t, b, g)
	w, err := Open(ctx, Config{Name: "rig-17", Credentials: Credentials{JoinToken: tok.String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeTest(t, w)
	elsewhere, err := OpenAuthority(b.cfg.DataDir, b.prefix)
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Revoke(tok.User); err != nil {
		t.Fatal(err)
	}
	select {
	case <-w.Done():
	case <-ctx.Done():
		t.Fatal("a revoked worker is still connected")
	}
	if _, err := Open(ctx, Config{Name: "rig-17", Credentials: Credentials{JoinToken: tok.String()}}); err == nil || !strings.Contains(err.Error(), "fresh token") {
		t.Errorf("revoked token: %v", err)
	}
	// The same agent with a new token is welcome.
	joined(t, b, g)
	if got := elsewhere.Revoked(); len(got) != 1 || got[0] != tok.User {
		t.Errorf("revoked: %v", got)
	}
}

func TestTokensExpire(t *testing.T) {
	ctx := testContext(t)
	b := secured(t)
	// On a busy machine a token of a second is over before it has been shown.
	var w *Bus
	for ttl := time.Second; w == nil; ttl *= 2 {
		tok := mint(t, b, Grant{Role: RoleViewer, ID: "wall", TTL: ttl})
		var err error
		if w, err = Open(ctx, Config{Name: "wall", Credentials: Credentials{JoinToken: tok.String()}}); err != nil && ttl > time.Minute {
			t.Fatal(err)
		}
	}
	defer closeTest(t, w)
	select {
	case <-w.Done():
	case <-ctx.Done():
		t.Fatal("still connected after the token expired")
	}
}

func TestTokensOfAnotherBusAreRefused(t *testing.T) {
	b := secured(t)
	stranger := testAuthority(t)
	tok, err := stranger.Mint(Grant{Role: RoleOperator, ID: "anna", Servers: []string{b.ClientURL()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testContext(t), Config{Credentials: Credentials{JoinToken: tok.String()}}); err == nil {
		t.Error("a stranger's operator came in")
	}
}

// Without Secure the machine's own people need nothing, and tokens are good all
// the same. With it nobody comes in without. The data stays either way.
func TestOpenAndSecuredAreTheSameBus(t *testing.T) {
	ctx := testContext(t)
	c := testConfig(t)
	c.Listen = "127.0.0.1:0"
	b := openTest(t, c)
	plain, err := nats.Connect(b.ClientURL(), nats.Timeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Request("ballast.demo.grid.signal.ercot", []byte("{}"), patience); err != nil {
		t.Errorf("anonymous on loopback: %v", err)
	}
	tok := mint(t, b, Grant{Role: RoleWorker, ID: "rig-17", Site: "demo"})
	w, err := Open(ctx, Config{Credentials: Credentials{JoinToken: tok.String()}})
	if err != nil {
		t.Fatal(err)
	}
	// The token's limits hold here, too.
	if err := w.nc.Publish("ballast.demo.grid.signal.ercot", nil); err != nil {
		t.Fatal(err)
	}
	if err := w.nc.Flush(); err != nil || w.nc.LastError() == nil {
		t.Errorf("a worker signalled: %v, %v", err, w.nc.LastError())
	}
	closeTest(t, w)
	plain.Close()
	closeTest(t, b)

	c.Secure = true
	b = openTest(t, c)
	if _, err := nats.Connect(b.ClientURL(), nats.Timeout(patience)); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("anonymous on a secured bus: %v", err)
	}
	tok.Servers = []string{b.ClientURL()}
	w, err = Open(ctx, Config{Credentials: Credentials{JoinToken: tok.String()}})
	if err != nil {
		t.Fatal(err)
	}
	closeTest(t, w)
	s, err := b.js.Stream(ctx, "INPUTS")
	if err != nil || s.CachedInfo().State.Msgs != 1 {
		t.Errorf("the signal is gone: %v", err)
	}
}

func TestOtherInterfacesNeedCredentials(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0"} {
		c := testConfig(t)
		c.Listen = listen
		if b, err := Open(testContext(t), c); err == nil || !strings.Contains(err.Error(), "credentials") {
			t.Errorf("%s: %v", listen, err)
			if b != nil {
				closeTest(t, b)
			}
		}
	}
	c := testConfig(t)
	c.Listen, c.Secure = "0.0.0.0:0", true
	openTest(t, c)
}

// certificate writes a self-signed certificate for 127.0.0.1.
func certificate(t testing.TB) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestTLS(t *testing.T) {
	ctx := testContext(t)
	cert, key := certificate(t)
	c := testConfig(t)
	c.Listen, c.Secure = "127.0.0.1:0", true
	c.TLS = TLS{CertFile: cert, KeyFile: key, CAFile: cert, VerifyClients: true}
	b := openTest(t, c)
	if !strings.HasPrefix(b.ClientURL(), "tls://") {
		t.Errorf("url %s", b.ClientURL())
	}
	ca, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	tok := mint(t, b, Grant{Role: RoleViewer, ID: "wall", CA: ca})
	join := func(tls TLS) error {
		w, err := Open(ctx, Config{Credentials: Credentials{JoinToken: tok.String()}, TLS: tls})
		if err == nil {
			closeTest(t, w)
		}
		return err
	}
	if err := join(TLS{CertFile: cert, KeyFile: key}); err != nil {
		t.Errorf("with the authority from the token and a certificate: %v", err)
	}
	if err := join(TLS{}); err == nil {
		t.Error("came in without a certificate")
	}
	tok.CA = nil
	if err := join(TLS{CertFile: cert, KeyFile: key}); err == nil {
		t.Error("trusted a server of an unknown authority")
	}
	if _, err := Open(ctx, Config{URL: b.ClientURL(), TLS: TLS{CAFile: filepath.Join(t.TempDir(), "none")}}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing ca_file: %v", err)
	}
}

// Credentials in the files of the nats tools are taken as well.
func TestCredsFile(t *testing.T) {
	ctx := testContext(t)
	b := secured(t)
	creds, err := mint(t, b, Grant{Role: RoleViewer, ID: "wall"}).Creds()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wall.creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Open(ctx, Config{URL: b.ClientURL(), Credentials: Credentials{CredsFile: file}})
	if err != nil {
		t.Fatal(err)
	}
	defer closeTest(t, w)
	if drift, err := w.CheckStreams(ctx); err != nil || len(drift) > 0 {
		t.Errorf("drift %v, %v", drift, err)
	}
}
