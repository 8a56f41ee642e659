// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ballast-energy/ballast/workers/upstream"
)

// isUp reports whether an alert is.
func (k *desk) isUp(kind string) bool {
	k.g.alarms.mu.Lock()
	defer k.g.alarms.mu.Unlock()
	st := k.g.alarms.known[k.g.alarms.name(kind, "")]
	return st != nil && st.up
}

func TestTroubleOfAnOpenSessionIsAnAlertUntilItIsOver(t *testing.T) {
	k := newDesk(t)
	k.job("a", true)
	k.d.trouble(errors.New("a message cannot be read"))
	if !k.isUp(alarmTrouble) || k.isUp(alarmUpstream) {
		t.Error("no alert, or one that there is no work")
	}
	k.d.calmed(k.now.Add(troubleTime - 1))
	if !k.isUp(alarmTrouble) {
		t.Error("over too soon")
	}
	k.d.calmed(k.now.Add(troubleTime))
	if k.isUp(alarmTrouble) {
		t.Error("never over")
	}
	k.d.closed(k.l, "s1", errors.New("connection reset"))
	if k.isUp(alarmTrouble) || !k.isUp(alarmUpstream) {
		t.Error("without a session there is no work")
	}
}

func TestPoolsThatRefuseTheAccountAreNamedUntilTheyTakeShares(t *testing.T) {
	k := newDesk(t)
	k.job("a", true)
	first, second := "stratum+tcp://one.example:3333", "stratum+tcp://two.example:3333"
	for _, address := range []string{first, second} {
		k.d.trouble(fmt.Errorf("closed: %w", &upstream.AccountError{Address: address, Err: errors.New("refuses shares")}))
	}
	if !k.isUp(alarmAccount) || k.isUp(alarmTrouble) {
		t.Error("no alert, or one of passing trouble")
	}
	for i, address := range []string{"stratum+tcp://three.example:3333", first, first, second} {
		k.g.taken(address)
		if k.isUp(alarmAccount) != (i < 3) {
			t.Errorf("%s takes shares: the alert is up %v", address, i >= 3)
		}
	}
	for n := range 10 * mostRefusing {
		k.g.alarms.refusing.add(fmt.Sprint(n))
	}
	if n := len(k.g.alarms.refusing.at); n > mostRefusing {
		t.Errorf("%d pools are remembered", n)
	}
}

func TestMinersWithoutWorkAreAnAlert(t *testing.T) {
	k := newDesk(t)
	k.g.DownstreamTrouble(errors.New("not a job"))
	if !k.isUp(alarmServer) {
		t.Error("no alert")
	}
	k.g.DownstreamTrouble(nil)
	if k.isUp(alarmServer) {
		t.Error("never over")
	}
}
