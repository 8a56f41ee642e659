// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// Alert kinds of an upstream that is not as it should be, and of the gateway's
// own server.
const (
	alarmAccount = "upstream-account"
	alarmTrouble = "upstream-trouble"
	alarmServer  = "downstream-work"
)

const (
	// troubleTime without trouble clears its alert.
	troubleTime = 5 * time.Minute
	// mostRefusing pools are told apart; an upstream has a handful.
	mostRefusing = 16
)

// refusing are the addresses of pools that take no shares of the account.
type refusing struct {
	mu sync.Mutex
	at map[string]struct{}
}

// add an address.
func (r *refusing) add(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at == nil {
		r.at = make(map[string]struct{})
	}
	if len(r.at) < mostRefusing {
		r.at[address] = struct{}{}
	}
}

// remove an address that takes shares again, and report whether it was the last
// of those that did not.
func (r *refusing) remove(address string) (last bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, was := r.at[address]; !was {
		return false
	}
	delete(r.at, address)
	return len(r.at) == 0
}

// trouble is what the status and alerts say of an upstream's trouble: that there
// is no work, while no session is open, else what is wrong with one that is.
func (d *dispatcher) trouble(err error) {
	g := d.g
	g.mu.Lock()
	g.state.detail = events.ClipText(err.Error())
	open := len(g.usable()) > 0
	g.mu.Unlock()
	var account *upstream.AccountError
	if errors.As(err, &account) {
		g.alarms.refusing.add(account.Address)
		g.alarms.raise(alarmAccount, "", events.SeverityCritical, account.Error(),
			"Look at the account at the pool, and at the worker's name and password in its URL. Another URL serves meanwhile if there is one; this one is tried again at growing intervals.")
	}
	switch {
	case !open:
		g.upstreamDown(err)
	case account == nil:
		d.troubled = g.cfg.Now()
		g.alarms.raise(alarmTrouble, "", events.SeverityWarning, err.Error(),
			"Work goes on. If it lasts, ask the pool, or use another upstream.")
	}
	g.changed()
}

// calmed clears the alert of trouble that is over.
func (d *dispatcher) calmed(now time.Time) {
	if !d.troubled.IsZero() && now.Sub(d.troubled) >= troubleTime {
		d.troubled = time.Time{}
		d.g.alarms.clear(alarmTrouble, "", fmt.Sprintf("nothing of the kind for %s", troubleTime))
	}
}

// taken notes that the pool at an address took a share.
func (g *Gateway) taken(address string) {
	if g.alarms.refusing.remove(address) {
		g.alarms.clear(alarmAccount, "", "the pool takes shares of the account again")
	}
}

// DownstreamTrouble says that the gateway's own server cannot hand out work of
// the upstream's, and why; nil says that it can. It may be called from anywhere.
func (g *Gateway) DownstreamTrouble(err error) {
	if err == nil {
		g.alarms.clear(alarmServer, "", "miners of the gateway's own server have the newest work")
		return
	}
	g.alarms.raise(alarmServer, "", events.SeverityCritical, "miners of the gateway's own server get no work: "+err.Error(),
		"They go on with what they have. If it lasts, use another upstream: this one's jobs are not what miners can work on.")
}
