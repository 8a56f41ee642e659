// SPDX-License-Identifier: Apache-2.0

package rpc

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Endpoint is where a node listens and how to get in.
type Endpoint struct {
	// URL http:// or https:// with host, port and path, without credentials.
	URL string
	// User and Password of basic authentication; both empty with a cookie.
	User, Password string
	// CookieFile that Bitcoin Core writes at every start ("user:password").
	// It is read again whenever the node refuses what it said before.
	CookieFile string
	// CAFile of PEM certificates to trust besides the system's, such as the
	// rpc.cert that btcd signs for itself.
	CAFile string
}

// ErrEndpoint is wrapped by what ParseEndpoint refuses.
var ErrEndpoint = errors.New("not the address of a node like http://user:password@host:8332")

// ParseEndpoint reads the address of a node. Credentials stand in the URL, or
// the query names a file: ?cookie=/path/.cookie. ?ca=/path/rpc.cert names a
// certificate to trust. The error never repeats credentials.
func ParseEndpoint(text string) (Endpoint, error) {
	u, err := url.Parse(text)
	if err != nil {
		// The parser's error repeats the text, and with it the password.
		return Endpoint{}, fmt.Errorf("%w: it cannot be read as a URL (are / @ : %% in the password written as %%2F %%40 %%3A %%25?)", ErrEndpoint)
	}
	e := Endpoint{}
	shown := u.Redacted()
	option, _, _ := strings.Cut(u.RawQuery, "=")
	if strings.Contains(u.Opaque+u.Path+option+u.Fragment, "@") {
		// A password cut in two by a character of the URL's own: what follows
		// it is no place of the node, and not to be shown.
		return e, fmt.Errorf("%w: there is an @ behind the host (are / @ : ? # in the password written as %%2F %%40 %%3A %%3F %%23?)", ErrEndpoint)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return e, fmt.Errorf("%w: %q has the scheme %q", ErrEndpoint, shown, u.Scheme)
	case u.Hostname() == "":
		return e, fmt.Errorf("%w: %q names no host", ErrEndpoint, shown)
	case u.Port() == "":
		return e, fmt.Errorf("%w: %q names no port; nodes listen on 8332 (main), 18332, 48332, 38332, 18443 (Bitcoin Core), 8334, 18334, 18556 (btcd)", ErrEndpoint, shown)
	case u.Fragment != "":
		return e, fmt.Errorf("%w: %q has a fragment", ErrEndpoint, shown)
	}
	if u.User != nil {
		e.User = u.User.Username()
		e.Password, _ = u.User.Password()
	}
	for key, values := range u.Query() {
		if len(values) != 1 || values[0] == "" {
			return e, fmt.Errorf("%w: option %q wants one value", ErrEndpoint, key)
		}
		switch key {
		case "cookie":
			e.CookieFile = values[0]
		case "ca":
			e.CAFile = values[0]
		default:
			return e, fmt.Errorf("%w: unknown option %q; there are cookie and ca", ErrEndpoint, key)
		}
	}
	if e.CookieFile != "" && e.User != "" {
		return e, fmt.Errorf("%w: %q gives both credentials and a cookie file; give one", ErrEndpoint, shown)
	}
	if e.CAFile != "" && u.Scheme != "https" {
		return e, fmt.Errorf("%w: a certificate is of use with https only", ErrEndpoint)
	}
	u.User, u.RawQuery = nil, ""
	e.URL = u.String()
	return e, nil
}

// String is the endpoint without credentials.
func (e Endpoint) String() string { return e.URL }

// credentials as they are now.
func (e Endpoint) credentials() (user, password string, err error) {
	if e.CookieFile == "" {
		return e.User, e.Password, nil
	}
	f, err := os.Open(e.CookieFile)
	if err != nil {
		return "", "", fmt.Errorf("cookie of the node (is it running, and may this user read the file?): %w", err)
	}
	defer f.Close()
	buf := make([]byte, 4096)
	n, err := f.Read(buf)
	if err != nil {
		return "", "", fmt.Errorf("cookie of the node: %s: %w", e.CookieFile, err)
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(buf[:n]), "\r\n"), ":")
	if !ok {
		return "", "", fmt.Errorf("cookie of the node: %s does not hold user:password", e.CookieFile)
	}
	return user, password, nil
}

// pool of certificates to trust, nil for the system's.
func (e Endpoint) pool() (*x509.CertPool, error) {
	if e.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(e.CAFile)
	if err != nil {
		return nil, fmt.Errorf("certificate of the node: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("certificate of the node: %s holds no PEM certificate", e.CAFile)
	}
	return pool, nil
}
