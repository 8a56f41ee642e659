// SPDX-License-Identifier: Apache-2.0

package client

import (
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// redirect is where an order to reconnect sends us, as an endpoint, or nil when
// it is not obeyed. On a connection without TLS anybody on the way can have
// given it, and whoever is connected to gets the work. So it is obeyed
//
//   - to the host that we are at, or that the configuration names;
//   - to a host that the configuration allows (ReconnectHosts);
//   - within the registrable domain of the endpoint's configured host: pools
//     move miners between eu1.pool.example and eu2.pool.example, and names there
//     are given out by nobody but the pool. Under a public suffix, such as
//     github.io or co.uk, each name is somebody else's, so its list decides what
//     the domain is.
//
// An IP address is only ever itself: its neighbours belong to anybody. The port
// may be any, as it gives nobody a machine that is not the pool's. TLS stays
// TLS: the order may not strip it, nor reach without it a host that the
// configuration reaches with it. A host of another of our URLs is given that
// URL's account and not this one's.
func (c *Client) redirect(e *endpoint, host string, port int) *endpoint {
	own := c.endpoints[e.index]
	to := *e
	if host != "" {
		host = strings.TrimSuffix(strings.ToLower(host), ".")
		named := c.named(own, host)
		switch {
		case sameHost(host, e.host): // where we are
		case named != nil:
			to.host, to.user, to.pass = named.host, named.user, named.pass
			to.secure = to.secure || named.secure
		case c.allowed(host) || sameDomain(host, own.host):
			to.host, to.user, to.pass = host, own.user, own.pass
		default:
			return nil
		}
	}
	if port != 0 {
		to.port = strconv.Itoa(port)
	}
	to.secure = to.secure || own.secure
	to.redirected = to.host != own.host || to.port != own.port
	return &to
}

// named is the endpoint of the configuration with a host, own before all
// others; nil when there is none.
func (c *Client) named(own *endpoint, host string) *endpoint {
	if sameHost(host, own.host) {
		return own
	}
	for _, e := range c.endpoints {
		if sameHost(host, e.host) {
			return e
		}
	}
	return nil
}

// allowed reports whether the configuration lets the pool send us to a host.
func (c *Client) allowed(host string) bool {
	for _, h := range c.cfg.ReconnectHosts {
		h = strings.ToLower(h)
		if sameHost(host, h) || strings.HasPrefix(h, ".") && strings.HasSuffix(host, h) && isName(host) {
			return true
		}
	}
	return false
}

// sameHost reports whether two texts are the same name, or the same address.
func sameHost(a, b string) bool {
	x, errX := netip.ParseAddr(a)
	y, errY := netip.ParseAddr(b)
	if errX == nil && errY == nil {
		return x.Unmap() == y.Unmap()
	}
	return strings.TrimSuffix(strings.ToLower(a), ".") == strings.TrimSuffix(strings.ToLower(b), ".")
}

// sameDomain reports whether two hosts are names of one registrable domain.
func sameDomain(a, b string) bool {
	x, y := registrable(a), registrable(b)
	return x != "" && x == y
}

// registrable is the domain of a host that somebody has registered as a whole;
// empty for addresses and for names that are none's in particular.
func registrable(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if !isName(host) {
		return ""
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return ""
	}
	return domain
}

// isName reports a name of the domain name system, and no address in any way of
// writing. The zone of an address may end like a domain:
// "2001:db8::1%.pool.example" is no host of pool.example; and "127.1" is an
// address to some resolvers.
func isName(host string) bool {
	for i := 0; i < len(host); i++ {
		switch c := host[i]; {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && (last[0] < '0' || last[0] > '9')
}
