// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/ballast-energy/ballast/events"
	"github.com/ballast-energy/ballast/hashengine"
	"github.com/ballast-energy/ballast/workers/gateway"
	"github.com/ballast-energy/ballast/workers/upstream"
)

// The gateway's own server looks for blocks in the work of a void job for many
// minutes: the gateway takes them for as long.
func TestABlockOfAJobLongVoidIsTakenFromDownstreamMiners(t *testing.T) {
	b := openBus(t)
	n := newNodeUpstream()
	jobs := make(chan *upstream.Job, 64)
	slices := make(chan []byte, 64)
	var ahead atomic.Int64
	g := newGateway(t, b, "gw-a", n, func(c *gateway.Config) {
		c.OnJob = func(j *upstream.Job, slice []byte) { jobs <- j; slices <- slice }
		c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	run(t, g.Run)
	j, slice := <-jobs, <-slices
	n.job(true) // voids it
	<-jobs
	ahead.Store(int64(15 * time.Minute))
	heard := make(chan *nats.Msg, 64)
	sub, err := b.Conn().ChanSubscribe(events.Subject(b.Prefix(), site, events.TypeGatewayStatus, "gw-a"), heard)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 { // seconds, and with each the gateway forgets what is old
		select {
		case <-heard:
			runtime.GC()
		case <-time.After(patience):
			t.Fatal("the gateway is silent")
		}
	}
	_ = sub.Unsubscribe()
	target, err := hashengine.TargetFromBits(easyBits)
	if err != nil {
		t.Fatal(err)
	}
	s := gateway.DownstreamShare{Unit: "miner-1", Job: j, Difficulty: "0.0000005", Block: true}
	s.Extranonce2 = append(append([]byte(nil), slice...), make([]byte, j.Extranonce2Bytes-len(slice))...)
	for x := uint32(0); s.Hash == (hashengine.Hash{}); x++ {
		binary.BigEndian.PutUint32(s.Extranonce2[len(s.Extranonce2)-4:], x)
		tx := append(append(append(append([]byte(nil), j.Coinbase1...), j.Extranonce1...), s.Extranonce2...), j.Coinbase2...)
		root := hashengine.DoubleSHA256(tx)
		for _, branch := range j.Branches {
			root = hashengine.DoubleSHA256(append(root[:], branch[:]...))
		}
		s.Header.SetVersion(j.Version)
		s.Header.SetPrevHash(j.PrevHash)
		s.Header.SetMerkleRoot(root)
		s.Header.SetTime(j.NTime)
		s.Header.SetBits(j.Bits)
		for nonce := range uint32(20_000) {
			s.Header.SetNonce(nonce)
			if h := s.Header.Hash(); target.Met(&h) {
				s.Hash = h
				break
			}
		}
	}
	done := make(chan error, 1)
	g.Downstream(s, func(err error) { done <- err })
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("no answer")
	}
	tally := await(t, b, "the block", func(s tally) bool { return len(s.accepted) == 1 && len(s.blocks) == 1 })
	tally.balanced(t)
	if got := n.submissions(); len(got) != 1 || got[0].Hash != s.Hash || got[0].Job != j {
		t.Errorf("%+v", got)
	}
}
