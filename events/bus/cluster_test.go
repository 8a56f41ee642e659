// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/ballast-energy/ballast/events"
)

// On a cluster of three every stream is replicated, and the bus lives through
// the loss of one server.
func TestClusterOfThree(t *testing.T) {
	if testing.Short() {
		t.Skip("three servers and their elections take seconds")
	}
	// Elections and three disks' worth of syncing: on a busy machine, minutes.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	var routes []*url.URL
	ports := make([]int, 3)
	for i := range ports {
		ports[i] = steadyPort(t)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", ports[i])})
	}
	var servers []*server.Server
	var urls []string
	for i, port := range ports {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true,
			JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, Routes: routes,
			Cluster: server.ClusterOpts{Name: "c", Host: "127.0.0.1", Port: port},
		}
		s, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(patience) {
			t.Fatal("server is not ready")
		}
		urls = append(urls, s.ClientURL())
	}
	b, err := Open(ctx, Config{URL: strings.Join(urls, ","), Replicas: 3, Name: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer closeTest(t, b)
	// The cluster elects a leader for its streams first.
	for {
		if err = b.EnsureStreams(ctx); err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	if drift, err := b.CheckStreams(ctx); err != nil || len(drift) > 0 {
		t.Fatalf("drift %+v, %v", drift, err)
	}
	if _, err := b.OpenEpoch(ctx, "demo", "test", "first", 0); err != nil {
		t.Fatal(err)
	}
	servers[0].Shutdown()
	for epoch := uint64(2); ; {
		e, err := b.OpenEpoch(ctx, "demo", "test", "one server less", 0)
		if err == nil {
			if e.Epoch < epoch {
				t.Errorf("epoch %d after %d", e.Epoch, epoch-1)
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
	for {
		h := b.Health(ctx)
		if f := finding(t, h, "store"); f.Level == LevelWarning && strings.Contains(f.Message, "of 3 replicas") {
			t.Log(f.Message)
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("a lost server is no finding: %+v", h.Findings)
		}
	}
	for {
		// Its leader may be the one that is gone: another has to be elected.
		s, err := b.js.Stream(ctx, events.StreamRevenue)
		if err == nil && s.CachedInfo().Config.Replicas != 3 {
			t.Errorf("REVENUE has %d replicas", s.CachedInfo().Config.Replicas)
		}
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("REVENUE: %v", err)
		}
	}
}
