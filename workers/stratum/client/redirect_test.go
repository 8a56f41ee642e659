// SPDX-License-Identifier: Apache-2.0

package client

import (
	"net"
	"strings"
	"testing"
)

// sent is where an order leads from the nth URL, "" for nowhere.
func sent(t *testing.T, cfg Config, from int, host string, port int) string {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	to := c.redirect(c.endpoints[from], host, port)
	if to == nil {
		return ""
	}
	return to.user + "@" + to.address()
}

func TestHostsThatMayBeGoneTo(t *testing.T) {
	cfg := Config{
		Pool: "test", URLs: []string{"stratum+tcp://a@eu.one.example:1", "stratum+ssl://b@two.example:2", "stratum+tcp://c@192.0.2.7:3", "stratum+tcp://d@[2001:db8::1]:4", "stratum+tcp://e@miner.github.io:5", "stratum+tcp://f@pool.co.uk:6", "stratum+tcp://g@gw.lan:7", "stratum+tcp://h@localhost:8", "stratum+tcp://i@127.1:9"},
		ReconnectHosts: []string{"three.example", ".four.example", "2001:db8::9"},
	}
	for from, hosts := range []map[string]bool{
		{
			// Named, allowed, and of the same domain.
			"eu.one.example": true, "EU.one.example.": true, "two.example": true, "three.example": true, "eu.four.example": true, "a.b.FOUR.example": true,
			"us.one.example": true, "one.example": true, "a.b.One.Example.": true, "2001:db8:0::9": true, "192.0.2.7": true, "::ffff:192.0.2.7": true,
			// Another's, however it looks.
			"four.example": false, "evilfour.example": false, "evilone.example": false, "one.example.evil.example": false, "example": false, ".": false,
			"us.two.example": false, "one.example2": false, "one\u212bexample": false, "eu.one.example\x00.evil.example": false, "eu.one.example:1@evil.example": false, "evil.example/.one.example": false,
			"192.0.2.8": false, "2001:db8::1%.one.example": false, "2001:db8::1%.four.example": false, "::1%.four.example": false, "2001:db8::1%x.four.example": false, "evil/.four.example": false,
		},
		{"eu.two.example": true, "us.one.example": false},
		{"192.0.2.7": true, "192.0.2.6": false, "2.192.0.2.7": false, "7.2.0.192": false, "3221225991": false, "0xc0000207": false, "us.one.example": false},
		{"2001:db8::1": true, "2001:DB8:0:0::1": true, "2001:db8::2": false, "2001:db8::1%eth0": false, "[2001:db8::1]": false},
		{"miner.github.io": true, "x.miner.github.io": true, "evil.github.io": false, "github.io": false},
		{"eu.pool.co.uk": true, "evil.co.uk": false, "co.uk": false},
		{"two.gw.lan": true, "evil.lan": false},
		{"localhost": true, "x.localhost": false, "127.0.0.1": false},
		{"127.1": true, "5.127.1": false, "127.0.0.1": false},
	} {
		for host, want := range hosts {
			if got := sent(t, cfg, from, host, 0); (got != "") != want {
				t.Errorf("from %s to %q: %q", cfg.URLs[from], host, got)
			}
		}
	}
}

func TestAnOrderChangesNeitherTLSNorWhoGetsWhichPassword(t *testing.T) {
	cfg := Config{Pool: "test", URLs: []string{"stratum+tcp://a@eu.one.example:1", "stratum+ssl://b@eu.two.example:2", "stratum+ssl://c@eu.one.example:3"}, ReconnectHosts: []string{"three.example"}}
	for _, c := range []struct {
		from int
		host string
		port int
		want string
	}{
		{0, "", 0, "a@stratum+tcp://eu.one.example:1"}, {0, "", 99, "a@stratum+tcp://eu.one.example:99"},
		{0, "us.one.example", 0, "a@stratum+tcp://us.one.example:1"}, {0, "Us.One.Example.", 99, "a@stratum+tcp://us.one.example:99"},
		{0, "three.example", 5, "a@stratum+tcp://three.example:5"}, {0, "eu.two.example", 7, "b@stratum+ssl://eu.two.example:7"},
		{1, "us.two.example", 5, "b@stratum+ssl://us.two.example:5"}, {1, "three.example", 0, "b@stratum+ssl://three.example:2"},
		// The URL without TLS is there, and is no way around it.
		{1, "eu.one.example", 1, "a@stratum+ssl://eu.one.example:1"}, {2, "eu.one.example", 1, "c@stratum+ssl://eu.one.example:1"},
	} {
		if got := sent(t, cfg, c.from, c.host, c.port); got != c.want {
			t.Errorf("from %s to %s:%d: %s, want %s", cfg.URLs[c.from], c.host, c.port, got, c.want)
		}
	}
	// From where an order has led, the next one is measured by the
	// configuration, and TLS stays.
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	at := c.redirect(c.endpoints[0], "eu.two.example", 0)
	if !at.secure || !at.redirected {
		t.Fatalf("%+v", at)
	}
	if to := c.redirect(at, "us.two.example", 0); to != nil {
		t.Errorf("sent on to %s", to.address())
	}
	if to := c.redirect(at, "us.one.example", 0); to == nil || !to.secure {
		t.Error("TLS is lost on the way back")
	}
}

// TestTheAccountOfAnotherURLStaysThere: what is sent back gets its own again.
func TestTheAccountOfAnotherURLStaysThere(t *testing.T) {
	c, err := New(Config{Pool: "test", URLs: []string{"stratum+tcp://a:1@one.example:1", "stratum+tcp://b:2@two.example:2"}})
	if err != nil {
		t.Fatal(err)
	}
	at := c.redirect(c.endpoints[0], "two.example", 0)
	if at.user != "b" || at.pass != "2" {
		t.Errorf("%+v", at)
	}
	if to := c.redirect(at, "one.example", 0); to.user != "a" || to.pass != "1" {
		t.Errorf("%+v", to)
	}
	if to := c.redirect(at, "eu.one.example", 0); to.user != "a" || to.pass != "1" {
		t.Errorf("%+v", to)
	}
}

// TestAnOrderDoesNotStripTLS: over a real connection.
func TestAnOrderDoesNotStripTLS(t *testing.T) {
	cert, file := certified(t)
	here, there := newPool(t), newPool(t)
	url := secured(t, here, cert)
	there.l = &tlsListener{TCPListener: there.l.(*net.TCPListener), cert: cert}
	_, port, err := net.SplitHostPort(there.l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, sink := running(t, Config{Pool: "test", URLs: []string{url}, CAFile: file, ServerName: "pool.example", Timing: quick})
	here.greet()
	sink.expect(t, "opened", "")
	here.say(`{"id":null,"method":"client.reconnect","params":["127.0.0.1",` + port + `,0]}` + "\n")
	sink.expect(t, "sent us to stratum+ssl://127.0.0.1:"+port, "")
	there.greet() // speaks TLS, or it would hear no hello
	if got := sink.expect(t, "opened", ""); !strings.Contains(got, "primary=false") {
		t.Error(got)
	}
}
