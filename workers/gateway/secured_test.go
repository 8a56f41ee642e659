// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/events/bus"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// denials counts what the server does not let a gateway do.
type denials struct{ n atomic.Int64 }

func (d *denials) Write(p []byte) (int, error) {
	if strings.Contains(strings.ToLower(string(p)), "permissions violation") {
		d.n.Add(1)
	}
	return len(p), nil
}

func TestATokenOfAGatewayAllowsAllThatItDoes(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	open := func(c bus.Config) *bus.Bus {
		b, err := bus.Open(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close(context.Background()) })
		return b
	}
	var denied denials
	said := slog.New(slog.NewTextHandler(&denied, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := open(bus.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Secure: true, Logger: said, Durability: bus.ProcessCrash})
	token, err := b.Authority().Mint(bus.Grant{Role: bus.RoleGateway, ID: "gw-a", Servers: []string{b.ClientURL()}})
	if err != nil {
		t.Fatal(err)
	}
	theirs := open(bus.Config{Name: "gw-a", Credentials: bus.Credentials{JoinToken: token.String()}, Logger: said})
	up := newNodeUpstream()
	status := make(chan *nats.Msg, 64)
	sub, err := b.Conn().ChanSubscribe(events.Subject(b.Prefix(), site, events.TypeGatewayStatus, "gw-a"), status)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	lowered := make(chan *upstream.Job, 16)
	stop := run(t, newGateway(t, theirs, "gw-a", up, func(c *gateway.Config) {
		c.OnJob = func(j *upstream.Job, _ []byte) { lowered <- j }
	}).Run)
	select {
	case <-status:
	case <-ctx.Done():
		t.Fatal("no gateway.status")
	}
	r := newRig(t, b, "rig-1")
	w := r.any()
	select {
	case <-lowered:
	case <-ctx.Done():
		t.Fatal("no slice for miners")
	}
	block := solveBlock(t, w)
	r.found(block)
	await(t, b, "an accepted block", func(s tally) bool { return len(s.accepted) == 1 && len(s.blocks) == 1 })
	bad := *block
	bad.Nonce, bad.ShareID = "00000000", strings.Repeat("0", 63)+"1"
	r.found(&bad)
	await(t, b, "a rejected share", func(s tally) bool { return len(s.refused) == 1 })
	stop()
	if n := denied.n.Load(); n > 0 {
		t.Errorf("%d denials", n)
	}
}
